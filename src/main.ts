/**
 * The server: `npm start`. Composition root, imported by nobody: builds, wires, starts, stops.
 *
 * Order of the start: configuration, PostgreSQL, port, takeover. The port comes before the takeover,
 * so that a second start by mistake fails before it fences the first.
 * Exit codes: 0 = stopped as asked, or another node took over; 1 = anything else.
 */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import { ConfigError, loadConfig } from './config.ts';
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
import { buildApp } from './http/build-app.ts';
import { createPasswordHashing } from './http/password-hash.ts';
import type { PasswordHashing } from './http/password-hash.ts';
import { loadJwtPublicKey } from './jwt-public-key.ts';
import { loadOrCreateJwtSecret } from './jwt-secret.ts';
import { openShop } from './shop.ts';
import { createLogger } from './telemetry/logger.ts';
import { Engine } from './workers/engine.ts';
import { describeEnd } from './workers/shard-pool.ts';

/** Milliseconds for a graceful stop, beyond the time that a request may take. */
const STOP_GRACE_MS = 10_000;
/** Milliseconds for a process that must end anyway to stop the PostgreSQL that nobody else uses. */
const RELEASE_MS_MAX = 10_000;

/** Of a request's time; a read may wait as long for a connection as for its rows. */
const READ_SHARE = 0.4;

const config = orExit(loadConfig);
const { jwtPublicKeyFile } = config;
const shopKey = jwtPublicKeyFile === null ? null : orExit(() => loadJwtPublicKey(jwtPublicKeyFile));
const logger = createLogger({ level: config.logLevel });
const progress = (step: string): void => logger.info({ step }, 'starting');

let database: OpenDatabase | undefined;
try {
  const onOutage = (step: string): void => logger.warn({ step }, 'PostgreSQL is being restored');
  database = await openDatabase(config, progress, onOutage);
  await serve(database);
} catch (error) {
  logger.fatal({ err: error, reason: explain(error) }, 'could not start');
  await database?.release().catch(() => undefined);
  process.exit(1);
}

async function serve(database: OpenDatabase): Promise<void> {
  const pool = openPool(database.databaseUrl);
  const node = `${hostname()}:${process.pid}:${Date.now()}`;
  const engine = new Engine({
    ...config,
    node,
    onImpediment: (reason) => {
      if (reason === null) logger.info('all orders are decided again');
      else logger.warn({ reason }, 'some orders cannot be decided');
    },
  });
  const shop = openShop({ config, pool, gateway: engine.gateway, logger });
  const passwords = createPasswordHashing();
  let notReady: string | null = 'starting';
  const readiness: Readiness = {
    check: () => {
      const reason = notReady ?? engine.impediment;
      return reason === null ? { ready: true } : { ready: false, reason };
    },
  };
  const app = await buildApp({
    ...shop.ports,
    gateway: engine.gateway,
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
  };
  closeWithGrace(
    { delay: config.requestTimeoutMs + STOP_GRACE_MS, logger },
    async ({ err, signal }) => {
      if (err === undefined) logger.info({ signal }, 'stopping');
      else logger.fatal({ err }, 'stopping because of an error');
      await stop();
      logger.info('stopped');
    },
  );

  const url = await app.listen({ host: config.host, port: config.port });
  await prepare(database.databaseUrl, passwords);
  const { ended } = await engine.start({
    databaseUrl: database.databaseUrl,
    onProgress: progress,
    onShardLost: (shard, reason) => logger.error({ shard, reason }, 'a shard is being replaced'),
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

/** For reads, and whatever else is not on the commit path. */
function openPool(databaseUrl: string): ReturnType<typeof createPool> {
  return createPool({
    databaseUrl: databaseUrl,
    max: config.dbPoolMax,
    statementTimeoutMs: config.requestTimeoutMs * READ_SHARE,
    applicationName: 'hedonify-reads',
    onError: (err) => logger.warn({ err }, 'an idle connection was lost'),
  });
}

/** Schema and demo shop. */
async function prepare(databaseUrl: string, passwords: PasswordHashing): Promise<void> {
  progress('checking the schema');
  const connection = { databaseUrl, applicationName: 'hedonify-schema' };
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

function orExit<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
