/**
 * What all contenders do alike, and as the engine does: a request's identity and hash, the answer,
 * the refusal, and the look-up of a key that is bound. The rest is each one's own.
 */
import type { Pool } from 'pg';
import { effectId } from '../../src/db/effect-id.ts';
import { ORDER_COLUMNS, toOrder } from '../../src/db/order-reader.ts';
import type { OrderRow } from '../../src/db/order-reader.ts';
import { queryRows } from '../../src/db/pool.ts';
import { partitionOf } from '../../src/domain/ids.ts';
import type { OrderId, UserId } from '../../src/domain/ids.ts';
import type { RequestedLine } from '../../src/domain/order.ts';
import type { PlaceOrderOutcome, Refusal } from '../../src/domain/outcome.ts';
import type { PlaceOrder } from '../../src/domain/ports.ts';
import {
  canonicalLines,
  canonicalMetadata,
  freshId,
  orderHash,
} from '../../src/workers/request-identity.ts';
import type { ProductRow } from './order-sql.ts';

const HOLD_MS = 900_000;

export interface AskedOrder {
  readonly id: OrderId;
  readonly userId: UserId;
  /** 32 hex digits. */
  readonly hash: string;
  readonly line: RequestedLine;
  readonly request: PlaceOrder;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** @throws Error for an order of several products or a cart's, which contenders do not sell */
export function askedOrder(request: PlaceOrder): AskedOrder {
  const { userId, idempotencyKey, reference } = request;
  const lines = canonicalLines(request.lines);
  const [line] = lines;
  if (line === undefined || lines.length > 1 || request.cart !== null) {
    throw new Error('a contender sells one product an order');
  }
  const createdAt = Date.now();
  const id = idempotencyKey === null ? freshId(createdAt) : effectId(userId, idempotencyKey);
  const metadata = canonicalMetadata(request.metadata);
  const hash = orderHash({ userId, lines, reference, metadata });
  return { id, userId, hash, line, request, createdAt, expiresAt: createdAt + HOLD_MS };
}

/**
 * $1 to $10 of a statement that places an order: id, customer, hash, partition, product, units,
 * reference, metadata and both times.
 */
export function valuesOf(asked: AskedOrder): unknown[] {
  const { id, userId, hash, line, request, createdAt, expiresAt } = asked;
  const { productId, quantity } = line;
  const notes = [request.reference, canonicalMetadata(request.metadata)];
  const times = [new Date(createdAt).toISOString(), new Date(expiresAt).toISOString()];
  return [id, userId, hash, partitionOf(productId), productId, quantity, ...notes, ...times];
}

type Accepted = Extract<PlaceOrderOutcome, { readonly type: 'accepted' }>;

/** The answer to an order that took effect. */
export function accepted(
  asked: AskedOrder,
  sale: Omit<ProductRow, 'status' | 'stock'> & { readonly sequence: number },
): Accepted {
  const { id, userId, line, request, createdAt, expiresAt } = asked;
  const { name, unitPrice, sequence } = sale;
  const order = {
    id,
    userId,
    status: 'WAITING_PAYMENT' as const,
    items: [{ ...line, name, unitPrice, sequence, shippedAt: null, tracking: null }],
    currency: sale.currency,
    total: unitPrice * line.quantity,
    reference: request.reference,
    metadata: request.metadata,
    payments: [],
    createdAt,
    expiresAt,
  };
  return { type: 'accepted', replayed: false, order };
}

/** Why the product, as it was found or not found, cannot be sold. */
export function refused({ line }: AskedOrder, product: ProductRow | undefined): Refusal {
  const item = { productId: line.productId, requested: line.quantity };
  if (product === undefined) return { type: 'refused', code: 'product-not-found', items: [item] };
  if (product.status !== 'active') {
    return { type: 'refused', code: 'product-not-for-sale', items: [item] };
  }
  const items = [{ ...item, available: product.stock }];
  return { type: 'refused', code: 'out-of-stock', items };
}

const BOUND_TO = /* sql */ `
  SELECT ${ORDER_COLUMNS}, encode(o.request_hash, 'hex') AS hash FROM orders o WHERE o.id = $1`;

/** What the order's id is bound to; null = nothing. */
export async function boundTo(pool: Pool, asked: AskedOrder): Promise<PlaceOrderOutcome | null> {
  const [row] = await queryRows<OrderRow & { readonly hash: string }>(pool, {
    name: 'bound-to',
    text: BOUND_TO,
    values: [asked.id],
  });
  if (row === undefined) return null;
  if (row.hash !== asked.hash) return { type: 'key-reused' };
  return { type: 'accepted', replayed: true, order: toOrder(row) };
}
