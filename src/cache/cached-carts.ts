/**
 * Carts from a cache, never older than a minute. What is cached is the cart as it is stored, never
 * its products; whoever shows one looks at owner and expiry of the copy as of the original.
 *
 * A stale copy can mislead a reader and nobody else: changes are decided by the row in PostgreSQL,
 * and a checkout reads the row and closes it at the version that it read. What this process itself
 * has written it does not show older, whatever happened to the cache in between.
 */
import { LRUCache } from 'lru-cache';
import type { Cache } from '../domain/cache.ts';
import type {
  AddItem,
  Cart,
  CartOfCustomer,
  CartOutcome,
  CartRefusal,
  Carts,
  CreateCart,
  RemoveItem,
  SetQuantity,
} from '../domain/cart.ts';
import type { CartId, OrderId } from '../domain/ids.ts';
import { parseCached } from './parse-cached.ts';

/** Milliseconds. */
export const CART_AGE_MS_MAX = 60_000;

/** Changes with the form of `Cart`: two versions of the program may share one cache. */
const KEY_PREFIX = 'cart:1:';

/** Carts of which this process remembers what it wrote (I9); of others a copy may be stale. */
const WRITTEN_MAX = 10_000;

/** Cached in place of a cart that was deleted: a reader must not put back what it read before. */
const GONE = 'gone';
type Copy = Cart | typeof GONE;

/** What the cached carts need. */
export interface CachedCartsDeps {
  readonly carts: Carts;
  readonly cache: Cache;
  /** The cache was asked; `hit`: it had what may be shown. */
  readonly onLookUp?: (hit: boolean) => void;
}

export class CachedCarts implements Carts {
  readonly listCarts: Carts['listCarts'];
  readonly findProducts: Carts['findProducts'];
  readonly #carts: Carts;
  readonly #cache: Cache;
  readonly #onLookUp: (hit: boolean) => void;
  /** How far each cart had come when this process last wrote it, see `ageOf`. */
  readonly #written = new LRUCache<CartId, number>({ max: WRITTEN_MAX });

  constructor({ carts, cache, onLookUp }: CachedCartsDeps) {
    this.#carts = carts;
    this.#cache = cache;
    this.#onLookUp = onLookUp ?? (() => undefined);
    this.listCarts = (userId, page) => carts.listCarts(userId, page);
    this.findProducts = (ids) => carts.findProducts(ids);
  }

  async createCart(request: CreateCart): Promise<CartOutcome> {
    return this.#note(await this.#carts.createCart(request));
  }

  async addItem(request: AddItem): Promise<CartOutcome> {
    return this.#note(await this.#carts.addItem(request));
  }

  async setQuantity(request: SetQuantity): Promise<CartOutcome> {
    return this.#note(await this.#carts.setQuantity(request));
  }

  async removeItem(request: RemoveItem): Promise<CartOutcome> {
    return this.#note(await this.#carts.removeItem(request));
  }

  async deleteCart(cart: CartOfCustomer): Promise<CartRefusal | null> {
    const refusal = await this.#carts.deleteCart(cart);
    if (refusal === null) await this.#set(cart.cartId, GONE);
    return refusal;
  }

  async findCart(id: CartId): Promise<Cart | undefined> {
    const text = await this.#cache.get(KEY_PREFIX + id);
    const copy = parseCached<Copy>(text);
    const known = copy !== undefined && !this.#isOld(id, copy) ? copy : undefined;
    this.#onLookUp(known !== undefined);
    if (known !== undefined) return known === GONE ? undefined : known;
    const cart = await this.#carts.findCart(id);
    if (cart !== undefined && !this.#isOld(id, cart)) {
      await this.#cache.add(KEY_PREFIX + id, JSON.stringify(cart), CART_AGE_MS_MAX);
    }
    return cart;
  }

  async readCart(id: CartId): Promise<Cart | undefined> {
    const cart = await this.#carts.readCart(id);
    // A closed cart stays as it is, so the copy of it cannot be an old one.
    if (cart !== undefined && cart.orderId !== null) await this.#set(id, cart);
    return cart;
  }

  async noteOrdered(cart: Cart, orderId: OrderId): Promise<void> {
    await this.#set(cart.id, { ...cart, orderId });
  }

  async #note(outcome: CartOutcome): Promise<CartOutcome> {
    // A replay tells what the cart was then.
    if (outcome.type === 'changed' && !outcome.replayed) {
      await this.#set(outcome.cart.id, outcome.cart);
    }
    return outcome;
  }

  /** For what was committed. Of two changes the later one stays, whichever comes here first. */
  async #set(id: CartId, copy: Copy): Promise<void> {
    if (this.#isOld(id, copy)) return;
    this.#written.set(id, ageOf(copy));
    await this.#cache.set(KEY_PREFIX + id, JSON.stringify(copy), CART_AGE_MS_MAX);
  }

  #isOld(id: CartId, copy: Copy): boolean {
    return ageOf(copy) < (this.#written.get(id) ?? 0);
  }
}

/** Rises with every change of a cart; closing one and deleting one are its last. */
function ageOf(copy: Copy): number {
  return copy === GONE || copy.orderId !== null ? Number.MAX_SAFE_INTEGER : copy.version;
}
