/**
 * A dedicated PostgreSQL session for commits: durable, bounded in time, with its own staging table.
 *
 * I2: a session on a server that could lose an acknowledged COMMIT is refused, not tolerated.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';

/** Idle time after which TCP asks whether the server is still there. */
const KEEP_ALIVE_MS = 10_000;

const STAGING_SQL = readFileSync(new URL('../../db/staging.sql', import.meta.url), 'utf8');

/** Settings of the server or the role that would end a session which idles or waits; by version. */
const PATIENCE_SQL = /* sql */ `
  SELECT set_config(name, '0', false) FROM pg_settings
   WHERE name IN ('idle_session_timeout', 'transaction_timeout')`;

const SET_TIMEOUT_SQL = /* sql */ `SELECT set_config('statement_timeout', $1, false)`;

const DURABILITY_SQL = /* sql */ `
  SELECT name, setting FROM pg_settings
   WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')`;

export interface CommitSessionOptions {
  readonly databaseUrl: string;
  readonly applicationName: string;
  /** Milliseconds; below the time in which the customer must have an answer. */
  readonly statementTimeoutMs: number;
}

/** A session of a shard, bounded in time. Rejects when the server cannot be reached. */
export async function openShardSession(options: CommitSessionOptions): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  });
  await client.connect();
  const timeoutMs = Math.trunc(options.statementTimeoutMs);
  await client.query(
    `SET synchronous_commit = on; SET jit = off; SET client_min_messages = error;` +
      `SET statement_timeout = ${timeoutMs}; SET lock_timeout = ${timeoutMs};` +
      `SET idle_in_transaction_session_timeout = ${timeoutMs}`,
  );
  await client.query(PATIENCE_SQL);
  return client;
}

/** Rejects also when the server does not keep what it acknowledged. */
export async function openCommitSession(options: CommitSessionOptions): Promise<pg.Client> {
  const client = await openShardSession(options);
  const settings = await client.query<{ name: string; setting: string }>(DURABILITY_SQL);
  for (const { name, setting } of settings.rows) {
    if (setting !== 'on') {
      await client.end();
      throw new Error(`PostgreSQL runs with ${name} = ${setting}: a commit could be lost`);
    }
  }
  // A session pooler may hand over a session that served us before.
  await client.query(`DROP TABLE IF EXISTS pg_temp.batch_rows; ${STAGING_SQL}`);
  return client;
}

/** Gives the staging table a new file, and so a new oldest transaction id. */
export async function renewStaging(client: pg.Client): Promise<void> {
  await client.query('TRUNCATE pg_temp.batch_rows');
}

/** Runs reads that no customer waits for without the session's statement timeout. */
export async function unbounded<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  const { rows } = await client.query<{ statement_timeout: string }>('SHOW statement_timeout');
  await client.query('SET statement_timeout = 0');
  const result = await work();
  await client.query(SET_TIMEOUT_SQL, [rows[0]?.statement_timeout]);
  return result;
}
