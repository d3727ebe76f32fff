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
    `SELECT merge_batch(${ownerId}, ${no}, '{${owners.join()}}', ${counts.join()});` +
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
export async function writeBatch(client: pg.Client, batch: Batch): Promise<Committed> {
  const { rows, messages } = encodeBatch(batch);
  const query = new BatchQuery(transactionSql(batch, rows), messages);
  client.query(query);
  const end = await query.ended;
  if (end.tag !== 'COMMIT') throw new NotCommittedError(end.tag);
  if (end.report === null) return NOTHING_TO_REPORT;
  // The shape is that of merge_batch in db/merge.sql.
  return JSON.parse(end.report) as Committed;
}

interface BatchEnd {
  /** The last command tag. */
  readonly tag: string;
  /** What merge_batch returned: JSON text or null. */
  readonly report: string | null;
}

/** A pg Submittable: pg calls the `handle...` methods in the order of the server's messages. */
class BatchQuery implements pg.Submittable {
  readonly ended: Promise<BatchEnd>;
  readonly #text: string;
  readonly #copy: Buffer;
  #resolve: (end: BatchEnd) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #tag = 'nothing';
  #report: string | null = null;

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

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    this.#report = message.fields[0] ?? null;
  }

  handleCommandComplete(message: { readonly text: string }): void {
    this.#tag = message.text;
  }

  handleError(error: Error): void {
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    this.#resolve({ tag: this.#tag, report: this.#report });
  }
}
