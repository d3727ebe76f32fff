/**
 * The server: builds, wires, starts, stops. Composition root; main.ts loads it when tracing has
 * started, and nobody else does.
 *
 * Order of the start: PostgreSQL, port, takeover. The port comes before the takeover, so that a
 * second start by mistake fails before it fences the first.
 */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { createBacklogReader } from './db/backlog-reader.ts';
import { withClient } from './db/client.ts';
import { openDatabase } from './db/open-database.ts';
import type { OpenDatabase } from './db/open-database.ts';
import { createPool } from './db/pool.ts';
import { applySchema } from './db/schema.ts';
import {
  DEMO_ACCOUNTS,
  DEMO_PASSWORD,
  HOT_PRODUCT_ID,
  hasDemoShop,
  seedDemoShop,
} from './db/seed.ts';
import type { Readiness } from './domain/ports.ts';
import { explain } from './explain.ts';
import type { ShopKey } from './http/access-tokens.ts';
import { buildApp } from './http/build-app.ts';
import { createPasswordHashing } from './http/password-hash.ts';
import type { PasswordHashing } from './http/password-hash.ts';
import { createRequestObserver } from './http/request-metrics.ts';
import { loadJwtPublicKey } from './jwt-public-key.ts';
import { loadOrCreateJwtSecret } from './jwt-secret.ts';
import { openShop } from './shop.ts';
import { createMetrics } from './telemetry/metrics.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Tracing } from './telemetry/tracing.ts';
import { Engine } from './workers/engine.ts';
import { describeEnd } from './workers/shard-pool.ts';

/** Milliseconds for a graceful stop, beyond the time that a request may take. */
const STOP_GRACE_MS = 10_000;
/** Milliseconds for a process that must end anyway to stop the PostgreSQL that nobody else uses. */
const RELEASE_MS_MAX = 10_000;

/** Of a request's time; a read may wait as long for a connection as for its rows. */
const READ_SHARE = 0.4;

/** What is there before the server. */
export interface ServerParts {
  readonly config: Config;
  readonly logger: Logger;
  /** Null = no request is traced. */
  readonly tracing: Tracing | null;
}

interface Running extends ServerParts {
  readonly database: OpenDatabase;
  readonly shopKey: ShopKey | null;
}

/**
 * Resolves when orders are decided; a server that cannot start ends the process with 1.
 *
 * @throws ConfigError when the key file of the shop cannot be used, before anything is opened.
 */
export async function startServer(parts: ServerParts): Promise<void> {
  const { config, logger } = parts;
  const { jwtPublicKeyFile } = config;
  const shopKey = jwtPublicKeyFile === null ? null : loadJwtPublicKey(jwtPublicKeyFile);
  let database: OpenDatabase | undefined;
  try {
    const onOutage = (step: string): void => logger.warn({ step }, 'PostgreSQL is being restored');
    database = await openDatabase(config, progressOf(parts), onOutage);
    await serve({ ...parts, database, shopKey });
  } catch (error) {
    logger.fatal({ err: error, reason: explain(error) }, 'could not start');
    await database?.release().catch(() => undefined);
    process.exit(1);
  }
}

async function serve(running: Running): Promise<void> {
  const { config, logger, tracing, database, shopKey } = running;
  const pool = openPool(running);
  const node = `${hostname()}:${process.pid}:${Date.now()}`;
  const engine = new Engine({
    ...config,
    node,
    onBatch: (record) => {
      metrics.batch(record);
      tracing?.batch(record);
    },
    onImpediment: (reason) => tellImpediment(logger, reason),
  });
  let notReady: string | null = 'starting';
  const readiness: Readiness = {
    check: () => {
      const reason = notReady ?? engine.impediment;
      return reason === null ? { ready: true } : { ready: false, reason };
    },
  };
  const metrics = openMetrics({ config, engine, pool, readiness });
  const shop = openShop({ config, pool, gateway: engine.gateway, metrics, logger });
  const passwords = createPasswordHashing();
  const app = await buildApp({
    ...shop.ports,
    gateway: tracing?.watch(engine.gateway) ?? engine.gateway,
    inspector: engine.inspector,
    control: engine.control,
    renderMetrics: () => metrics.render(),
    answerObservers: [createRequestObserver(metrics)],
    tracing,
    readiness,
    passwords,
    logger,
    settings: {
      ...config,
      jwtSecret: config.jwtSecret ?? loadOrCreateJwtSecret(config.dataDir),
      shopKey,
    },
  });
  const stop = async (): Promise<void> => {
    notReady = 'shutting down';
    await app.close();
    await shop.stop();
    await engine.stop();
    await pool.end();
    await database.release();
    await tracing?.stop();
  };
  stopWhenAsked(running, stop);

  const url = await app.listen({ host: config.host, port: config.port });
  await prepare(running, passwords);
  const { ended } = await engine.start({
    databaseUrl: database.databaseUrl,
    onProgress: progressOf(running),
    onShardLost: (shard, reason) => tellLost(logger, shard, reason),
  });
  notReady = null;
  shop.start();
  logger.info({ url, docs: `${url}/docs`, node, shards: config.shards }, 'ready');
  void ended.then(async (end) => {
    logger.warn({ reason: describeEnd(end) }, 'another node took over; stopping');
    notReady = 'another node took over';
    engine.close('database-unavailable');
    await Promise.race([database.release().catch(() => undefined), delay(RELEASE_MS_MAX)]);
    process.exit(0);
  });
}

function tellLost(logger: Logger, shard: number, reason: string | null): void {
  if (reason === null) logger.warn({ shard }, 'a shard is being restarted');
  else logger.error({ shard, reason }, 'a shard is being replaced');
}

function tellImpediment(logger: Logger, reason: string | null): void {
  if (reason === null) logger.info('all orders are decided again');
  else logger.warn({ reason }, 'some orders cannot be decided');
}

/** On SIGTERM and SIGINT, and because of an error that nobody caught. */
function stopWhenAsked({ config, logger }: Running, stop: () => Promise<void>): void {
  closeWithGrace(
    { delay: config.requestTimeoutMs + STOP_GRACE_MS, logger },
    async ({ err, signal }) => {
      if (err === undefined) logger.info({ signal }, 'stopping');
      else logger.fatal({ err }, 'stopping because of an error');
      await stop();
      logger.info('stopped');
    },
  );
}

function progressOf({ logger }: ServerParts): (step: string) => void {
  return (step) => logger.info({ step }, 'starting');
}

/** For reads, and whatever else is not on the commit path. */
function openPool({ config, logger, database }: Running): ReturnType<typeof createPool> {
  return createPool({
    databaseUrl: database.databaseUrl,
    max: config.dbPoolMax,
    statementTimeoutMs: config.requestTimeoutMs * READ_SHARE,
    applicationName: 'hedonify-reads',
    onError: (err) => logger.warn({ err }, 'an idle connection was lost'),
  });
}

function openMetrics(measured: {
  readonly config: Config;
  readonly engine: Engine;
  readonly pool: ReturnType<typeof createPool>;
  readonly readiness: Readiness;
}): Metrics {
  const { config, engine, pool, readiness } = measured;
  return createMetrics({
    shards: config.shards,
    inspector: engine.inspector,
    readiness,
    backlog: createBacklogReader(pool),
    requestsWaiting: () => engine.waiting,
    pools: () => {
      const { totalCount: total, idleCount: idle, waitingCount: waiting } = pool;
      return { reads: { total, idle, waiting, max: config.dbPoolMax } };
    },
  });
}

/** Schema and demo shop. */
async function prepare(running: Running, passwords: PasswordHashing): Promise<void> {
  const { config, logger, database } = running;
  progressOf(running)('checking the schema');
  const connection = { databaseUrl: database.databaseUrl, applicationName: 'hedonify-schema' };
  const hasDemo = await withClient(connection, async (client) => {
    await applySchema(client);
    if (!config.seedDemo) return false;
    await seedDemoShop(client, { hashPassword: (password) => passwords.hash(password) });
    return hasDemoShop(client);
  });
  if (!hasDemo) return;
  const emails = Object.values(DEMO_ACCOUNTS).map(({ email }) => email);
  const demo = { emails, demo_password: DEMO_PASSWORD, hot_product: HOT_PRODUCT_ID };
  logger.info(demo, 'the demo shop is open');
}
