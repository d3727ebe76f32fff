/**
 * Connections of a contender, made as fast as PostgreSQL lets them be without losing durability.
 */
import pg from 'pg';
import { COLUMN_TYPES } from '../../src/db/column-types.ts';
import { toAppError } from '../../src/db/db-error.ts';
import { assertRoom } from '../../src/db/pool.ts';
import type { ContenderOptions } from './contender.ts';

/** Of a statement, and of a wait for a connection: below the time in which the edge must answer. */
const STATEMENT_MS_MAX = 4_500;
/** Connections that are opened at the same time: more would only queue at the postmaster. */
const OPENING_MAX = 32;

/**
 * Statements are prepared and planned once (the tables are tiny when they are first planned, hence
 * no sequential scans); connections are open before they are needed and stay so.
 */
const SESSION_OPTIONS =
  '-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off ' +
  `-c statement_timeout=${STATEMENT_MS_MAX} ` +
  `-c idle_in_transaction_session_timeout=${STATEMENT_MS_MAX}`;

/** The caller ends it with `pool.end()`. */
export async function openContenderPool(options: ContenderOptions): Promise<pg.Pool> {
  const { databaseUrl, poolMax } = options;
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: poolMax,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: STATEMENT_MS_MAX,
    application_name: 'hedonify-contender',
    options: SESSION_OPTIONS,
    types: COLUMN_TYPES,
  });
  pool.on('error', () => undefined);
  const open: pg.PoolClient[] = [];
  while (open.length < poolMax) {
    const count = Math.min(OPENING_MAX, poolMax - open.length);
    open.push(...(await Promise.all(Array.from({ length: count }, () => pool.connect()))));
  }
  for (const client of open) client.release();
  return pool;
}

/**
 * Work in one transaction, committed if `keep` says so.
 *
 * @throws AppError `database-unavailable` where trying again can help
 */
export async function inContenderTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  keep: (done: T) => boolean,
): Promise<T> {
  assertRoom(pool);
  const client = await pool.connect().catch((error: unknown) => {
    throw toAppError(error);
  });
  try {
    await client.query('BEGIN');
    const done = await work(client);
    await client.query(keep(done) ? 'COMMIT' : 'ROLLBACK');
    client.release();
    return done;
  } catch (error) {
    // It may be in the middle of a transaction: another connection takes its place.
    client.release(true);
    throw toAppError(error);
  }
}
