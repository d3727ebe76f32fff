/**
 * The wire protocol between a router (HTTP thread) and a shard thread, and between two shard
 * threads. All ends import only types from here. Everything is plain data that survives a structured
 * clone: no class, no Error, no function. One envelope carries a group, because a post costs far more
 * than what it carries.
 *
 * An answer carries only what its request does not: the router still holds the request, and an
 * accepted or replayed order has, by its hash, the same lines, reference and metadata.
 */
import type { OrderId, PartitionId, ProductId, UserId } from './ids.ts';
import type { CartVersion, OrderStatus, RequestedLine, StatusDetail } from './order.ts';
import type { LineReport, Refusal, ShedCode } from './outcome.ts';
import type { FreedUnits, ProductChanges } from './product.ts';

interface CommandBase {
  /** The router's number for the waiting request; unique within the router. */
  readonly n: number;
  /** 32 lower-case hex digits over the customer and the canonical request. */
  readonly requestHash: string;
  /** `id` is a function of what was sent (customer and key, or customer and cart). */
  readonly keyed: boolean;
  /** Wall clock of the router, milliseconds since the epoch. */
  readonly receivedAt: number;
  /** W3C trace context, or null. */
  readonly traceparent: string | null;
}

export interface PlaceCommand extends CommandBase {
  readonly kind: 'place';
  readonly id: OrderId;
  readonly userId: UserId;
  /** Canonical: summed per product, sorted by product id. Never empty. */
  readonly lines: readonly RequestedLine[];
  /** Shards other than the home shard that own lines; null when the home shard owns them all. */
  readonly otherShards: readonly number[] | null;
  readonly reference: string | null;
  /** JSON text of an object of strings, or null. */
  readonly metadata: string | null;
  /** What the order was checked out from, and the Idempotency-Key that was sent with it. */
  readonly cart: (CartVersion & { readonly key: BoundKey | null }) | null;
}

/** An Idempotency-Key beside an effect whose id is not made of it. */
export interface BoundKey {
  /** The id of the effect that the key would have. */
  readonly id: string;
  readonly requestHash: string;
}

export interface ChangeStockCommand extends CommandBase {
  readonly kind: 'change-stock';
  /** The id of the effect: the primary key that makes a keyed change happen once (I3). */
  readonly id: string;
  readonly productId: ProductId;
  readonly delta: number;
  readonly reason: string;
  readonly author: UserId;
}

export interface ChangeStatusCommand extends CommandBase {
  readonly kind: 'change-status';
  /** The id of the effect, as for a stock change. */
  readonly id: string;
  readonly orderId: OrderId;
  /** Of the order's products. */
  readonly partitions: readonly PartitionId[];
  readonly from: readonly OrderStatus[];
  readonly to: OrderStatus;
  readonly detail: StatusDetail | null;
  readonly reason: string | null;
  /** Null = the service itself. */
  readonly author: UserId | null;
}

export interface EditProductCommand extends CommandBase {
  readonly kind: 'edit-product';
  readonly id: string;
  readonly productId: ProductId;
  /** The version that the edit is for; null = whichever. */
  readonly ifVersion: number | null;
  readonly changes: ProductChanges;
  readonly reason: string | null;
  readonly author: UserId;
}

export type Command = PlaceCommand | ChangeStockCommand | ChangeStatusCommand | EditProductCommand;

/** What an accepted line adds to its requested line; same order as the canonical request. */
export interface AcceptedLine {
  readonly name: string;
  readonly unitPrice: number;
  readonly sequence: number;
}

/** The first answer to an order: what the window keeps and PostgreSQL can rebuild. */
export interface AcceptedOrder {
  readonly currency: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lines: readonly AcceptedLine[];
}

export type Answer =
  | {
      readonly n: number;
      readonly type: 'accepted';
      readonly replayed: boolean;
      readonly order: AcceptedOrder;
    }
  | {
      readonly n: number;
      readonly type: 'changed';
      readonly replayed: boolean;
      readonly available: number;
    }
  | { readonly n: number; readonly type: 'refused'; readonly refusal: Refusal }
  | { readonly n: number; readonly type: 'insufficient-stock'; readonly available: number }
  | { readonly n: number; readonly type: 'status-changed'; readonly replayed: boolean }
  /** The order stayed as it was: it has this status. */
  | { readonly n: number; readonly type: 'status-kept'; readonly status: OrderStatus }
  | { readonly n: number; readonly type: 'cart-changed' }
  /** `version`: the one that the edit made. */
  | { readonly n: number; readonly type: 'edited'; readonly version: number }
  /** `version`: the one that the product has. */
  | { readonly n: number; readonly type: 'version-differs'; readonly version: number }
  | { readonly n: number; readonly type: 'key-reused' }
  | { readonly n: number; readonly type: 'shed'; readonly code: ShedCode };

/** Router to shard. */
export interface ToShard {
  readonly type: 'commands';
  readonly commands: readonly Command[];
}

/** Shard to router. */
export type ToRouter =
  | { readonly type: 'ready' }
  /** Whether the shard can prove at the moment that it owns its products; after each change. */
  | { readonly type: 'proven'; readonly proven: boolean }
  | { readonly type: 'answers'; readonly answers: readonly Answer[] };

/**
 * Shard to shard. A hold is named by the home shard's owner and the attempt; the owner is the one
 * at the other end, since a channel joins two incarnations and ends with either of them.
 */
export type PeerMessage =
  /** Home to holder: take these lines, or (`take` false) only say whether you could. */
  | {
      readonly type: 'hold';
      readonly attempt: number;
      readonly orderId: OrderId;
      readonly userId: UserId;
      readonly take: boolean;
      readonly receivedAt: number;
      readonly lines: readonly RequestedLine[];
    }
  /** Holder to home. `taken`: in the order of the lines; null when nothing was taken. */
  | {
      readonly type: 'held';
      readonly attempt: number;
      readonly reports: readonly LineReport[];
      readonly taken: readonly AcceptedLine[] | null;
    }
  /** Holder to home: nothing was decided about the hold. */
  | { readonly type: 'hold-shed'; readonly attempt: number; readonly code: ShedCode }
  /** Home to holder: the order of the hold committed. */
  | { readonly type: 'settle'; readonly attempt: number }
  /** Home to holder: it did not and never will. `diverged`: a product whose stock PostgreSQL denied. */
  | { readonly type: 'release'; readonly attempt: number; readonly diverged: ProductId | null }
  /** Home to the owner of products: a status change that committed freed these units. */
  | { readonly type: 'freed'; readonly freed: readonly FreedUnits[] };
