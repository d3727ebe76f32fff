import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig, loadDatabaseConfig } from '../src/config.ts';
import type { Config } from '../src/config.ts';

const SECRET = 'a-secret-of-32-characters-or-more';
const DATABASE_URL = 'postgres://shop:p4ssw0rd@db.example:5432/shop';
const REDIS_URL = 'rediss://:p4ssw0rd@cache.example:6379/1';

function failure(env: NodeJS.ProcessEnv): ConfigError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('configuration', () => {
  test('an empty environment is the embedded mode with the defaults of the contract', () => {
    expect(loadConfig({})).toEqual({
      host: '127.0.0.1',
      port: 3000,
      databaseUrl: null,
      dbPoolMax: 10,
      dataDir: resolve('data'),
      redisUrl: null,
      shards: Math.min(64, Math.max(1, availableParallelism() - 1)),
      batchOrdersMax: 1000,
      batchWaitMsMax: 0,
      commitsInFlightMax: 2,
      mailboxMax: 10_000,
      requestTimeoutMs: 5000,
      holdTtlMs: 900_000,
      idempotencyWindowMax: 200_000,
      jwtSecret: null,
      jwtPublicKeyFile: null,
      jwtTtlSeconds: 3600,
      loginAttemptsPerMinute: 10,
      rateLimitPerMinute: 0,
      corsOrigins: [],
      trustProxy: false,
      cartTtlMs: 259_200_000,
      webhookAllowPrivate: false,
      metricsToken: null,
      seedDemo: true,
      logLevel: 'info',
      otlpEndpoint: null,
      traceSampler: 'parentbased_traceidratio',
      traceRatio: 0.001,
    } satisfies Config);
  });

  test('every option is read', () => {
    expect(
      loadConfig({
        HOST: '::',
        PORT: '0',
        DATABASE_URL,
        DB_POOL_MAX: '3',
        DATA_DIR: '/var/lib/hedonify',
        REDIS_URL,
        SHARDS: '4',
        BATCH_MAX_ORDERS: '500',
        BATCH_MAX_WAIT_MS: '2',
        COMMITS_IN_FLIGHT_MAX: '3',
        MAILBOX_MAX: '10',
        REQUEST_TIMEOUT_MS: '500',
        HOLD_TTL_SECONDS: '60',
        IDEMPOTENCY_WINDOW_MAX: '1000',
        JWT_SECRET: SECRET,
        JWT_PUBLIC_KEY_FILE: 'keys/shop.pem',
        JWT_TTL_SECONDS: '120',
        LOGIN_ATTEMPTS_PER_MINUTE: '0',
        RATE_LIMIT_PER_MINUTE: '600',
        CORS_ORIGINS: 'https://shop.example, http://localhost:5173',
        TRUST_PROXY: 'true',
        CART_TTL_HOURS: '1',
        WEBHOOK_ALLOW_PRIVATE: 'true',
        METRICS_TOKEN: 'a-token-of-16-ch',
        SEED_DEMO: 'true',
        LOG_LEVEL: 'debug',
        OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example/otlp',
        OTEL_TRACES_SAMPLER: 'traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '.25',
      }),
    ).toEqual({
      host: '::',
      port: 0,
      databaseUrl: DATABASE_URL,
      dbPoolMax: 3,
      dataDir: '/var/lib/hedonify',
      redisUrl: REDIS_URL,
      shards: 4,
      batchOrdersMax: 500,
      batchWaitMsMax: 2,
      commitsInFlightMax: 3,
      mailboxMax: 10,
      requestTimeoutMs: 500,
      holdTtlMs: 60_000,
      idempotencyWindowMax: 1000,
      jwtSecret: SECRET,
      jwtPublicKeyFile: resolve('keys/shop.pem'),
      jwtTtlSeconds: 120,
      loginAttemptsPerMinute: 0,
      rateLimitPerMinute: 600,
      corsOrigins: ['https://shop.example', 'http://localhost:5173'],
      trustProxy: true,
      cartTtlMs: 3_600_000,
      webhookAllowPrivate: true,
      metricsToken: 'a-token-of-16-ch',
      seedDemo: true,
      logLevel: 'debug',
      otlpEndpoint: 'https://collector.example/otlp',
      traceSampler: 'traceidratio',
      traceRatio: 0.25,
    } satisfies Config);
  });

  test('a shop with its own database is not seeded unless it asks for it', () => {
    expect(loadConfig({ DATABASE_URL, JWT_SECRET: SECRET }).seedDemo).toBe(false);
  });

  test('an empty string is an unset variable', () => {
    expect(loadConfig({ DATABASE_URL: '', PORT: '', SEED_DEMO: '', JWT_SECRET: '' })).toEqual(
      loadConfig({}),
    );
  });

  test.each<[name: string, value: string]>([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['PORT', ' 80'],
    ['PORT', '1e3'],
    ['SHARDS', '0'],
    ['SHARDS', '65'],
    ['MAILBOX_MAX', '9'],
    ['REQUEST_TIMEOUT_MS', '499'],
    ['BATCH_MAX_ORDERS', '0'],
    ['COMMITS_IN_FLIGHT_MAX', '0'],
    ['DB_POOL_MAX', 'ten'],
    ['HOLD_TTL_SECONDS', '0'],
    ['IDEMPOTENCY_WINDOW_MAX', '9'.repeat(30)],
    ['JWT_TTL_SECONDS', '0'],
    ['JWT_SECRET', 'short'],
    ['METRICS_TOKEN', 'fifteen-letters'],
    ['METRICS_TOKEN', 'not to be sent as a token'],
    ['DATABASE_URL', 'mysql://localhost/shop'],
    ['DATABASE_URL', 'localhost:5432'],
    ['REDIS_URL', 'http://localhost:6379'],
    ['REDIS_URL', 'localhost:6379'],
    ['LOGIN_ATTEMPTS_PER_MINUTE', '-1'],
    ['RATE_LIMIT_PER_MINUTE', 'off'],
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'https://shop.example/'],
    ['CORS_ORIGINS', 'https://shop.example,'],
    ['CORS_ORIGINS', 'https://Shop.example'],
    ['CORS_ORIGINS', 'data:text/html'],
    ['CORS_ORIGINS', Array.from({ length: 101 }, () => 'https://shop.example').join(',')],
    ['TRUST_PROXY', 'yes'],
    ['CART_TTL_HOURS', '0'],
    ['WEBHOOK_ALLOW_PRIVATE', '1'],
    ['SEED_DEMO', '1'],
    ['LOG_LEVEL', 'verbose'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.1'],
    ['OTEL_TRACES_SAMPLER_ARG', '-0.1'],
    ['OTEL_TRACES_SAMPLER_ARG', '1e-2'],
    ['OTEL_TRACES_SAMPLER_ARG', 'all'],
  ])('%s=%s is refused by name', (name, value) => {
    const { problems } = failure({ JWT_SECRET: SECRET, [name]: value });
    expect(problems.map(({ variable }) => variable)).toEqual([name]);
  });

  test('every problem is reported at once, with its reason', () => {
    expect(failure({ PORT: 'http', LOG_LEVEL: 'loud', DATABASE_URL }).message.split('\n')).toEqual([
      'PORT must be a whole number from 0 to 65535, not "http"',
      'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent',
      'JWT_SECRET is required with DATABASE_URL and must have at least 32 characters',
    ]);
  });

  test('counts the sessions that the embedded PostgreSQL must serve', () => {
    expect(failure({ SHARDS: '64', COMMITS_IN_FLIGHT_MAX: '16' }).message).toBe(
      'SHARDS x (COMMITS_IN_FLIGHT_MAX + 2) + DB_POOL_MAX is 1162 sessions; the embedded PostgreSQL serves 280',
    );
    expect(loadConfig({ SHARDS: '64' })).toMatchObject({ shards: 64 });
  });

  test('a batch may not wait past half of the time a customer waits', () => {
    expect(failure({ BATCH_MAX_WAIT_MS: '300', REQUEST_TIMEOUT_MS: '500' }).message).toBe(
      'BATCH_MAX_WAIT_MS must be at most half of REQUEST_TIMEOUT_MS',
    );
    expect(loadConfig({ BATCH_MAX_WAIT_MS: '250', REQUEST_TIMEOUT_MS: '500' })).toMatchObject({
      batchWaitMsMax: 250,
    });
  });

  test('no secret is printed, not even a bad one', () => {
    const { message } = failure({
      DATABASE_URL: 'mysql://u:p4ssw0rd@h/d',
      REDIS_URL: 'redos://u:p4ssw0rd@h',
      JWT_SECRET: 'hush',
    });
    expect(message).toMatch(/^DATABASE_URL .*\nREDIS_URL .*\nJWT_SECRET .*$/);
    expect(message).not.toMatch(/p4ssw0rd|hush/);
  });

  test('a command that only needs the database needs no other option', () => {
    expect(loadDatabaseConfig({ DATABASE_URL, PORT: 'bad', DATA_DIR: '' })).toEqual({
      databaseUrl: DATABASE_URL,
      dataDir: resolve('data'),
    });
    expect(() => loadDatabaseConfig({ DATABASE_URL: 'nonsense' })).toThrow(ConfigError);
  });
});
