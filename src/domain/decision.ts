/** What was decided under an Idempotency-Key. */
import type { OrderId, UserId } from './ids.ts';
import type { Order } from './order.ts';

/** The key of a customer. */
export interface CustomerKey {
  readonly userId: UserId;
  readonly key: string;
}

export interface Decisions {
  /** The id of the order that the key makes, whether there is one or not; of a checkout another. */
  orderIdOf(asked: CustomerKey): OrderId;
  /**
   * The committed order that was placed under the key, directly or from a cart; undefined when there
   * is none, as when the key is bound to something else.
   *
   * @throws AppError `database-unavailable`.
   */
  findAccepted(asked: CustomerKey): Promise<Order | undefined>;
}
