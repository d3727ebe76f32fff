/**
 * The newest accepted orders by id: repeats are answered from here without the database (I3).
 *
 * Bounded (I9): at most `linesMax` order lines, oldest out first; lines, because an order of fifty
 * takes fifteen times the memory of one. Forgetting an order is safe, since the primary key in
 * PostgreSQL stays the arbiter; it only costs a look-up later.
 *
 * Why a queue of ids beside the map, and not the map's own insertion order: the first key of a Map
 * whose front was deleted is found by walking over the tombstones, up to half the table per call.
 */
import type { OrderId, ProductId } from '../domain/ids.ts';
import type { AcceptedOrder } from '../domain/wire.ts';
import { Queue } from './queue.ts';

export interface WindowEntry {
  readonly requestHash: string;
  readonly lines: readonly { readonly productId: ProductId }[];
  readonly order: AcceptedOrder;
}

export class IdempotencyWindow {
  readonly #linesMax: number;
  readonly #entries = new Map<OrderId, WindowEntry>();
  readonly #order = new Queue<OrderId>();
  #lines = 0;
  #complete: boolean;

  /** `complete`: the entries that will be added first are all orders there are. */
  constructor(options: { readonly linesMax: number; readonly complete: boolean }) {
    this.#linesMax = options.linesMax;
    this.#complete = options.complete;
  }

  /** Every order of this shard that ever committed is here. */
  get complete(): boolean {
    return this.#complete;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: OrderId): WindowEntry | undefined {
    return this.#entries.get(id);
  }

  /** Returns the entries that had to leave; an order that is here already stays as it is. */
  add(id: OrderId, entry: WindowEntry): readonly WindowEntry[] {
    if (this.#entries.has(id)) return [];
    this.#entries.set(id, entry);
    this.#order.push(id);
    this.#lines += entry.lines.length;
    return this.#lines > this.#linesMax ? this.#evict() : [];
  }

  #evict(): WindowEntry[] {
    const evicted: WindowEntry[] = [];
    while (this.#lines > this.#linesMax) {
      const id = this.#order.shift();
      const entry = id === undefined ? undefined : this.#entries.get(id);
      if (id === undefined || entry === undefined) throw new Error('the window lost an order');
      this.#entries.delete(id);
      this.#lines -= entry.lines.length;
      this.#complete = false;
      evicted.push(entry);
    }
    return evicted;
  }
}
