/** What a shard hands to the commit loop: one transaction, all of it or nothing. */
import type { OrderId, OwnerId, PartitionId, ProductId } from './ids.ts';
import type { AcceptedOrder, ChangeStockCommand, PlaceCommand } from './wire.ts';

/** An accepted order: the request and, beside it, what the owner decided. */
export interface DecidedOrder {
  readonly command: PlaceCommand;
  /** The lowest partition among the lines: its owner commits the order. */
  readonly homePartition: PartitionId;
  /** Minor units. */
  readonly total: number;
  /** Stamped when it was decided; `lines` stand in the order of `command.lines`. */
  readonly order: AcceptedOrder;
}

export interface Batch {
  /** The committing owner. */
  readonly ownerId: OwnerId;
  /** Rises by one per batch of an owner; (ownerId, no) names the batch for ever. */
  readonly no: number;
  /** Every owner whose products the batch touches and the committing one, ascending (I5). */
  readonly owners: readonly OwnerId[];
  readonly orders: readonly DecidedOrder[];
  readonly stockChanges: readonly ChangeStockCommand[];
}

/** What the merge reports of a batch that committed. */
export interface Committed {
  /** Ids (of orders and of stock changes) that were bound already and had no effect in this batch. */
  readonly duplicates: readonly string[];
  /** Units in stock right after each stock change, by its id. */
  readonly stockAfter: Readonly<Record<string, number>>;
}

/** An order or a keyed stock change as PostgreSQL has it, found by its id. */
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
    };
