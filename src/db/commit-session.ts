/**
 * A dedicated PostgreSQL session for commits: durable, bounded in time, with its own staging table.
 *
 * I2: a session on a server that could lose an acknowledged COMMIT is refused, not tolerated.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';

const STAGING_SQL = readFileSync(new URL('../../db/staging.sql', import.meta.url), 'utf8');

const DURABILITY_SQL = /* sql */ `
  SELECT name, setting FROM pg_settings
   WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')`;

export interface CommitSessionOptions {
  readonly databaseUrl: string;
  readonly applicationName: string;
  /** Milliseconds; below the time in which the customer must have an answer. */
  readonly statementTimeoutMs: number;
}

/** Rejects when the server cannot be reached or does not keep what it acknowledged. */
export async function openCommitSession(options: CommitSessionOptions): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    keepAlive: true,
  });
  await client.connect();
  const timeoutMs = Math.trunc(options.statementTimeoutMs);
  await client.query(
    `SET synchronous_commit = on; SET jit = off; SET client_min_messages = error;` +
      `SET statement_timeout = ${timeoutMs}; SET lock_timeout = ${timeoutMs};` +
      `SET idle_in_transaction_session_timeout = ${timeoutMs}`,
  );
  const settings = await client.query<{ name: string; setting: string }>(DURABILITY_SQL);
  for (const { name, setting } of settings.rows) {
    if (setting !== 'on') {
      await client.end();
      throw new Error(`PostgreSQL runs with ${name} = ${setting}: a commit could be lost`);
    }
  }
  await client.query(STAGING_SQL);
  return client;
}
