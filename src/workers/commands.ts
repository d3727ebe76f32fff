/** Turns requests into the commands that travel to their shards: names and hashes them. */
import { effectId } from '../db/effect-id.ts';
import type { PartitionId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { ChangeStatus, ChangeStock, EditProduct, PlaceOrder } from '../domain/ports.ts';
import type {
  ChangeStatusCommand,
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from '../domain/wire.ts';
import {
  canonicalMetadata,
  checkoutHash,
  checkoutId,
  editHash,
  freshId,
  orderHash,
  statusChangeHash,
  stockChangeHash,
} from './request-identity.ts';

interface Arrival {
  /** The router's number of the request. */
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** `lines` are canonical. */
export function placeCommand(
  request: PlaceOrder,
  arrival: Arrival & {
    readonly lines: readonly RequestedLine[];
    readonly otherShards: readonly number[] | null;
  },
): PlaceCommand {
  const { n, now, lines, otherShards } = arrival;
  const { userId, idempotencyKey, reference, traceparent } = request;
  const metadata = canonicalMetadata(request.metadata);
  const cart = cartOf(request, metadata);
  return {
    kind: 'place',
    n,
    id: cart === null ? idOf({ userId, key: idempotencyKey, now }) : checkoutId(userId, cart.id),
    requestHash: orderHash({ userId, lines, reference, metadata }),
    keyed: idempotencyKey !== null || cart !== null,
    receivedAt: now,
    traceparent,
    userId,
    lines,
    otherShards,
    reference,
    metadata,
    cart,
  };
}

function cartOf(request: PlaceOrder, metadata: string | null): PlaceCommand['cart'] {
  const { cart, userId, idempotencyKey, reference } = request;
  if (cart === null) return null;
  if (idempotencyKey === null) return { ...cart, key: null };
  const requestHash = checkoutHash({ userId, cartId: cart.id, reference, metadata });
  return { ...cart, key: { id: effectId(userId, idempotencyKey), requestHash } };
}

export function stockCommand(request: ChangeStock, { n, now }: Arrival): ChangeStockCommand {
  const { author, idempotencyKey: key, productId, delta, reason, traceparent } = request;
  return {
    kind: 'change-stock',
    n,
    id: idOf({ userId: author, key, now }),
    requestHash: stockChangeHash(request),
    keyed: key !== null,
    receivedAt: now,
    traceparent,
    productId,
    delta,
    reason,
    author,
  };
}

export function statusCommand(
  request: ChangeStatus,
  { n, now, partitions }: Arrival & { readonly partitions: readonly PartitionId[] },
): ChangeStatusCommand {
  const { author, idempotencyKey: key, orderId, from, to, detail, reason, traceparent } = request;
  return {
    kind: 'change-status',
    n,
    id: idOf({ userId: author, key, now }),
    requestHash: statusChangeHash(request),
    keyed: key !== null,
    receivedAt: now,
    traceparent,
    orderId,
    partitions,
    from,
    to,
    detail,
    reason,
    author,
  };
}

export function editCommand(request: EditProduct, { n, now }: Arrival): EditProductCommand {
  const { author, productId, ifVersion, changes, reason, traceparent } = request;
  return {
    kind: 'edit-product',
    n,
    id: freshId(now),
    requestHash: editHash(request),
    keyed: false,
    receivedAt: now,
    traceparent,
    productId,
    ifVersion,
    changes,
    reason,
    author,
  };
}

function idOf(request: {
  readonly userId: UserId | null;
  readonly key: string | null;
  readonly now: number;
}) {
  const { userId, key, now } = request;
  if (key === null) return freshId(now);
  if (userId === null) throw new Error('the service itself sent a key');
  return effectId(userId, key);
}
