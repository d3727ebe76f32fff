/**
 * Settles a batch whose answer was lost (I8): whoever inserts the row of its name in
 * `commit_batches` decides, the batch itself or the claim made here.
 *
 * A claim that inserted has won for ever, also against a transaction that wakes up later: the
 * batch inserts that row plainly and first, and fails. Waiting for the locks of the owner instead
 * would declare a batch dead that has not taken them yet and commits a moment later.
 */
import pg from 'pg';
import type { AbortCause, Committed } from '../domain/batch.ts';
import type { OwnerId } from '../domain/ids.ts';
import { NOTHING_TO_REPORT } from './batch-writer.ts';
import type { BatchTimes } from './batch-writer.ts';

/** How a batch ended. `unknown`: it may have committed, or may commit yet. */
export type CommitEnd =
  | {
      readonly type: 'committed';
      readonly committed: Committed;
      /** Absent when that was found out later. */
      readonly times?: BatchTimes;
    }
  | { readonly type: 'aborted'; readonly cause: AbortCause }
  | { readonly type: 'unknown' };

export interface BatchName {
  readonly ownerId: OwnerId;
  readonly no: number;
}

/** A server process; its id alone may belong to another one by now. */
export interface Backend {
  readonly pid: number;
  /** Seconds since the epoch, to the microsecond. */
  readonly startedAt: string;
}

/** For the transaction that holds the name to end by itself. */
const PATIENCE_SQL = /* sql */ `SET lock_timeout = '200ms'`;
const LOCK_NOT_AVAILABLE = '55P03';

const CLAIM_SQL = /* sql */ `
  INSERT INTO commit_batches (owner_id, no, aborted, orders, committed_at)
  VALUES ($1, $2, true, 0, clock_timestamp()) ON CONFLICT DO NOTHING`;
/** A statement of its own, since the one that ran into the row cannot see it. */
const END_SQL = /* sql */ `
  SELECT aborted, report FROM commit_batches WHERE owner_id = $1 AND no = $2`;

const BACKEND_SQL = /* sql */ `
  SELECT pid, extract(epoch FROM backend_start)::text AS "startedAt"
    FROM pg_stat_activity WHERE pid = pg_backend_pid()`;
const TERMINATE_SQL = /* sql */ `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
   WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2`;

/** The server process behind a session. */
export async function findBackend(client: pg.ClientBase): Promise<Backend> {
  const { rows } = await client.query<Backend>(BACKEND_SQL);
  const [backend] = rows;
  if (backend === undefined) throw new Error('a session that pg_stat_activity does not show');
  return backend;
}

/**
 * How the batch ended, on a session that is not used for anything else. `unknown` while a
 * transaction holds the name: `lost`, the backend that was given the batch, is terminated then,
 * so that asking again will tell.
 */
export async function claimBatch(
  client: pg.ClientBase,
  { ownerId, no }: BatchName,
  lost: Backend | undefined,
): Promise<CommitEnd> {
  await client.query(PATIENCE_SQL);
  try {
    const claim = await client.query(CLAIM_SQL, [ownerId, no]);
    if (claim.rowCount === 1) return { type: 'aborted', cause: { type: 'passing' } };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE) throw error;
    if (lost !== undefined) await client.query(TERMINATE_SQL, [lost.pid, lost.startedAt]);
    return { type: 'unknown' };
  }
  const { rows } = await client.query<{ aborted: boolean; report: Committed | null }>(END_SQL, [
    ownerId,
    no,
  ]);
  const [end] = rows;
  if (end === undefined) throw new Error(`batch ${ownerId}/${no} lost its row`);
  if (end.aborted) return { type: 'aborted', cause: { type: 'passing' } };
  return { type: 'committed', committed: end.report ?? NOTHING_TO_REPORT };
}
