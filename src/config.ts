/**
 * The only reader of process.env. One schema holds validator, default and description of every
 * option; `loadConfig` turns it into the normalised `Config` that the rest of the process uses.
 *
 * A bad value ends the process before anything is opened, so every problem is reported at once:
 * fixing them one restart at a time is how a deployment loses an evening.
 */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ORDER_TOTAL_MAX } from './domain/bounds.ts';
import { PARTITIONS } from './domain/ids.ts';
import {
  bearerToken,
  boolean,
  collectorUrl,
  databaseUrl,
  integer,
  oneOf,
  origins,
  redisUrl,
  share,
} from './option-kinds.ts';
import { TRACE_SAMPLERS } from './telemetry/sampling.ts';
import type { TraceSampler } from './telemetry/sampling.ts';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Null = the embedded PostgreSQL. May hold a password: never logged. */
  readonly databaseUrl: string | null;
  readonly dbPoolMax: number;
  /** Absolute. */
  readonly dataDir: string;
  /** Null = an in-process cache. May hold a password: never logged. */
  readonly redisUrl: string | null;
  readonly shards: number;
  readonly batchOrdersMax: number;
  readonly batchWaitMsMax: number;
  readonly commitsInFlightMax: number;
  readonly mailboxMax: number;
  readonly requestTimeoutMs: number;
  readonly holdTtlMs: number;
  readonly idempotencyWindowMax: number;
  /** Null = generated into DATA_DIR; never null with a DATABASE_URL. Never logged. */
  readonly jwtSecret: string | null;
  /** Absolute. */
  readonly jwtPublicKeyFile: string | null;
  readonly jwtTtlSeconds: number;
  /** Per account and per address; 0 = unlimited. */
  readonly loginAttemptsPerMinute: number;
  /** Per customer or address; 0 = unlimited. */
  readonly rateLimitPerMinute: number;
  /** Each as a browser spells it in its Origin header. */
  readonly corsOrigins: readonly string[];
  readonly trustProxy: boolean;
  readonly cartTtlMs: number;
  readonly webhookAllowPrivate: boolean;
  /** For /metrics; null = only this machine is answered. Never logged. */
  readonly metricsToken: string | null;
  readonly seedDemo: boolean;
  readonly logLevel: LogLevel;
  /** Of the collector; null = no tracing. May hold a password: never logged. */
  readonly otlpEndpoint: string | null;
  readonly traceSampler: TraceSampler;
  /** 0 to 1. */
  readonly traceRatio: number;
}

export interface ConfigProblem {
  readonly variable: string;
  /** Completes the sentence "VARIABLE ...". Holds no value of a secret. */
  readonly reason: string;
}

/** Every problem of an environment, one per line in `message`. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ variable, reason }) => `${variable} ${reason}`).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A row of README's configuration table. */
export interface OptionDescription {
  readonly name: string;
  readonly default: string;
  readonly description: string;
}

const SHARDS_MAX = 64;
const JWT_SECRET_CHARS_MIN = 32;
const METRICS_TOKEN_CHARS_MIN = 16;
/** Of the 300 in embedded-settings.ts; the rest is for takeover, audit and a person with psql. */
const EMBEDDED_SESSIONS_MAX = 280;
const DAY_SECONDS = 86_400;
const HOUR_MS = 3_600_000;

// Each shard owns at least one partition, and money stays exact in a double.
assert(SHARDS_MAX <= PARTITIONS);
assert(ORDER_TOTAL_MAX <= Number.MAX_SAFE_INTEGER);

/** `shown` replaces a default that is not a constant. */
const documentation = z.registry<{ readonly description: string; readonly shown?: string }>();

const schema = z
  .object({
    HOST: z
      .string()
      .default('127.0.0.1')
      .register(documentation, { description: 'Address to listen on.' }),
    PORT: integer({ min: 0, max: 65_535 })
      .default(3000)
      .register(documentation, { description: 'Port to listen on; 0 takes any free one.' }),
    DATABASE_URL: databaseUrl.optional().register(documentation, {
      description:
        'PostgreSQL 15 or later over direct or session-pooled connections; unset starts the embedded PostgreSQL.',
    }),
    DB_POOL_MAX: integer({ min: 1, max: 500 }).default(10).register(documentation, {
      description: 'Connections for reads and everything else outside the commit path.',
    }),
    DATA_DIR: z.string().default('./data').register(documentation, {
      description: 'Directory of the embedded PostgreSQL and of generated secrets.',
    }),
    REDIS_URL: redisUrl.optional().register(documentation, {
      description:
        'Redis for the catalogue, carts and counted attempts; unset keeps them in the process.',
    }),
    SHARDS: integer({ min: 1, max: SHARDS_MAX })
      .default(() => Math.min(SHARDS_MAX, Math.max(1, availableParallelism() - 1)))
      .register(documentation, {
        description: `Shard threads, at most ${SHARDS_MAX}; each owns its share of the products.`,
        shown: 'max(1, cores - 1)',
      }),
    BATCH_MAX_ORDERS: integer({ min: 2, max: 10_000 })
      .default(1000)
      .register(documentation, { description: 'Orders that one commit carries at most.' }),
    BATCH_MAX_WAIT_MS: integer({ min: 0, max: 60_000 }).default(0).register(documentation, {
      description: 'How long a batch may wait for more orders while a commit slot is free.',
    }),
    COMMITS_IN_FLIGHT_MAX: integer({ min: 1, max: 16 }).default(2).register(documentation, {
      description: 'Batches of one shard on their way to PostgreSQL at the same time.',
    }),
    MAILBOX_MAX: integer({ min: 10, max: 1_000_000 }).default(10_000).register(documentation, {
      description: 'Undecided commands that one shard holds; past it the answer is `overloaded`.',
    }),
    REQUEST_TIMEOUT_MS: integer({ min: 500, max: 60_000 }).default(5000).register(documentation, {
      description:
        'Every request is answered by then: undecided ones are shed, and commits time out before it.',
    }),
    HOLD_TTL_SECONDS: integer({ min: 1, max: 30 * DAY_SECONDS })
      .default(900)
      .register(documentation, {
        description: 'Life of an unpaid order: what its `expires_at` says.',
      }),
    IDEMPOTENCY_WINDOW_MAX: integer({ min: 1, max: 10_000_000 })
      .default(200_000)
      .register(documentation, {
        description: 'Accepted keys that one shard keeps in memory; an order counts once per line.',
      }),
    JWT_SECRET: z
      .string()
      .min(JWT_SECRET_CHARS_MIN, { error: `must have at least ${JWT_SECRET_CHARS_MIN} characters` })
      .optional()
      .register(documentation, {
        description: `Key of the HS256 access tokens, at least ${JWT_SECRET_CHARS_MIN} characters.`,
        shown: 'generated into DATA_DIR in the embedded mode, else required',
      }),
    JWT_PUBLIC_KEY_FILE: z.string().optional().register(documentation, {
      description:
        'PEM file; tokens that a shop signs itself with its private key (EdDSA, ES256, RS256) are accepted too.',
    }),
    JWT_TTL_SECONDS: integer({ min: 1, max: 30 * DAY_SECONDS })
      .default(3600)
      .register(documentation, {
        description: 'Life of an access token; a role change takes effect when it expires.',
      }),
    LOGIN_ATTEMPTS_PER_MINUTE: integer({ min: 0, max: 100_000 })
      .default(10)
      .register(documentation, {
        description: 'Attempts to log in, per account and per address; 0 counts none.',
      }),
    RATE_LIMIT_PER_MINUTE: integer({ min: 0, max: 10_000_000 }).default(0).register(documentation, {
      description: 'Requests per customer, or per address without a token; 0 counts none.',
    }),
    CORS_ORIGINS: origins.optional().register(documentation, {
      description: 'Origins, separated by commas, whose pages may call this API from a browser.',
      shown: 'none',
    }),
    TRUST_PROXY: boolean.default(false).register(documentation, {
      description:
        'Take the client address from the last entry of X-Forwarded-For; only behind a proxy that adds it.',
    }),
    CART_TTL_HOURS: integer({ min: 1, max: 8760 }).default(72).register(documentation, {
      description: 'Life of a cart that nobody changes.',
    }),
    WEBHOOK_ALLOW_PRIVATE: boolean.default(false).register(documentation, {
      description: 'Deliver webhooks to private and loopback addresses too.',
    }),
    METRICS_TOKEN: bearerToken(METRICS_TOKEN_CHARS_MIN)
      .optional()
      .register(documentation, {
        description: `Token that \`/metrics\` asks for, at least ${METRICS_TOKEN_CHARS_MIN} characters; unset answers this machine only.`,
      }),
    SEED_DEMO: boolean.optional().register(documentation, {
      description: 'Fill an empty database with the demo shop.',
      shown: 'true in the embedded mode, else false',
    }),
    LOG_LEVEL: oneOf(LOG_LEVELS)
      .default('info')
      .register(documentation, { description: `One of ${LOG_LEVELS.join(', ')}.` }),
    OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl.optional().register(documentation, {
      description:
        'OpenTelemetry collector that takes OTLP over HTTP, like `http://host:4318`; unset traces nothing.',
    }),
    OTEL_TRACES_SAMPLER: oneOf(TRACE_SAMPLERS)
      .default('parentbased_traceidratio')
      .register(documentation, { description: `One of ${TRACE_SAMPLERS.join(', ')}.` }),
    OTEL_TRACES_SAMPLER_ARG: share.default(0.001).register(documentation, {
      description: 'Share of the traces that a sampler with a ratio keeps, 0 to 1.',
    }),
  } satisfies Record<string, z.ZodType>)
  .superRefine(
    (env, context) => {
      if (env.DATABASE_URL !== undefined && env.JWT_SECRET === undefined) {
        context.addIssue({
          code: 'custom',
          path: ['JWT_SECRET'],
          message: `is required with DATABASE_URL and must have at least ${JWT_SECRET_CHARS_MIN} characters`,
        });
      }
      const sessions = env.SHARDS * (env.COMMITS_IN_FLIGHT_MAX + 2) + env.DB_POOL_MAX;
      if (env.DATABASE_URL === undefined && sessions > EMBEDDED_SESSIONS_MAX) {
        context.addIssue({
          code: 'custom',
          path: ['SHARDS'],
          message: `x (COMMITS_IN_FLIGHT_MAX + 2) + DB_POOL_MAX is ${sessions} sessions; the embedded PostgreSQL serves ${EMBEDDED_SESSIONS_MAX}`,
        });
      }
      // An order still in the open batch at its deadline would be answered `outcome-unknown`.
      if (env.BATCH_MAX_WAIT_MS * 2 > env.REQUEST_TIMEOUT_MS) {
        context.addIssue({
          code: 'custom',
          path: ['BATCH_MAX_WAIT_MS'],
          message: 'must be at most half of REQUEST_TIMEOUT_MS',
        });
      }
    },
    // Also when an option alone was bad: that one is then undefined or not a number here, and no
    // comparison with it holds.
    { when: () => true },
  );

/**
 * Reads and checks the environment of the server. An empty string is an unset variable: that is
 * what compose files and CI systems pass for one.
 *
 * @throws ConfigError naming every problem.
 */
export function loadConfig(source: NodeJS.ProcessEnv = process.env): Config {
  const env = parse(schema, source);
  return {
    host: env.HOST,
    port: env.PORT,
    databaseUrl: env.DATABASE_URL ?? null,
    dbPoolMax: env.DB_POOL_MAX,
    dataDir: resolve(env.DATA_DIR),
    redisUrl: env.REDIS_URL ?? null,
    shards: env.SHARDS,
    batchOrdersMax: env.BATCH_MAX_ORDERS,
    batchWaitMsMax: env.BATCH_MAX_WAIT_MS,
    commitsInFlightMax: env.COMMITS_IN_FLIGHT_MAX,
    mailboxMax: env.MAILBOX_MAX,
    requestTimeoutMs: env.REQUEST_TIMEOUT_MS,
    holdTtlMs: env.HOLD_TTL_SECONDS * 1000,
    idempotencyWindowMax: env.IDEMPOTENCY_WINDOW_MAX,
    jwtSecret: env.JWT_SECRET ?? null,
    jwtPublicKeyFile:
      env.JWT_PUBLIC_KEY_FILE === undefined ? null : resolve(env.JWT_PUBLIC_KEY_FILE),
    jwtTtlSeconds: env.JWT_TTL_SECONDS,
    loginAttemptsPerMinute: env.LOGIN_ATTEMPTS_PER_MINUTE,
    rateLimitPerMinute: env.RATE_LIMIT_PER_MINUTE,
    corsOrigins: env.CORS_ORIGINS ?? [],
    trustProxy: env.TRUST_PROXY,
    cartTtlMs: env.CART_TTL_HOURS * HOUR_MS,
    webhookAllowPrivate: env.WEBHOOK_ALLOW_PRIVATE,
    metricsToken: env.METRICS_TOKEN ?? null,
    seedDemo: env.SEED_DEMO ?? env.DATABASE_URL === undefined,
    logLevel: env.LOG_LEVEL,
    otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT ?? null,
    traceSampler: env.OTEL_TRACES_SAMPLER,
    traceRatio: env.OTEL_TRACES_SAMPLER_ARG,
  };
}

/**
 * Where the data is: for commands beside the server (audit, user), which serve nothing and so must
 * not ask for a JWT_SECRET or fail over a PORT.
 *
 * @throws ConfigError naming every problem.
 */
export function loadDatabaseConfig(
  source: NodeJS.ProcessEnv = process.env,
): Pick<Config, 'databaseUrl' | 'dataDir'> {
  const { DATABASE_URL, DATA_DIR } = schema.shape;
  const env = parse(z.object({ DATABASE_URL, DATA_DIR }), source);
  return { databaseUrl: env.DATABASE_URL ?? null, dataDir: resolve(env.DATA_DIR) };
}

function parse<T extends z.ZodType>(options: T, source: NodeJS.ProcessEnv): z.infer<T> {
  const filled = Object.entries(source).filter(([, value]) => value !== '');
  const parsed = options.safeParse(Object.fromEntries(filled));
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map(({ path, message }) => ({ variable: path.join('.'), reason: message })),
  );
}

/** README's configuration table, in the order of the schema. */
export function describeOptions(): readonly OptionDescription[] {
  return Object.entries(schema.shape).map(([name, option]) => {
    const entry = documentation.get(option);
    assert(entry !== undefined, `${name} is not described`);
    const constant = option instanceof z.ZodDefault ? String(option.def.defaultValue) : 'unset';
    return { name, default: entry.shown ?? constant, description: entry.description };
  });
}
