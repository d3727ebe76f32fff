/**
 * Writes one batch in one transaction and one round trip: BEGIN, COPY, merge and COMMIT travel in
 * one simple-query message, with the COPY data right behind it.
 *
 * PostgreSQL reads the data when it gets to the COPY; if it never gets there it discards them
 * (protocol: "Function Call / COPY" - a backend outside of copy mode ignores CopyData and
 * CopyDone). So nothing waits for a CopyInResponse, and on a network disk or a remote database a
 * batch costs one round trip instead of four. The statements cannot be torn apart: an error in one
 * skips the rest of the message, and a COPY outside its BEGIN is impossible.
 *
 * I2: success is the command tag COMMIT and nothing else; the COMMIT of a failed transaction
 *     answers ROLLBACK without an error.
 * I5: the merge locks and checks the owners inside this very transaction.
 */
import type pg from 'pg';
import type { Batch, Committed } from '../domain/batch.ts';
import { encodeBatch, STAGING_COLUMNS } from './copy-encoder.ts';

/** Constant but for integers, which are checked to be integers. */
function transactionSql(batch: Batch, rows: number): string {
  const { ownerId, no, owners, orders, stockChanges, statusChanges, edits } = batch;
  let carts = 0;
  let limited = 0;
  let keyed =
    stockChanges.filter((change) => change.keyed).length +
    statusChanges.filter(({ key }) => key !== null).length;
  for (const order of orders) {
    if (order.limited) limited += 1;
    const { command } = order;
    if (command.cart === null) continue;
    carts += 1;
    if (command.cart.key !== null) keyed += 1;
  }
  const changes = [stockChanges.length, statusChanges.length, keyed];
  const counts = [orders.length, rows, ...changes, carts, edits.length, limited];
  const numbers = [ownerId, no, ...owners, ...counts];
  if (!numbers.every(Number.isSafeInteger)) throw new Error('a batch is named by integers');
  return (
    `BEGIN ISOLATION LEVEL READ COMMITTED;` +
    `COPY pg_temp.batch_rows (${STAGING_COLUMNS}) FROM STDIN;` +
    // The clock is PostgreSQL's own, because the client is told of COPY, merge and COMMIT at once.
    // Columns are evaluated from left to right; now() is when the message arrived, since it begins
    // the transaction. Plain values: to subtract them here cost 4 % of a small batch, in its plan.
    `SELECT now(), clock_timestamp(), merge_batch(${ownerId}, ${no}, '{${owners.join()}}', ` +
    `${counts.join()}), clock_timestamp();` +
    `COMMIT`
  );
}

/** Of a batch whose report is null, as merge_batch returned it or as `commit_batches` has it. */
export const NOTHING_TO_REPORT: Committed = {
  duplicates: [],
  stockAfter: {},
  unchanged: {},
  cartsChanged: [],
  freed: [],
};

/** Milliseconds by PostgreSQL's clock; none is negative, even when that clock is set back. */
export interface BatchTimes {
  /** From the arrival of the batch to the end of its COPY. */
  readonly copyMs: number;
  readonly mergeMs: number;
}

/** The transaction ended without an error, and yet not with COMMIT. */
export class NotCommittedError extends Error {
  override readonly name = 'NotCommittedError';
  /** The last command tag. */
  readonly tag: string;

  constructor(tag: string) {
    super(`the transaction ended with ${tag}, not COMMIT`);
    this.tag = tag;
  }
}

/**
 * Resolves when the COMMIT tag has arrived. Rejects with pg's DatabaseError, a connection error or
 * NotCommittedError; `batchFailure` says what that means. One batch at a time per client.
 */
export async function writeTimedBatch(
  client: pg.Client,
  batch: Batch,
): Promise<{ readonly committed: Committed; readonly times: BatchTimes }> {
  const { rows, messages } = encodeBatch(batch);
  const query = new BatchQuery(transactionSql(batch, rows), messages);
  client.query(query);
  const { tag, row } = await query.ended;
  if (tag !== 'COMMIT') throw new NotCommittedError(tag);
  const [arrived, copied, report = null, merged] = row;
  // The shape is that of merge_batch in db/merge.sql.
  const committed = report === null ? NOTHING_TO_REPORT : (JSON.parse(report) as Committed);
  const times = { copyMs: msBetween(arrived, copied), mergeMs: msBetween(copied, merged) };
  return { committed, times };
}

const DAY_MS = 86_400_000;

/**
 * Milliseconds between two timestamps in UTC as PostgreSQL writes them in any DateStyle, less than
 * half a day apart. 0 when the clock was set back or a text is none of them: the batch is committed,
 * and nothing here may throw. Date.parse would lose the microseconds.
 */
function msBetween(earlier: string | null = null, later: string | null = null): number {
  const passed = (timeOfDayMs(later) - timeOfDayMs(earlier) + DAY_MS) % DAY_MS;
  return passed < DAY_MS / 2 ? passed : 0;
}

/** NaN when there is none. */
function timeOfDayMs(timestamp: string | null): number {
  const time = / (\d\d):(\d\d):([\d.]+)/.exec(timestamp ?? '');
  return (Number(time?.[1]) * 3600 + Number(time?.[2]) * 60 + Number(time?.[3])) * 1000;
}

/** The same for whoever does not ask how long it took. */
export async function writeBatch(client: pg.Client, batch: Batch): Promise<Committed> {
  return (await writeTimedBatch(client, batch)).committed;
}

type Row = readonly (string | null)[];

interface BatchEnd {
  /** The last command tag. */
  readonly tag: string;
  /** What was read around the merge, and what merge_batch returned: JSON text or null. */
  readonly row: Row;
}

/** A pg Submittable: pg calls the `handle...` methods in the order of the server's messages. */
class BatchQuery implements pg.Submittable {
  readonly ended: Promise<BatchEnd>;
  readonly #text: string;
  readonly #copy: Buffer;
  #resolve: (end: BatchEnd) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #tag = 'nothing';
  #row: Row = [];

  constructor(text: string, copy: Buffer) {
    this.#text = text;
    this.#copy = copy;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: pg.Connection): void {
    connection.stream.cork();
    connection.query(this.#text);
    connection.stream.write(this.#copy);
    connection.stream.uncork();
  }

  /** The data is on its way already. */
  handleCopyInResponse(): void {}

  handleRowDescription(): void {}

  handleDataRow(message: { readonly fields: Row }): void {
    this.#row = message.fields;
  }

  handleCommandComplete(message: { readonly text: string }): void {
    this.#tag = message.text;
  }

  handleError(error: Error): void {
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    this.#resolve({ tag: this.#tag, row: this.#row });
  }
}
