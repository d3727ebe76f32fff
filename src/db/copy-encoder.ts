/**
 * Encodes a batch as rows of COPY's text format for `pg_temp.batch_rows` (db/staging.sql), columns
 * in the order of `STAGING_COLUMNS`.
 *
 * Text, not binary: one string that grows by concatenation and one UTF-8 encoding at the end cost
 * less in JavaScript than writing every field into a buffer.
 * Source of the format: PostgreSQL manual, COPY, "Text Format".
 */
import type { Batch, DecidedOrder, StatusChange } from '../domain/batch.ts';
import type { ChangeStockCommand, EditProductCommand } from '../domain/wire.ts';

export const STAGING_COLUMNS =
  'kind, id, product_id, quantity, unit_price, sequence, name, user_id, request_hash, ' +
  'home_partition, currency, total, reference, metadata, created_at, expires_at';

export interface EncodedBatch {
  readonly rows: number;
  /** Protocol messages ready to be written: one CopyData with all rows, then CopyDone. */
  readonly messages: Buffer;
}

export function encodeBatch(batch: Batch): EncodedBatch {
  let rows = 0;
  let text = '';
  for (const order of batch.orders) {
    rows += order.command.lines.length;
    text += encodeOrder(order);
  }
  for (const order of batch.orders) {
    if (order.command.cart === null) continue;
    rows += order.command.cart.key === null ? 1 : 2;
    text += encodeCart(order);
  }
  for (const change of batch.stockChanges) {
    rows += 1;
    text += encodeStockChange(change);
  }
  for (const change of batch.statusChanges) {
    rows += 1;
    text += encodeStatusChange(change);
  }
  for (const edit of batch.edits) {
    rows += 1;
    text += encodeEdit(edit);
  }
  return { rows, messages: copyMessages(text) };
}

/**
 * Source: PostgreSQL manual, "Message Formats": a type byte, then a length that counts itself.
 * Framed here, since pg's own framing would copy the data once more.
 */
function copyMessages(text: string): Buffer {
  const bytes = Buffer.byteLength(text, 'utf8');
  const messages = Buffer.allocUnsafe(bytes + 10);
  messages[0] = 0x64; // d: CopyData
  messages.writeInt32BE(bytes + 4, 1);
  messages.write(text, 5, 'utf8');
  messages[bytes + 5] = 0x63; // c: CopyDone
  messages.writeInt32BE(4, bytes + 6);
  return messages;
}

/**
 * The order or product that a row of the batch is about, rows counted from 1 as COPY counts lines;
 * undefined when the batch has no such row.
 */
export function subjectOfRow(batch: Batch, row: number): string | undefined {
  let last = 0;
  for (const { command } of batch.orders) {
    last += command.lines.length;
    if (row <= last) return command.id;
  }
  for (const { command } of batch.orders) {
    if (command.cart === null) continue;
    last += command.cart.key === null ? 1 : 2;
    if (row <= last) return command.id;
  }
  const subjects = [
    ...batch.stockChanges.map(({ productId }) => productId),
    ...batch.statusChanges.map(({ orderId }) => orderId),
    ...batch.edits.map(({ productId }) => productId),
  ];
  return subjects[row - last - 1];
}

/** The order with its first line, then a short row per further line. */
function encodeOrder({ command, homePartition, total, order }: DecidedOrder): string {
  let text = '';
  for (let i = 0; i < command.lines.length; i += 1) {
    const line = command.lines[i];
    const accepted = order.lines[i];
    if (line === undefined || accepted === undefined) throw new Error('an order lost a line');
    const fields =
      `${command.id}\t${line.productId}\t${line.quantity}\t${accepted.unitPrice}\t` +
      `${accepted.sequence}\t${escape(accepted.name)}`;
    if (i > 0) {
      text += `l\t${fields}\t${command.userId}\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n`;
      continue;
    }
    text +=
      `o\t${fields}\t${command.userId}\t\\\\x${command.requestHash}\t${homePartition}\t` +
      `${order.currency}\t${total}\t${nullable(command.reference)}\t` +
      `${nullable(command.metadata)}\t${timestamp(order.createdAt)}\t${timestamp(order.expiresAt)}\n`;
  }
  return text;
}

/** The cart to close, and the key that claims its id as below. */
function encodeCart({ command, homePartition, order }: DecidedOrder): string {
  const { cart, id, userId } = command;
  if (cart === null) return '';
  const text = `c\t${id}\t${cart.id}\t${cart.version}\t\\N\t\\N\t\\N\t${userId}${NULLS_AFTER_USER}`;
  if (cart.key === null) return text;
  const time = timestamp(order.createdAt);
  return (
    `${text}b\t${cart.key.id}\t${id}\t0\t\\N\t\\N\t\\N\t${userId}\t` +
    `\\\\x${cart.key.requestHash}\t${homePartition}\tXXX\t0\t\\N\t\\N\t${time}\t${time}\n`
  );
}

/** From request_hash to the end of the row. */
const NULLS_AFTER_USER = `${'\t\\N'.repeat(8)}\n`;

/** A keyed change claims its id with a row in `orders`, of no value in no currency (ISO 4217). */
function encodeStockChange(change: ChangeStockCommand): string {
  const time = timestamp(change.receivedAt);
  return (
    `${change.keyed ? 'k' : 's'}\t${change.id}\t${change.productId}\t${change.delta}\t\\N\t\\N\t` +
    `${escape(change.reason)}\t${change.author}\t\\\\x${change.requestHash}\t` +
    `0\tXXX\t0\t\\N\t\\N\t${time}\t${time}\n`
  );
}

/** A keyed one claims its id as above. Statuses need no escaping, neither in COPY nor in an array. */
function encodeStatusChange(change: StatusChange): string {
  const { key, orderId, detail } = change;
  const time = timestamp(change.at);
  return (
    `${key === null ? 't' : 'u'}\t${key?.id ?? orderId}\t${orderId}\t0\t\\N\t\\N\t` +
    `${nullable(change.reason)}\t${change.author ?? '\\N'}\t` +
    `${key === null ? '\\N' : `\\\\x${key.requestHash}`}\t` +
    `0\t${change.to}\t0\t{${change.from.join()}}\t` +
    `${nullable(detail === null ? null : JSON.stringify(detail))}\t${time}\t${time}\n`
  );
}

function encodeEdit({ id, productId, reason, author, changes, receivedAt }: EditProductCommand) {
  return (
    `e\t${id}\t${productId}\t0\t\\N\t\\N\t${nullable(reason)}\t${author}\t\\N\t\\N\t\\N\t` +
    `\\N\t\\N\t${escape(JSON.stringify(changes))}\t${timestamp(receivedAt)}\t\\N\n`
  );
}

const SPECIAL = /[\\\t\n\r]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

function escape(text: string): string {
  return text.replace(SPECIAL, (character) => ESCAPES[character] ?? character);
}

function nullable(text: string | null): string {
  return text === null ? '\\N' : escape(text);
}

/** Orders of a batch share few milliseconds; formatting one costs more than the rest of its row. */
const formatted = new Map<number, string>();
const FORMATTED_MAX = 4096;

function timestamp(ms: number): string {
  let text = formatted.get(ms);
  if (text === undefined) {
    if (formatted.size >= FORMATTED_MAX) formatted.clear();
    text = new Date(ms).toISOString();
    formatted.set(ms, text);
  }
  return text;
}
