/**
 * The newest accepted orders by id: repeats are answered from here without the database (I3).
 *
 * Bounded (I9): at most `max` orders, oldest out first. Forgetting one is safe, because the primary
 * key in PostgreSQL stays the arbiter; it only costs a look-up later.
 *
 * Why a ring of ids beside the map, and not the map's own insertion order: the first key of a Map
 * whose front was deleted is found by walking over the tombstones, up to half the table per call.
 */
import type { OrderId, ProductId } from '../domain/ids.ts';
import type { AcceptedOrder } from '../domain/wire.ts';

export interface WindowEntry {
  readonly requestHash: string;
  readonly lines: readonly { readonly productId: ProductId }[];
  readonly order: AcceptedOrder;
}

export class IdempotencyWindow {
  readonly #max: number;
  readonly #entries = new Map<OrderId, WindowEntry>();
  readonly #ring: OrderId[] = [];
  #next = 0;
  #complete: boolean;

  /** `complete`: the entries that will be added first are all orders there are. */
  constructor(options: { readonly max: number; readonly complete: boolean }) {
    this.#max = options.max;
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

  /** Returns the entry that had to leave, if any. */
  add(id: OrderId, entry: WindowEntry): WindowEntry | undefined {
    let evicted: WindowEntry | undefined;
    const oldest = this.#ring[this.#next];
    if (oldest !== undefined) {
      evicted = this.#entries.get(oldest);
      this.#entries.delete(oldest);
      this.#complete = false;
    }
    this.#entries.set(id, entry);
    this.#ring[this.#next] = id;
    this.#next = (this.#next + 1) % this.#max;
    return evicted;
  }
}
