/**
 * The single writer's view of one product (I6): what is left to promise, the price, the next place
 * in the queue, and the mailbox in which commands wait for their decision.
 *
 * Owns: `available` and `sequence` of its product. Does not own: batches, the window, answers.
 * Neighbours: the shard core alone calls it, synchronously, from one thread.
 *
 * I1: units are taken here when an order is accepted and given back only when PostgreSQL says that
 *     they are free, so `available` never exceeds committed stock less everything promised.
 * I7: `take` is called in mailbox order.
 *
 * Invariant: nothing here knows the clock, a socket, a row or another product.
 */
import type { ProductId } from '../domain/ids.ts';
import type { ProductState } from '../domain/product.ts';
import { Queue } from './queue.ts';
import type { Waiting } from './waiting.ts';

/** Why a product cannot serve a line, and until when it may not; null = it can. */
export type LineFailure =
  'product-not-found' | 'product-not-for-sale' | 'sale-not-started' | 'sale-ended' | 'out-of-stock';

export class ProductActor {
  readonly id: ProductId;
  readonly mailbox = new Queue<Waiting>();
  /** Undefined until loaded, null when there is no such product. */
  product: ProductState | null | undefined = undefined;
  /** Units that can be promised now: committed stock less what batches not yet committed have taken. */
  available = 0;
  /** The last sequence given. */
  sequence = 0;
  /** Decisions of this product in the open batch or in flight; above 0 it is never dropped. */
  uncommitted = 0;
  /**
   * Every order of this product that ever committed is in the window, so a key that the window does
   * not hold is new and its refusal needs no look-up.
   */
  covered = false;
  /** Stands in the core's round; kept here so that it stands there once. */
  inRound = false;
  /** Used since the last sweep of idle actors (second chance). */
  used = true;

  constructor(id: ProductId) {
    this.id = id;
  }

  load(product: ProductState | null, covered: boolean): void {
    this.product = product;
    this.available = product?.stock ?? 0;
    this.sequence = product?.sequence ?? 0;
    this.covered = covered;
  }

  /** `now`: milliseconds since the epoch. Codes other than stock come first (REFUSAL_CODES). */
  failureOf(quantity: number, now: number): LineFailure | null {
    const product = this.product;
    if (!product) return 'product-not-found';
    if (product.status !== 'active') return 'product-not-for-sale';
    if (product.saleStartsAt !== null && now < product.saleStartsAt) return 'sale-not-started';
    if (product.saleEndsAt !== null && now >= product.saleEndsAt) return 'sale-ended';
    return quantity > this.available ? 'out-of-stock' : null;
  }

  /** Takes units for a decision that joins the open batch; returns the line's sequence. */
  take(quantity: number): number {
    this.available -= quantity;
    this.uncommitted += 1;
    this.sequence += 1;
    return this.sequence;
  }

  /** A decision of this product is committed; `freed` units (0 or more) are on sale again. */
  settle(freed: number): void {
    this.available += freed;
    this.uncommitted -= 1;
  }

  /** Nothing would be lost by forgetting this actor. */
  get idle(): boolean {
    return this.uncommitted === 0 && this.mailbox.length === 0;
  }
}
