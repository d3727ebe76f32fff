/**
 * The wire protocol between a router (HTTP thread) and a shard thread. Both ends import only types
 * from here. Everything is plain data that survives a structured clone: no class, no Error, no
 * function. One envelope carries a group, because a post costs far more than what it carries.
 *
 * An answer carries only what its request does not: the router still holds the request, and an
 * accepted or replayed order has, by its hash, the same lines, reference and metadata.
 */
import type { OrderId, ProductId, UserId } from './ids.ts';
import type { RequestedLine } from './order.ts';
import type { Refusal, ShedCode } from './outcome.ts';

interface CommandBase {
  /** The router's number for the waiting request; unique within the router. */
  readonly n: number;
  /** 32 lower-case hex digits over the customer and the canonical request. */
  readonly requestHash: string;
  /** An Idempotency-Key was sent, so that `id` is a function of customer and key. */
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
  readonly reference: string | null;
  /** JSON text of an object of strings, or null. */
  readonly metadata: string | null;
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

export type Command = PlaceCommand | ChangeStockCommand;

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
  | { readonly n: number; readonly type: 'key-reused' }
  | { readonly n: number; readonly type: 'shed'; readonly code: ShedCode };

/** Router to shard. */
export type ToShard =
  | { readonly type: 'commands'; readonly commands: readonly Command[] }
  /** Decide nothing new, commit what was accepted, then end. */
  | { readonly type: 'stop' };

/** Shard to router. */
export type ToRouter =
  | { readonly type: 'ready'; readonly ownerId: number }
  | { readonly type: 'answers'; readonly answers: readonly Answer[] };
