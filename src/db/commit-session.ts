/**
 * A shard's PostgreSQL sessions, bounded in time; those for commits are durable and have a staging
 * table of their own.
 *
 * I2: a session on a server that could lose an acknowledged COMMIT is refused, not tolerated.
 * I9: opening one, a statement on it and a wait for a lock each end in bounded time.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { withinTime } from './silence.ts';

/** Idle time after which TCP asks whether the server is still there. */
const KEEP_ALIVE_MS = 10_000;
/** For a session to be opened where nobody waits: at the start. */
const OPEN_MS_MAX = 10_000;
/**
 * Of a statement's time. A wait for a lock that ends by itself says that nothing was committed; the
 * end of the statement's time does not (batch-failure.ts).
 */
const LOCK_SHARE = 0.8;

const STAGING_SQL = readFileSync(new URL('../../db/staging.sql', import.meta.url), 'utf8');

/**
 * The server asks as well whether we are still there: nobody else would ever end the backend behind
 * a connection that was cut in silence, and a few cuts would use up the server's connections.
 */
const SETTINGS_SQL = /* sql */ `
  SET default_transaction_isolation = 'read committed';
  SET synchronous_commit = on;
  SET jit = off;
  SET client_min_messages = error;
  SET timezone = 'UTC';
  SET tcp_keepalives_idle = 10;
  SET tcp_keepalives_interval = 5;
  SET tcp_keepalives_count = 3`;

/** Settings of the server or the role that would end a session which idles or waits; by version. */
const PATIENCE_SQL = /* sql */ `
  SELECT set_config(name, '0', false) FROM pg_settings
   WHERE name IN ('idle_session_timeout', 'transaction_timeout')`;

const DURABILITY_SQL = /* sql */ `
  SELECT name, setting FROM pg_settings
   WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')`;

export interface CommitSessionOptions {
  readonly databaseUrl: string;
  readonly applicationName: string;
  /** Milliseconds; below the time in which the customer must have an answer. */
  readonly statementTimeoutMs: number;
  /** Milliseconds in which the session must be open. */
  readonly openMsMax?: number;
}

/** A session for reads. Rejects when the server cannot be reached in time. */
export function openShardSession(options: CommitSessionOptions): Promise<pg.Client> {
  return open(options, () => Promise.resolve());
}

/** Rejects also when the server does not keep what it acknowledged. */
export function openCommitSession(options: CommitSessionOptions): Promise<pg.Client> {
  return open(options, async (client) => {
    const settings = await client.query<{ name: string; setting: string }>(DURABILITY_SQL);
    for (const { name, setting } of settings.rows) {
      if (setting !== 'on') {
        throw new Error(`PostgreSQL runs with ${name} = ${setting}: a commit could be lost`);
      }
    }
    // A session pooler may hand over a session that served us before.
    await client.query(`DROP TABLE IF EXISTS pg_temp.batch_rows; ${STAGING_SQL}`);
  });
}

/** Gives the staging table a new file, and so a new oldest transaction id. */
export async function renewStaging(client: pg.Client): Promise<void> {
  await client.query('TRUNCATE pg_temp.batch_rows');
}

async function open(
  options: CommitSessionOptions,
  prepare: (client: pg.Client) => Promise<void>,
): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  });
  // Whoever uses the session learns of its loss by 'end', or from the statement that fails.
  client.on('error', () => undefined);
  const timeoutMs = Math.trunc(options.statementTimeoutMs);
  const lockTimeoutMs = Math.ceil(timeoutMs * LOCK_SHARE);
  try {
    await withinTime(client, options.openMsMax ?? OPEN_MS_MAX, async () => {
      await client.connect();
      await client.query(
        `${SETTINGS_SQL};` +
          `SET statement_timeout = ${timeoutMs}; SET lock_timeout = ${lockTimeoutMs};` +
          `SET idle_in_transaction_session_timeout = ${timeoutMs}`,
      );
      await client.query(PATIENCE_SQL);
      await prepare(client);
    });
    return client;
  } catch (error) {
    client.connection.stream.destroy();
    throw error;
  }
}
