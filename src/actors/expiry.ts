/**
 * When unpaid orders expire: a heap of the home shard's orders by their deadline.
 *
 * Invariant: every committed order that waits for payment and expires at `#horizon` or before is in
 * the heap or on its way to EXPIRED; later ones are in PostgreSQL only, until they are loaded. A new
 * shard has loaded nothing, so everything is still beyond its horizon; the heap of a shard that
 * sells more than `max` (I9) gets a horizon again. An order that is paid or cancelled stays until
 * its deadline, when the guarded update finds nothing to do: so do orders that are here twice.
 *
 * The watermark is the time until which all orders have expired, durable in PostgreSQL: a new
 * shard need not look for unpaid orders that were made long before it.
 */
import type { ExpiringOrder } from '../domain/batch.ts';
import { HoldBook } from './hold-book.ts';

/** Orders in one load: what one answer may take of the thread's memory and time. */
const LOAD_MAX = 50_000;
/** Milliseconds between two moves of the watermark. */
const WATERMARK_STEP_MS = 1000;

export class Expiry {
  /** What the orders hold that are here and not known to be paid or over. */
  readonly book: HoldBook;
  readonly #max: number;
  readonly #heap: ExpiringOrder[] = [];
  /** Their expiry did not take place; they come back to the heap at their time. */
  #resting: { readonly order: ExpiringOrder; readonly until: number }[] = [];
  /** Milliseconds since the epoch. */
  #horizon = -Infinity;
  #loading = false;
  /** An expiry was settled since the watermark moved. */
  #moved = false;
  #markedAt = 0;
  /** The last one that was told. */
  #mark = -Infinity;

  constructor(max: number) {
    this.#max = max;
    this.book = new HoldBook(max);
  }

  /** Every order that waits for payment is here. */
  get complete(): boolean {
    return this.#horizon === Infinity;
  }

  /** Orders in the heap (I9). */
  get size(): number {
    return this.#heap.length;
  }

  /** An order that waits for payment and is committed. */
  add(order: ExpiringOrder): void {
    if (!this.#loading && order.expiresAt > this.#horizon) return;
    if (!this.#loading && this.#heap.length >= this.#max) {
      this.#horizon = order.expiresAt - 1;
      return;
    }
    this.book.add(order);
    this.#push(order);
  }

  /** An order whose expiry could not take place; it is tried again at the first tick from `until`. */
  rest(order: ExpiringOrder, until: number): void {
    this.#resting.push({ order, until });
  }

  /** Some time has passed. */
  tick(now: number): void {
    const resting = this.#resting;
    if (resting.length === 0) return;
    this.#resting = resting.filter(({ until }) => until > now);
    for (const { order, until } of resting) if (until <= now) this.#push(order);
  }

  /** The next order that expired; it is on its way then. */
  takeDue(now: number): ExpiringOrder | null {
    const first = this.#heap[0];
    if (first === undefined || first.expiresAt > now) return null;
    this.#shift();
    return first;
  }

  /** An order that was due is committed as expired, or had another status already. */
  settle(): void {
    this.#moved = true;
  }

  /** What to load next, or null when all is here, a load is under way or there is no room. */
  startLoad(): { readonly after: number | null; readonly max: number } | null {
    if (this.#loading || this.#horizon === Infinity) return null;
    if (this.#heap.length > this.#max - LOAD_MAX && this.#heap.length > 0) return null;
    this.#loading = true;
    this.book.startLoad();
    const after = this.#horizon === -Infinity ? null : this.#horizon;
    return { after, max: LOAD_MAX };
  }

  endLoad(orders: readonly ExpiringOrder[], complete: boolean): void {
    this.#loading = false;
    this.book.endLoad(orders);
    for (const order of orders) this.#push(order);
    const last = orders.at(-1);
    this.#horizon = complete || last === undefined ? Infinity : last.expiresAt;
  }

  /**
   * The new watermark, at most once a second and only after something expired. `underWay` gives the
   * earliest deadline of the orders that are not settled. It goes back with a clock that is set back:
   * orders made from now on would be too old for whoever looks them up by it.
   */
  watermark(now: number, underWay: () => number): number | null {
    if (now < this.#mark) {
      this.#mark = now;
      this.#markedAt = now;
      return now;
    }
    if (!this.#moved || now < this.#markedAt + WATERMARK_STEP_MS) return null;
    this.#moved = false;
    this.#markedAt = now;
    let first = Math.min(this.#heap[0]?.expiresAt ?? Infinity, underWay());
    for (const { order } of this.#resting) first = Math.min(first, order.expiresAt);
    const until = Math.min(now, this.#horizon, first - 1);
    if (!Number.isFinite(until)) return null;
    this.#mark = until;
    return until;
  }

  #push(order: ExpiringOrder): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.expiresAt <= order.expiresAt) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = order;
  }

  #shift(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const useRight = right !== undefined && right.expiresAt < left.expiresAt;
      const child = useRight ? right : left;
      if (child.expiresAt >= last.expiresAt) break;
      heap[at] = child;
      at = useRight ? 2 * at + 2 : 2 * at + 1;
    }
    heap[at] = last;
  }
}
