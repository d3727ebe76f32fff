/**
 * The ids and hashes by which a request to the owner of a product is known (I3).
 *
 * The id of an effect is a function of customer and Idempotency-Key (db/effect-id.ts), or of customer
 * and cart, so that the primary key in PostgreSQL arbitrates repeats for ever. The request hash covers the customer and
 * the canonical request: equal id and equal hash is a repeat, equal id and another hash is misuse.
 */
import { randomBytes } from 'node:crypto';
import { effectId, requestHashOf, uuidOf } from '../db/effect-id.ts';
import type { CartId, OrderId, ProductId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { ChangeStatus, ChangeStock, EditProduct, PlaceOrder } from '../domain/ports.ts';

/** The one order that a cart can become. No key has a space, so none has this id. */
export function checkoutId(userId: UserId, cartId: CartId): OrderId {
  return effectId(userId, `cart ${cartId}`);
}

/** An id for a request without a key: a UUIDv7, which keeps index inserts local. */
export function freshId(now: number): OrderId {
  const time = now.toString(16).padStart(12, '0');
  const prefix = `${time.slice(0, 8)}-${time.slice(8)}`;
  return uuidOf(randomBytes(16).toString('hex'), { version: '7', prefix });
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
  return requestHashOf(text);
}

/** 32 lower-case hex digits. */
export function stockChangeHash(change: ChangeStock): string {
  const { author, productId, delta, reason } = change;
  const text = `stock\0${author}\0${productId}\0${delta}\0${JSON.stringify(reason)}`;
  return requestHashOf(text);
}

/**
 * 32 lower-case hex digits, for the key of a checkout. Not over the lines: the same request finds
 * the cart as it is.
 */
export function checkoutHash(checkout: {
  readonly userId: UserId;
  readonly cartId: CartId;
  readonly reference: string | null;
  readonly metadata: string | null;
}): string {
  const { userId, cartId, reference, metadata } = checkout;
  return requestHashOf(`checkout\0${userId}\0${cartId}\0${JSON.stringify([reference, metadata])}`);
}

/** 32 lower-case hex digits. Not over `from`, which is what the author may do and not the request. */
export function statusChangeHash({ author, orderId, to, detail, reason }: ChangeStatus): string {
  const tracking = detail?.kind === 'shipment' ? `\0${JSON.stringify(detail.tracking)}` : '';
  return requestHashOf(
    `status\0${author}\0${orderId}\0${to}\0${JSON.stringify(reason)}${tracking}`,
  );
}

/** 32 lower-case hex digits. */
export function editHash({ author, productId, ifVersion, changes, reason }: EditProduct): string {
  return requestHashOf(
    `edit\0${author}\0${productId}\0${JSON.stringify([ifVersion, changes, reason])}`,
  );
}
