/**
 * Preloaded into the server (`node --import`): every commit of a batch takes COMMIT_DELAY_MS longer,
 * with its locks held, as on a slow disk. So a shard with one commit in flight can do no more than
 * BATCH_MAX_ORDERS in that time, which makes its capacity known and the same on every machine.
 */
import { isMainThread } from 'node:worker_threads';
import pg from 'pg';

const BATCH = /^BEGIN.*;COMMIT$/s;

const delayMs = Number(process.env['COMMIT_DELAY_MS']);
if (!(delayMs > 0)) throw new Error('COMMIT_DELAY_MS must be a number above 0');

if (!isMainThread) {
  const send = Object.getOwnPropertyDescriptor(pg.Connection.prototype, 'query')?.value;
  if (typeof send !== 'function') throw new Error('pg.Connection has no query');
  // A block returns no row, which would be taken for the report of the merge.
  const slowCommit = `;DO $$ BEGIN PERFORM pg_sleep(${delayMs / 1000}); END $$;COMMIT`;
  pg.Connection.prototype.query = function query(text: string): void {
    const slowed = BATCH.test(text) ? text.replace(/;COMMIT$/, () => slowCommit) : text;
    Reflect.apply(send, this, [slowed]);
  };
}
