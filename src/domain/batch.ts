/** What a shard hands to the commit loop: one transaction, all of it or nothing. */
import type { OrderId, OwnerId, PartitionId, ProductId, UserId } from './ids.ts';
import type { OrderLine } from './order.ts';
import type { AcceptedOrder } from './wire.ts';

export interface DecidedOrder {
  readonly id: OrderId;
  readonly userId: UserId;
  readonly requestHash: string;
  readonly homePartition: PartitionId;
  readonly currency: string;
  /** Minor units. */
  readonly total: number;
  readonly reference: string | null;
  readonly metadata: string | null;
  /** Milliseconds since the epoch, stamped when it was decided. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lines: readonly OrderLine[];
}

export interface DecidedStockChange {
  readonly id: string;
  readonly productId: ProductId;
  readonly delta: number;
  readonly reason: string;
  readonly author: UserId;
  readonly keyed: boolean;
  readonly requestHash: string;
}

export interface Batch {
  /** The committing owner. */
  readonly ownerId: OwnerId;
  /** Rises by one per batch of an owner; (ownerId, no) names the batch for ever. */
  readonly no: number;
  /** Every owner whose products the batch touches and the committing one, ascending (I5). */
  readonly owners: readonly OwnerId[];
  readonly orders: readonly DecidedOrder[];
  readonly stockChanges: readonly DecidedStockChange[];
}

/** What the merge reports of a batch that committed. */
export interface Committed {
  /** Ids (of orders and of stock changes) that were bound already and had no effect in this batch. */
  readonly duplicates: readonly string[];
  /** Stock right after each stock change, by its id. */
  readonly stockAfter: Readonly<Record<string, number>>;
}

/** An order or a stock change as PostgreSQL has it, found by its id. */
export type StoredEffect =
  | {
      readonly kind: 'order';
      readonly id: OrderId;
      readonly requestHash: string;
      readonly productIds: readonly ProductId[];
      readonly order: AcceptedOrder;
    }
  | {
      readonly kind: 'stock-change';
      readonly id: string;
      readonly requestHash: string;
      readonly available: number;
    };
