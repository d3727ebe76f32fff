/**
 * The product actors of one shard: made on first use, loaded in groups, dropped when idle.
 *
 * 100,000 products need neither 100,000 queries nor an eager load: whatever is missing when a load
 * ends goes into the next one. I9: above `max` actors idle ones leave, least recently used first
 * (one bit of "used since the last sweep", as in a clock cache, so that a hit costs nothing).
 */
import type { ProductId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { FreedUnits, ProductState } from '../domain/product.ts';
import { ProductActor } from './product-actor.ts';

/** Actors looked at per new actor above the bound; keeps the cost of an insertion constant. */
const SWEEP_STEPS = 4;

export class ActorTable {
  readonly #max: number;
  readonly #actors = new Map<ProductId, ProductActor>();
  #missing: ProductActor[] = [];
  #loading: readonly ProductActor[] | null = null;
  /** A live iterator: it goes on where it stood, however the map changes meanwhile. */
  #hand: Iterator<ProductActor> = this.#actors.values();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#actors.size;
  }

  find(id: ProductId): ProductActor | undefined {
    return this.#actors.get(id);
  }

  /** The actor of a product with decisions under way, which is never dropped. */
  get(id: ProductId): ProductActor {
    const actor = this.#actors.get(id);
    if (actor === undefined) throw new Error(`the actor of ${id} was dropped with work under way`);
    return actor;
  }

  /** The actor of a product; a new one waits for the next load. */
  at(id: ProductId): ProductActor {
    let actor = this.#actors.get(id);
    if (actor === undefined) {
      actor = new ProductActor(id);
      this.#actors.set(id, actor);
      this.#missing.push(actor);
      if (this.#actors.size > this.#max) this.#sweep();
    }
    actor.used = true;
    return actor;
  }

  /** A decision on the product, or a hold, has its end; `freed` units are on sale again. */
  settle(id: ProductId, freed: number): void {
    const actor = this.get(id);
    actor.settle(freed);
    if (actor.diverged) this.#reloadIfSettled(actor);
  }

  /** An order's line is committed. `now`: milliseconds since the epoch. */
  commitSale({ productId, quantity }: RequestedLine, now: number): void {
    const actor = this.get(productId);
    actor.commitSale(quantity, now);
    if (actor.diverged) this.#reloadIfSettled(actor);
  }

  /** What was taken for this line and customer is not committed, nor ever will be. */
  giveBack({ productId, quantity }: RequestedLine, userId: UserId): void {
    const actor = this.get(productId);
    actor.giveBack(quantity, userId);
    if (actor.diverged) this.#reloadIfSettled(actor);
  }

  /** PostgreSQL has something else than the actor believes: it is loaded again as soon as that is safe. */
  distrust(id: ProductId): void {
    const actor = this.#actors.get(id);
    if (actor === undefined || actor.product === null) return;
    actor.diverged = true;
    // What is being loaded may have been read before: it is loaded once more.
    if (actor.product !== undefined) this.#reloadIfSettled(actor);
  }

  /** A product that is not here is loaded with them. */
  free(freed: FreedUnits): void {
    this.#actors.get(freed.productId)?.free(freed);
  }

  #reloadIfSettled(actor: ProductActor): void {
    if (actor.uncommitted > 0) return;
    actor.unload();
    this.#missing.push(actor);
  }

  all(): Iterable<ProductActor> {
    return this.#actors.values();
  }

  /** Ids to load now, or null when there are none or a load is under way. */
  startLoad(idsMax: number): readonly ProductId[] | null {
    if (this.#loading !== null || this.#missing.length === 0) return null;
    this.#loading = this.#missing.splice(0, idsMax);
    return this.#loading.map((actor) => actor.id);
  }

  /** Ends the load under way; `coveredAt` says whether the window holds all orders of a product. */
  endLoad(
    products: readonly ProductState[],
    coveredAt: (product: ProductState) => boolean,
  ): readonly ProductActor[] {
    const byId = new Map(products.map((product) => [product.id, product]));
    const loaded = this.#loading ?? [];
    this.#loading = null;
    for (const actor of loaded) {
      const product = byId.get(actor.id);
      if (product === undefined) actor.load(null, false);
      else actor.load(product, coveredAt(product));
      if (actor.diverged) this.#reloadIfSettled(actor);
    }
    return loaded;
  }

  /** Ends the load under way without a result: its actors are forgotten and returned. */
  failLoad(): readonly ProductActor[] {
    const failed = this.#loading ?? [];
    this.#loading = null;
    for (const actor of failed) this.#actors.delete(actor.id);
    return failed;
  }

  /** An id without a product is forgotten as soon as nothing waits for it: it may exist tomorrow. */
  dropIfUnknown(actor: ProductActor): void {
    if (actor.product === null && actor.idle) this.#actors.delete(actor.id);
  }

  #sweep(): void {
    for (let step = 0; step < SWEEP_STEPS; step += 1) {
      const { value, done } = this.#hand.next();
      if (done === true) {
        this.#hand = this.#actors.values();
      } else if (value.used) {
        value.used = false;
      } else if (value.idle && value.product !== undefined) {
        this.#actors.delete(value.id);
      }
    }
  }
}
