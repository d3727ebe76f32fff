/**
 * The one table from what PostgreSQL, pg or the network reports to what is done about it. The
 * commit path and the reads share it; neither looks at an SQLSTATE of its own, except the ones
 * that merge_batch raises.
 */
import { AppError } from '../domain/errors.ts';

/**
 * - `unavailable`: no working server, or none in time. Nothing about the statement is wrong; after
 *   a COMMIT that may have been sent the outcome is unknown, otherwise nothing happened.
 * - `retry`: the server rolled the transaction back to let another one through; send it again.
 * - `fail`: a defect of ours or of the data. Sending it again cannot help.
 */
export type ErrorPolicy = 'unavailable' | 'retry' | 'fail';

/**
 * By SQLSTATE, the whole code before its class of two characters. Source: PostgreSQL's appendix A.
 */
const SQLSTATE_POLICY: Readonly<Record<string, ErrorPolicy>> = {
  '08': 'unavailable', // connection exception
  '53': 'unavailable', // insufficient resources: connections, memory, disk
  '25P03': 'unavailable', // idle in transaction for too long: the server ended the session
  '25P04': 'unavailable', // transaction timeout: the server ended the session
  '25006': 'unavailable', // read-only: a standby, while a failover is under way
  '40001': 'retry', // serialization failure
  '40P01': 'retry', // deadlock
  '55P03': 'unavailable', // lock not available within lock_timeout
  '57014': 'unavailable', // cancelled by statement_timeout
  '57P01': 'unavailable', // admin shutdown
  '57P02': 'unavailable', // crash shutdown
  '57P03': 'unavailable', // starting up, shutting down or recovering
  '57P05': 'unavailable', // idle session timeout
  '58': 'unavailable', // system error: the disk or the machine below PostgreSQL
};

/**
 * Error codes of Node while it connects, writes or reads, and of silence.ts. ENOENT is a missing
 * Unix socket, EADDRNOTAVAIL a machine without a free port.
 */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ETIMEDOUT',
]);

/** pg and pg-pool report these without a code (pg 8.23: lib/client.js, pg-pool/index.js). */
const DRIVER_MESSAGES: ReadonlySet<string> = new Set([
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Connection terminated',
  'Connection terminated due to connection timeout',
  'Connection terminated unexpectedly',
  'Query read timeout',
  'There was an error establishing an SSL connection',
  'timeout exceeded when trying to connect',
  'timeout expired',
]);

const SQLSTATE = /^[0-9A-Z]{5}$/;

/** What to do about an error that a query, a connect or a COPY ended with. */
export function errorPolicy(error: unknown): ErrorPolicy {
  if (!(error instanceof Error)) {
    return 'fail';
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Network first: `EPIPE` has the form of an SQLSTATE.
  if (NETWORK_CODES.has(code) || DRIVER_MESSAGES.has(error.message)) {
    return 'unavailable';
  }
  if (SQLSTATE.test(code)) {
    return SQLSTATE_POLICY[code] ?? SQLSTATE_POLICY[code.slice(0, 2)] ?? 'fail';
  }
  return 'fail';
}

/**
 * Whether a later try can succeed although nothing is repaired but PostgreSQL and the way to it, on
 * another session if need be. Everything else is a defect of ours or of the installation.
 */
export function isPassing(error: unknown): boolean {
  return errorPolicy(error) !== 'fail';
}

/**
 * The error to throw to callers outside db/: AppError `database-unavailable` with the cause where
 * trying again later can help, the error itself otherwise.
 */
export function toAppError(error: unknown): unknown {
  return isPassing(error) ? new AppError('database-unavailable', { cause: error }) : error;
}
