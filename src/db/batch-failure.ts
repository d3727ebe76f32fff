/**
 * What it means for a batch that writing it failed: nothing of it took effect and why, or that only
 * PostgreSQL can tell. Which SQLSTATE passes by itself is the table in db-error.ts.
 *
 * BEGIN, COPY, merge and COMMIT are one message, and an error of one of its statements skips the
 * rest. So such an error proves that COMMIT never ran, and that the server will roll back. A lost
 * connection proves nothing, and neither does FATAL, which is why one is lost. Nor does a cancelled
 * statement (57014): the timeout can strike when the COMMIT is done and its tag not yet sent.
 *
 * I8: `unknown` is said whenever in doubt; whoever gets it settles the batch from PostgreSQL.
 */
import { DatabaseError } from 'pg';
import type { AbortCause, Batch } from '../domain/batch.ts';
import type { OwnerId } from '../domain/ids.ts';
import { NotCommittedError } from './batch-writer.ts';
import { subjectOfRow } from './copy-encoder.ts';
import { errorPolicy } from './db-error.ts';

const QUERY_CANCELED = '57014';
/** Raised by merge_batch; DETAIL is the array of fenced owners. */
const FENCED = 'HF001';
/**
 * Data, constraints, transaction conflicts and what merge_batch raises: never the end of a session.
 * `severity` says so as well, but in the language of the server.
 */
const STATEMENT_CLASSES: ReadonlySet<string> = new Set(['22', '23', '40', 'HF']);
/** The first column of what PostgreSQL shows of a row or a key is that of the product or order. */
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
/** CONTEXT of an error in the staged data, in whatever language "line" is. */
const COPY_LINE = /^COPY batch_rows\D*(\d+)/m;

/** `error`: what `writeBatch` rejected with. */
export function batchFailure(error: unknown, batch: Batch): AbortCause | 'unknown' {
  if (error instanceof NotCommittedError) {
    // Any other tag means that the session is out of step with us.
    return error.tag === 'ROLLBACK' ? { type: 'passing' } : 'unknown';
  }
  if (!(error instanceof DatabaseError) || !isOfStatement(error)) return 'unknown';
  if (error.code === FENCED) {
    const owners = error.detail?.match(/\d+/g) ?? [];
    return { type: 'fenced', owners: owners.map((id) => Number(id) as OwnerId) };
  }
  // Somebody could not learn whether this batch ended and declared it aborted.
  const nameIsTaken = error.constraint === 'commit_batches_pkey';
  if (nameIsTaken || errorPolicy(error) !== 'fail') return { type: 'passing' };
  return { type: 'rejected', id: blamed(error, batch) };
}

function isOfStatement({ code = '', severity }: DatabaseError): boolean {
  if (code === QUERY_CANCELED) return false;
  return severity === 'ERROR' || STATEMENT_CLASSES.has(code.slice(0, 2));
}

/** The product or order that PostgreSQL names, or null. */
function blamed({ where, detail }: DatabaseError, batch: Batch): string | null {
  const line = COPY_LINE.exec(where ?? '')?.[1];
  if (line !== undefined) return subjectOfRow(batch, Number(line)) ?? null;
  return UUID.exec(detail ?? '')?.[0] ?? null;
}
