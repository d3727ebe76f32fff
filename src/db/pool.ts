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
  const timeout = `SET statement_timeout = ${Math.trunc(options.statementTimeoutMs)}`;
  const pool = new Pool({
    connectionString: options.databaseUrl,
    max: options.max,
    application_name: options.applicationName,
    // Not the `statement_timeout` option: pg sends that at startup, where PgBouncer refuses it.
    // oxlint-disable-next-line typescript/no-misused-promises -- awaited; the types do not say so
    onConnect: (client) => client.query(timeout),
    query_timeout: options.statementTimeoutMs + CANCEL_GRACE_MS,
    connectionTimeoutMillis: options.statementTimeoutMs,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    types: COLUMN_TYPES,
  });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', options.onError);
  return pool;
}

/** One statement in its own transaction; throws AppError `database-unavailable` (see db-error.ts). */
export async function queryRows<Row extends QueryResultRow>(
  pool: Pool,
  query: QueryConfig<unknown[]>,
): Promise<readonly Row[]> {
  if (pool.waitingCount >= WAITING_MAX) {
    throw new AppError('database-unavailable', { message: 'too many queries are waiting' });
  }
  try {
    const result = await pool.query<Row>(query);
    return result.rows;
  } catch (error) {
    throw toAppError(error);
  }
}
