/**
 * The single writer's view of one product (I6): what is left to promise, the price, the next place
 * in the queue, and the mailbox in which commands wait for their decision.
 *
 * Owns: `available`, `sequence` and the customers' units of its product. Does not own: batches, the window, answers.
 * Neighbours: the shard core alone calls it, synchronously, from one thread.
 *
 * I1: units are taken here when an order is accepted and given back only when PostgreSQL says that
 *     they are free, so `available` never exceeds committed stock less everything promised.
 *     The same holds for what a customer may still have of a limited product.
 * I7: `take` is called in mailbox order.
 *
 * Invariant: nothing here knows the clock, a socket, a row or another product.
 */
import type { ProductId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { LineFailure, LineReport, RefusalCode } from '../domain/outcome.ts';
import type { FreedUnits, ProductChanges, ProductState } from '../domain/product.ts';
import type { AcceptedLine } from '../domain/wire.ts';
import { Queue } from './queue.ts';
import { SaleRates } from './sale-rates.ts';
import { countUp } from './tally.ts';
import type { Counts } from './tally.ts';
import type { Waiting } from './waiting.ts';

export class ProductActor {
  readonly id: ProductId;
  readonly mailbox = new Queue<Waiting>();
  /** Undefined until loaded, null when there is no such product. */
  product: ProductState | null | undefined = undefined;
  /** Units that can be promised now: committed stock less what is taken and not yet committed. */
  available = 0;
  /** Units in committed orders that are live; nothing is decided by it, nor by what else is counted. */
  live = 0;
  /** Committed sales; null = none since it is in memory. */
  rates: SaleRates | null = null;
  /** Lines by the reason for which they were refused; null = none since it is in memory. */
  refused: Counts<RefusalCode> | null = null;
  /** The last sequence given. */
  sequence = 0;
  /** Decisions and holds of this product without an end; above 0 it is never dropped. */
  uncommitted = 0;
  /**
   * PostgreSQL denied what this actor believes. It decides nothing more, and is loaded again once
   * nothing of it is under way: until then committed stock does not say what is left.
   */
  diverged = false;
  /** An edit of the product has no end yet; the next one waits for it. */
  #editing: ProductChanges | null = null;
  /**
   * Every order of this product that ever committed is in the window, so a key that the window does
   * not hold is new and its refusal needs no look-up.
   */
  covered = false;
  /** Stands in the core's round; kept here so that it stands there once. */
  inRound = false;
  /** Used since the last sweep of idle actors (second chance). */
  used = true;
  /** Units freed by other batches than this product's own, told while it was being loaded. */
  #freedMeanwhile: FreedUnits[] = [];
  /** Of a limited product: units by customer, taken or in live orders. */
  #customers: Map<UserId, number> | null = null;

  constructor(id: ProductId) {
    this.id = id;
  }

  load(product: ProductState | null, covered: boolean): void {
    this.product = product;
    this.available = product?.stock ?? 0;
    this.live = (product?.supplied ?? 0) - this.available;
    this.sequence = product?.sequence ?? 0;
    // What was covered before it was loaded again still is: forgetting an order would have ended it.
    this.covered ||= covered;
    this.#customers = product?.customerUnits ? new Map(product.customerUnits) : null;
    const freed = this.#freedMeanwhile;
    this.#freedMeanwhile = [];
    for (const units of freed) this.free(units);
  }

  /** To be loaded again. */
  unload(): void {
    this.product = undefined;
    this.diverged = false;
  }

  /** Units that a committed status change gave back; what was loaded with them in it ignores them. */
  free(freed: FreedUnits): void {
    if (this.product === undefined) this.#freedMeanwhile.push(freed);
    else if (this.product !== null && freed.stockVersion > this.product.stockVersion) {
      this.available += freed.units;
      this.live -= freed.units;
      for (const { userId, units } of freed.customers) this.#count(userId, -units);
    }
  }

  /** Whether it can be asked for a decision. */
  get decides(): boolean {
    return this.product !== undefined && !this.diverged && !this.#countsCustomers;
  }

  /**
   * PostgreSQL counts what customers have of a product that gets its first limit: whatever was taken
   * before must be committed by then, and nothing may be taken meanwhile.
   */
  get #countsCustomers(): boolean {
    return this.#editing !== null && this.#isFirstLimit(this.#editing);
  }

  #isFirstLimit({ perCustomerLimit = null }: ProductChanges): boolean {
    return perCustomerLimit !== null && this.product?.perCustomerLimit === null;
  }

  get limited(): boolean {
    return this.#customers !== null;
  }

  /** Whether the edit's turn has come. */
  canEdit(changes: ProductChanges): boolean {
    return this.#editing === null && (this.uncommitted === 0 || !this.#isFirstLimit(changes));
  }

  startEdit(changes: ProductChanges): void {
    this.#editing = changes;
    this.uncommitted += 1;
  }

  /** Decisions follow it from now on; true when the product must be loaded again for that. */
  commitEdit(version: number): boolean {
    const changes = this.#editing;
    const { product } = this;
    if (changes === null || !product) throw new Error(`product ${this.id} is not being edited`);
    const mustCount = this.#countsCustomers;
    this.#editing = null;
    this.product = { ...product, ...changes, version };
    if (this.product.perCustomerLimit === null) this.#customers = null;
    return mustCount;
  }

  abortEdit(): void {
    this.#editing = null;
  }

  /**
   * Whether this customer can have so many units. `now`: milliseconds since the epoch. Codes other
   * than stock come first (REFUSAL_CODES).
   */
  failureOf(quantity: number, userId: UserId, now: number): LineFailure | null {
    const product = this.product;
    if (!product) return 'product-not-found';
    if (product.status !== 'active') return 'product-not-for-sale';
    if (product.saleStartsAt !== null && now < product.saleStartsAt) return 'sale-not-started';
    if (product.saleEndsAt !== null && now >= product.saleEndsAt) return 'sale-ended';
    if (product.perCustomerLimit !== null) {
      const units = quantity + (this.#customers?.get(userId) ?? 0);
      if (units > product.perCustomerLimit) return 'limit-exceeded';
    }
    return quantity > this.available ? 'out-of-stock' : null;
  }

  /** For a refusal, or for the shard that asks on behalf of an order. */
  reportOn({ productId, quantity }: RequestedLine, userId: UserId, now: number): LineReport {
    return {
      productId,
      quantity,
      failure: this.failureOf(quantity, userId, now),
      available: this.available,
      sequence: this.sequence,
      limited: this.limited,
      saleStartsAt: this.product?.saleStartsAt ?? null,
      currency: this.product?.price.currency ?? null,
    };
  }

  /** Takes units that `failureOf` found, for a decision that is not committed yet. */
  take(quantity: number, userId: UserId): AcceptedLine {
    const product = this.product;
    if (!product) throw new Error(`units of the unknown product ${this.id} were taken`);
    this.available -= quantity;
    this.#count(userId, quantity);
    this.uncommitted += 1;
    this.sequence += 1;
    return { name: product.name, unitPrice: product.price.amount, sequence: this.sequence };
  }

  /** What was taken for an order's line is committed. `now`: milliseconds since the epoch. */
  commitSale(quantity: number, now: number): void {
    this.live += quantity;
    this.rates ??= new SaleRates();
    this.rates.count(quantity, now);
    this.settle(0);
  }

  refuse(code: RefusalCode): void {
    this.refused ??= {};
    countUp(this.refused, code);
  }

  /** A decision of this product has its end; `freed` units (0 or more) are on sale again. */
  settle(freed: number): void {
    this.available += freed;
    this.uncommitted -= 1;
  }

  /** Nothing of what was taken for this customer is or will be committed. */
  giveBack(quantity: number, userId: UserId): void {
    this.#count(userId, -quantity);
    this.settle(quantity);
  }

  #count(userId: UserId, units: number): void {
    if (this.#customers === null) return;
    const counted = (this.#customers.get(userId) ?? 0) + units;
    if (counted > 0) this.#customers.set(userId, counted);
    else this.#customers.delete(userId);
  }

  /**
   * When the oldest command came that waits, milliseconds since the epoch. Those that were served
   * through another mailbox still stand in this one, and stay: looking changes nothing.
   */
  get oldestArrival(): number | null {
    if (this.mailbox.length === 0) return null;
    for (const { done, command } of this.mailbox) if (!done) return command.receivedAt;
    return null;
  }

  /** Nothing would be lost by forgetting this actor. */
  get idle(): boolean {
    return this.uncommitted === 0 && this.mailbox.length === 0;
  }
}
