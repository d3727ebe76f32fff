/** What somebody wants from the shop, and the command that a router makes of it. */
import { partitionOf } from '../../src/domain/ids.ts';
import type { CartId, OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus, StatusDetail } from '../../src/domain/order.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import type { Command, PlaceCommand } from '../../src/domain/wire.ts';

/** The part of a command that makes its request what it is. */
export type Asked =
  | { readonly kind: 'place'; readonly author: UserId; readonly lines: PlaceCommand['lines'] }
  /** `version`, `lines`: as they were read. */
  | {
      readonly kind: 'checkout';
      readonly author: UserId;
      readonly cart: CartId;
      readonly version: number;
      readonly lines: PlaceCommand['lines'];
    }
  | {
      readonly kind: 'change-stock';
      readonly author: UserId;
      readonly productId: ProductId;
      readonly delta: number;
    }
  | {
      readonly kind: 'change-status';
      /** Null = the service itself. */
      readonly author: UserId | null;
      readonly order: PlaceCommand;
      readonly to: OrderStatus;
      readonly detail: StatusDetail | null;
    }
  | {
      readonly kind: 'edit-product';
      readonly author: UserId;
      readonly productId: ProductId;
      readonly ifVersion: number | null;
      readonly changes: ProductChanges;
    };

const FROM: Readonly<Partial<Record<OrderStatus, readonly OrderStatus[]>>> = {
  PAID: ['WAITING_PAYMENT'],
  SHIPPING: ['PAID'],
  COMPLETED: ['SHIPPING'],
  CANCELLED: ['WAITING_PAYMENT', 'PAID'],
};

/** `key`: of the Idempotency-Key; `fresh`: of the request. */
export function commandOf(
  asked: Asked,
  sent: { readonly key: number | null; readonly fresh: number; readonly now: number },
): Command {
  const { key, fresh, now } = sent;
  const id = key === null ? `fresh ${fresh}` : `key ${key}`;
  const requestHash = hashOf(asked);
  const keyed = key !== null;
  const base = { n: 0, requestHash, keyed, receivedAt: now, traceparent: null };
  switch (asked.kind) {
    case 'place':
    case 'checkout': {
      const { author: userId, lines } = asked;
      const rest = { userId, lines, otherShards: null, reference: null, metadata: null };
      const order = { ...base, ...rest, kind: 'place' } as const;
      if (asked.kind === 'place') return { ...order, id: id as OrderId, cart: null };
      const { cart, version } = asked;
      const checkout = `${userId} checks out ${cart}`;
      const boundKey = keyed ? { id, requestHash: checkout } : null;
      const closed = { id: cart, version, key: boundKey };
      return { ...order, keyed: true, id: `order of ${cart}` as OrderId, cart: closed };
    }
    case 'change-stock':
      return { ...base, ...asked, id, reason: 'delivery' };
    case 'change-status': {
      const { kind, author, order, to, detail } = asked;
      const partitions = [...new Set(order.lines.map((line) => partitionOf(line.productId)))];
      const change = { orderId: order.id, partitions, from: FROM[to] ?? [], to, detail };
      return { ...base, ...change, kind, id, reason: null, author };
    }
    case 'edit-product':
      return { ...base, ...asked, id, keyed: false, reason: null };
  }
}

/** An order from a cart has the hash that it would have without one, as in the real router. */
function hashOf(asked: Asked): string {
  switch (asked.kind) {
    case 'place':
    case 'checkout': {
      const lines = asked.lines.map((line) => `${line.quantity} of ${line.productId.slice(-2)}`);
      return `${asked.author} wants ${lines.join()}`;
    }
    case 'change-stock':
      return `${asked.author} adds ${asked.delta} to ${asked.productId.slice(-2)}`;
    case 'change-status':
      return `${asked.author} wants ${asked.order.id} ${asked.to}`;
    case 'edit-product':
      return `${asked.changes.name}`;
  }
}
