/**
 * The ids and hashes by which a request is known (I3).
 *
 * The id of an effect is a function of customer and Idempotency-Key alone, so that the primary key
 * in PostgreSQL arbitrates repeats for ever, on any node. The request hash covers the customer and
 * the canonical request: equal id and equal hash is a repeat, equal id and another hash is misuse.
 */
import { hash, randomBytes } from 'node:crypto';
import type { OrderId, ProductId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { ChangeStatus, ChangeStock, PlaceOrder } from '../domain/ports.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * A UUIDv8 over customer and key. When the key is itself a UUIDv7 its 48 bits of time are kept, so
 * that neighbours in time are neighbours in the index; 74 bits of hash remain.
 * Source: RFC 9562, section 5.8.
 */
export function effectId(userId: UserId, key: string): OrderId {
  const digits = hash('sha256', `${userId}\0${key}`, 'hex');
  const prefix = UUID_V7.test(key) ? key.slice(0, 13).toLowerCase() : null;
  return uuid(digits, { version: '8', prefix });
}

/** An id for a request without a key: a UUIDv7, which keeps index inserts local. */
export function freshId(now: number): OrderId {
  const time = now.toString(16).padStart(12, '0');
  const prefix = `${time.slice(0, 8)}-${time.slice(8)}`;
  return uuid(randomBytes(16).toString('hex'), { version: '7', prefix });
}

function uuid(
  digits: string,
  form: { readonly version: string; readonly prefix: string | null },
): OrderId {
  const head = form.prefix ?? `${digits.slice(0, 8)}-${digits.slice(8, 12)}`;
  const variant = '89ab'[Number.parseInt(digits.charAt(16), 16) & 3] ?? '8';
  const rest = `${form.version}${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}`;
  return `${head}-${rest}-${digits.slice(20, 32)}` as OrderId;
}

/** One line per product, quantities summed, sorted by product id. */
export function canonicalLines(lines: readonly RequestedLine[]): readonly RequestedLine[] {
  if (lines.length === 1) return lines;
  const units = new Map<ProductId, number>();
  for (const { productId, quantity } of lines) {
    units.set(productId, (units.get(productId) ?? 0) + quantity);
  }
  return [...units]
    .map(([productId, quantity]) => ({ productId, quantity }))
    .toSorted((a, b) => (a.productId < b.productId ? -1 : 1));
}

/** JSON text with sorted keys: the same pairs in another order are the same request. */
export function canonicalMetadata(metadata: PlaceOrder['metadata']): string | null {
  if (metadata === null) return null;
  const pairs = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(pairs));
}

/** 32 lower-case hex digits. `lines` and `metadata` are canonical. */
export function orderHash(order: {
  readonly userId: UserId;
  readonly lines: readonly RequestedLine[];
  readonly reference: string | null;
  readonly metadata: string | null;
}): string {
  let text = `order\0${order.userId}`;
  for (const { productId, quantity } of order.lines) text += `\0${productId}\0${quantity}`;
  if (order.reference !== null || order.metadata !== null) {
    text += `\0${JSON.stringify([order.reference, order.metadata])}`;
  }
  return hash('sha256', text, 'hex').slice(0, 32);
}

/** 32 lower-case hex digits. */
export function stockChangeHash(change: ChangeStock): string {
  const { author, productId, delta, reason } = change;
  const text = `stock\0${author}\0${productId}\0${delta}\0${JSON.stringify(reason)}`;
  return hash('sha256', text, 'hex').slice(0, 32);
}

/** 32 lower-case hex digits. Not over `from`, which is what the author may do and not the request. */
export function statusChangeHash({ author, orderId, to, reason }: ChangeStatus): string {
  const text = `status\0${author}\0${orderId}\0${to}\0${JSON.stringify(reason)}`;
  return hash('sha256', text, 'hex').slice(0, 32);
}
