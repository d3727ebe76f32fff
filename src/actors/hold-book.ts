/**
 * The units that orders of this home shard hold while they wait for payment, whichever shards own the
 * products: per product, and by the second in which they lapse.
 *
 * Owns: for each order of the expiry's heap that is known to wait for payment, its lines. It enters
 * with the heap (`Expiry`), and leaves when a change of its status commits, or finds that it has
 * another one. Nothing is decided by what is here.
 *
 * A load reads orders at one moment and arrives at another, so those that leave between the two are
 * remembered: it must not bring them back. I9: no more orders than the heap holds, and at most
 * `leftMax` that left during one load; beyond that the book cannot be trusted any more, and says so
 * until the shard has another owner.
 */
import type { ExpiringOrder } from '../domain/batch.ts';
import type { OrderId, ProductId } from '../domain/ids.ts';
import type { Held } from '../domain/inspection.ts';
import type { RequestedLine } from '../domain/order.ts';

/** Quantities up to this one are what nearly everybody orders. */
const SHARED_QUANTITY_MAX = 8;

interface ProductHolds {
  units: number;
  /** Orders by the second of their deadline, since the epoch; seconds without one are absent. */
  readonly lapsing: Map<number, number>;
  /** By quantity: the lines of an order for so many units of the product alone. */
  readonly shared: (readonly RequestedLine[])[];
}

export class HoldBook {
  readonly #leftMax: number;
  readonly #orders = new Map<OrderId, ExpiringOrder>();
  readonly #products = new Map<ProductId, ProductHolds>();
  /** Those that left while a load is under way. */
  #left: Set<OrderId> | null = null;
  #isSound = true;

  constructor(leftMax: number) {
    this.#leftMax = leftMax;
  }

  /** Orders in it. */
  get size(): number {
    return this.#orders.size;
  }

  /** Nothing was lost track of. */
  get isSound(): boolean {
    return this.#isSound;
  }

  /** Equal lists of one line are shared: a million orders may wait for payment. */
  share(lines: readonly RequestedLine[]): readonly RequestedLine[] {
    const [line] = lines;
    if (line === undefined || lines.length > 1 || line.quantity > SHARED_QUANTITY_MAX) return lines;
    const shared = this.#products.get(line.productId)?.shared;
    return shared === undefined ? lines : (shared[line.quantity] ??= lines);
  }

  /** An order that waits for payment. */
  add(order: ExpiringOrder): void {
    const { size } = this.#orders;
    this.#orders.set(order.orderId, order);
    if (this.#orders.size === size) return;
    const second = Math.floor(order.expiresAt / 1000);
    for (const { productId, quantity } of order.lines) {
      const holds = this.#at(productId);
      holds.units += quantity;
      holds.lapsing.set(second, (holds.lapsing.get(second) ?? 0) + 1);
    }
  }

  /** The order does not wait for payment, for ever. */
  remove(id: OrderId): void {
    this.#noteLeft(id);
    const order = this.#orders.get(id);
    if (order === undefined) return;
    this.#orders.delete(id);
    const second = Math.floor(order.expiresAt / 1000);
    for (const { productId, quantity } of order.lines) {
      const holds = this.#at(productId);
      holds.units -= quantity;
      const orders = (holds.lapsing.get(second) ?? 0) - 1;
      if (orders > 0) holds.lapsing.set(second, orders);
      else holds.lapsing.delete(second);
      if (holds.units === 0) this.#products.delete(productId);
    }
  }

  startLoad(): void {
    this.#left = new Set();
  }

  endLoad(orders: readonly ExpiringOrder[]): void {
    const left = this.#left;
    this.#left = null;
    for (const order of orders) if (left?.has(order.orderId) !== true) this.add(order);
  }

  /** What is held of the product; orders whose time is over lapse now. `now`: milliseconds. */
  of(id: ProductId, now: number): Held | null {
    const holds = this.#products.get(id);
    if (holds === undefined) return null;
    let lapsing10s = 0;
    let lapsing60s = 0;
    for (const [second, orders] of holds.lapsing) {
      if (second < now / 1000 + 10) lapsing10s += orders;
      if (second < now / 1000 + 60) lapsing60s += orders;
    }
    return { units: holds.units, lapsing10s, lapsing60s };
  }

  #noteLeft(id: OrderId): void {
    if (this.#left === null || this.#left.has(id)) return;
    if (this.#left.size < this.#leftMax) this.#left.add(id);
    else this.#isSound = false;
  }

  #at(id: ProductId): ProductHolds {
    let holds = this.#products.get(id);
    if (holds === undefined) {
      holds = { units: 0, lapsing: new Map(), shared: [] };
      this.#products.set(id, holds);
    }
    return holds;
  }
}
