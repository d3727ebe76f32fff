/** What a shard hands to the commit loop: one transaction, all of it or nothing. */
import type { OrderId, OwnerId, PartitionId, ProductId, UserId } from './ids.ts';
import type { OrderStatus, RequestedLine, StatusDetail } from './order.ts';
import type { FreedUnits } from './product.ts';
import type {
  AcceptedOrder,
  BoundKey,
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from './wire.ts';

/** An accepted order: the request and, beside it, what the owner decided. */
export interface DecidedOrder {
  readonly command: PlaceCommand;
  /** The lowest partition among the lines: its owner commits the order. */
  readonly homePartition: PartitionId;
  /** Minor units. */
  readonly total: number;
  /** One of its products has a limit per customer. */
  readonly limited: boolean;
  /** Stamped when it was decided; `lines` stand in the order of `command.lines`. */
  readonly order: AcceptedOrder;
}

/**
 * A change of an order's status. The guarded update in the batch decides whether it takes place, so
 * that of two changes of one order only one can.
 */
export interface StatusChange {
  readonly orderId: OrderId;
  /** Statuses that may become `to`. */
  readonly from: readonly OrderStatus[];
  readonly to: OrderStatus;
  readonly detail: StatusDetail | null;
  readonly reason: string | null;
  /** Null = the service itself: an expiry, a payment that was confirmed. */
  readonly author: UserId | null;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Bound to the change in the same transaction, if it takes place. */
  readonly key: BoundKey | null;
}

export interface Batch {
  /** The committing owner. */
  readonly ownerId: OwnerId;
  /** Rises by one per batch of an owner; (ownerId, no) names the batch for ever. */
  readonly no: number;
  /** When the first of its decisions was made, milliseconds since the epoch. */
  readonly openedAt: number;
  /** Every owner whose products the batch touches and the committing one, ascending (I5). */
  readonly owners: readonly OwnerId[];
  readonly orders: readonly DecidedOrder[];
  readonly stockChanges: readonly ChangeStockCommand[];
  /** At most one per order. */
  readonly statusChanges: readonly StatusChange[];
  /** An edit is alone in its batch. */
  readonly edits: readonly EditProductCommand[];
}

/** What the merge reports of a batch that committed. */
export interface Committed {
  /**
   * Ids that were bound already and had no effect in this batch: of orders, of stock changes, and
   * of the keys of status changes. An order whose cart came with a key that was bound is one too.
   */
  readonly duplicates: readonly string[];
  /** Units in stock right after each stock change, by its id. */
  readonly stockAfter: Readonly<Record<string, number>>;
  /**
   * Orders that did not get the status: the one that they have. Where that one may become the new
   * one, the change took effect in part: lines were shipped, and others are not.
   */
  readonly unchanged: Readonly<Record<string, OrderStatus>>;
  /** Orders without an effect, since their cart was not open at their version. */
  readonly cartsChanged: readonly OrderId[];
  /** What status changes to EXPIRED or CANCELLED freed; each product once. */
  readonly freed: readonly FreedUnits[];
}

/** Why nothing of a batch took effect, nor ever will. */
export type AbortCause =
  /** These of the batch's owners are fenced. */
  | { readonly type: 'fenced'; readonly owners: readonly OwnerId[] }
  /**
   * What the batch says contradicts what PostgreSQL has (CHECK, unique key, data error): the same
   * batch would fail again. `id`: the product or order to blame, where PostgreSQL names one.
   */
  | { readonly type: 'rejected'; readonly id: string | null }
  /** Deadlock, timeout, no room, connection lost: the same batch can succeed under a new number. */
  | { readonly type: 'passing' };

/** An order that expires unless it is paid. */
export interface ExpiringOrder {
  readonly orderId: OrderId;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Whichever shards own their products. */
  readonly lines: readonly RequestedLine[];
}

/** An order or another keyed effect as PostgreSQL has it, found by its id. */
export type StoredEffect =
  | {
      readonly kind: 'order';
      readonly id: OrderId;
      readonly requestHash: string;
      /** Sorted by product id, as the canonical request. */
      readonly lines: readonly { readonly productId: ProductId }[];
      readonly order: AcceptedOrder;
    }
  | {
      readonly kind: 'stock-change';
      readonly id: string;
      readonly requestHash: string;
      /** Units in stock right after the change. */
      readonly available: number;
    }
  | { readonly kind: 'status-change'; readonly id: string; readonly requestHash: string }
  /** Of a command that no batch carries. */
  | { readonly kind: 'other'; readonly id: string; readonly requestHash: string };
