/**
 * Connections for reads and for everything else off the commit path, and the one way to query them.
 * The commit path has dedicated sessions of its own: a pool would mix its staging tables up.
 *
 * Invariant: every answer is bounded (I9). Waiting for a connection, running in the server and
 * waiting for a server that no longer answers each end after a fixed time, and the queue for
 * connections has a bound; each is an AppError `database-unavailable`.
 */
import { Pool } from 'pg';
import type { QueryConfig, QueryResultRow } from 'pg';
import { AppError } from '../domain/errors.ts';
import { COLUMN_TYPES } from './column-types.ts';
import { toAppError } from './db-error.ts';

export interface PoolOptions {
  readonly databaseUrl: string;
  /** Connections at most. */
  readonly max: number;
  /** The server cancels a statement after this; waiting for a connection is bounded by it too. */
  readonly statementTimeoutMs: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** An idle connection was lost. The pool replaces it by itself; this is for the log. */
  readonly onError: (error: Error) => void;
}

/** Callers waiting for a connection: a hundred for each of the default ten, seconds of backlog. */
const WAITING_MAX = 1000;
/** A server that hangs cannot cancel; this long after it should have, the client gives up. */
const CANCEL_GRACE_MS = 1000;
const IDLE_TIMEOUT_MS = 30_000;

/** Opens no connection yet. The caller ends it with `pool.end()`. */
export function createPool(options: PoolOptions): Pool {
  const timeoutMs = Math.trunc(options.statementTimeoutMs);
  // Whoever holds locks and stops is thrown out: a batch may wait for one of its rows.
  const timeouts =
    `SET statement_timeout = ${timeoutMs};` +
    `SET idle_in_transaction_session_timeout = ${timeoutMs}`;
  const pool = new Pool({
    connectionString: options.databaseUrl,
    max: options.max,
    application_name: options.applicationName,
    // Not the `statement_timeout` option: pg sends that at startup, where PgBouncer refuses it.
    // oxlint-disable-next-line typescript/no-misused-promises -- awaited; the types do not say so
    onConnect: (client) => client.query(timeouts),
    query_timeout: options.statementTimeoutMs + CANCEL_GRACE_MS,
    connectionTimeoutMillis: options.statementTimeoutMs,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    types: COLUMN_TYPES,
  });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', (error) => {
    // The pool ties the whole client to it, down to the key that cancels its queries: not for a log.
    Reflect.deleteProperty(error, 'client');
    options.onError(error);
  });
  // Nor does it listen to one in use: between two statements of a transaction that is the same end.
  // The next statement reports the loss.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** @throws AppError `database-unavailable` when too many callers wait for a connection already. */
export function assertRoom(pool: Pool): void {
  if (pool.waitingCount < WAITING_MAX) return;
  throw new AppError('database-unavailable', { message: 'too many queries are waiting' });
}

/** One statement in its own transaction; throws AppError `database-unavailable` (see db-error.ts). */
export async function queryRows<Row extends QueryResultRow>(
  pool: Pool,
  query: QueryConfig<unknown[]>,
): Promise<readonly Row[]> {
  assertRoom(pool);
  try {
    const result = await pool.query<Row>(query);
    return result.rows;
  } catch (error) {
    throw toAppError(error);
  }
}
