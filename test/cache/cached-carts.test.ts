import { describe, expect, test } from 'vitest';

import { CART_AGE_MS_MAX, CachedCarts } from '../../src/cache/cached-carts.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import type { Cache } from '../../src/domain/cache.ts';
import type { Cart } from '../../src/domain/cart.ts';
import { parseOrderId } from '../../src/domain/ids.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import { cartId, FakeCarts } from '../http/fake-carts.ts';
import { CUSTOMER, orderId, productId } from '../http/fake-ports.ts';

const ID = cartId(1);
const KEY = `cart:1:${ID}`;
const own = { userId: CUSTOMER, cartId: ID };
const line = { productId: productId(1), quantity: 1 };

function makeCart(version: number, order: OrderId | null = null): Cart {
  const addedPrice = { amount: 1999, currency: 'USD' };
  const lines = [{ ...line, quantity: version, addedPrice }];
  return { id: ID, userId: CUSTOMER, version, orderId: order, lines, expiresAt: 1 };
}

/** Counts, and can be told to lose what it is given. */
class LossyCache implements Cache {
  readonly held = new Map<string, string>();
  readonly ttls: number[] = [];
  away = false;

  async get(key: string): Promise<string | undefined> {
    return this.away ? undefined : this.held.get(key);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    this.ttls.push(ttlMs);
    if (!this.away) this.held.set(key, value);
  }

  async add(key: string, value: string, ttlMs: number): Promise<void> {
    if (!this.held.has(key)) await this.set(key, value, ttlMs);
  }
}

/** The cart is committed at `version`, as the answer to the next change. */
class Shop {
  readonly stored = new FakeCarts([]);
  readonly cache = new LossyCache();
  readonly carts = new CachedCarts({ carts: this.stored, cache: this.cache });
  reads = 0;

  constructor() {
    const readCart = this.stored.readCart.bind(this.stored);
    this.stored.readCart = (id) => {
      this.reads += 1;
      return readCart(id);
    };
  }

  commit(version: number, order: OrderId | null = null): void {
    const cart = makeCart(version, order);
    this.stored.rows[0] = cart;
    this.stored.outcome = { type: 'changed', cart, replayed: false };
  }

  change(): ReturnType<CachedCarts['addItem']> {
    return this.carts.addItem({ ...own, idempotencyKey: null, line });
  }

  async version(): Promise<number | undefined> {
    return (await this.carts.findCart(ID))?.version;
  }
}

describe('a reader', () => {
  test('finds the cart in the cache that the first one put there, for a minute', async () => {
    const shop = new Shop();
    shop.commit(1);
    expect(await shop.carts.findCart(ID)).toEqual(makeCart(1));
    expect(await shop.carts.findCart(ID)).toEqual(makeCart(1));
    expect(shop.reads).toBe(1);
    expect(shop.cache.ttls).toEqual([CART_AGE_MS_MAX]);
  });

  test('of a cart that is not there puts nothing into the cache', async () => {
    const shop = new Shop();
    expect(await shop.carts.findCart(ID)).toBeUndefined();
    expect(shop.cache.held.size).toBe(0);
  });

  test('that read before a change does not put the old cart over the new one', async () => {
    const shop = new Shop();
    shop.commit(1);
    const readCart = shop.stored.readCart.bind(shop.stored);
    shop.stored.readCart = async (id) => {
      const before = await readCart(id);
      shop.stored.readCart = readCart;
      shop.commit(2);
      await shop.change();
      // Gone again, as if the cache had been full.
      shop.cache.held.clear();
      return before;
    };
    await shop.carts.findCart(ID);
    expect(await shop.version()).toBe(2);
  });

  test('who must know what is committed never gets a copy', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.carts.findCart(ID);
    shop.commit(2);
    expect((await shop.carts.readCart(ID))?.version).toBe(2);
  });

  test.each(['', '{', 'null', '[1'])('takes %j under our key for nothing', async (text) => {
    const shop = new Shop();
    shop.commit(1);
    shop.cache.held.set(KEY, text);
    expect(await shop.version()).toBe(1);
  });
});

describe('a change', () => {
  test('of each kind is what the next reader finds', async () => {
    const shop = new Shop();
    const changes = [
      () => shop.carts.createCart({ userId: CUSTOMER, idempotencyKey: null, lines: [] }),
      () => shop.change(),
      () => shop.carts.setQuantity({ ...own, line }),
      () => shop.carts.removeItem({ ...own, productId: line.productId }),
    ];
    for (const [at, change] of changes.entries()) {
      shop.commit(at + 1);
      await change();
      expect(await shop.version()).toBe(at + 1);
    }
    expect(shop.reads).toBe(0);
  });

  test('that was refused, or is told again, leaves the copy as it is', async () => {
    const shop = new Shop();
    shop.commit(5);
    await shop.change();
    shop.stored.outcome = { type: 'changed', cart: makeCart(2), replayed: true };
    await shop.change();
    shop.stored.outcome = { type: 'refused', refusal: { code: 'cart-closed' } };
    await shop.change();
    shop.stored.outcome = { type: 'key-reused' };
    await shop.change();
    expect(await shop.version()).toBe(5);
    expect(shop.reads).toBe(0);
  });

  test('that committed first and is told last does not take the version back', async () => {
    const shop = new Shop();
    shop.commit(3);
    await shop.change();
    shop.stored.outcome = { type: 'changed', cart: makeCart(2), replayed: false };
    await shop.change();
    expect(await shop.version()).toBe(3);
  });

  test('is seen although the cache lost it and came back with an older copy', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.change();
    shop.cache.away = true;
    shop.commit(2);
    await shop.change();
    expect(await shop.version()).toBe(2);
    shop.cache.away = false;
    expect(shop.cache.held.get(KEY)).toContain('"version":1');
    expect(await shop.version()).toBe(2);
    shop.commit(3);
    await shop.change();
    const before = shop.reads;
    expect(await shop.version()).toBe(3);
    expect(shop.reads).toBe(before);
  });
});

describe('beside another process with the same cache', () => {
  test('a slow reader does not put the old cart over the one that the other wrote', async () => {
    const shop = new Shop();
    const other = new CachedCarts({ carts: shop.stored, cache: shop.cache });
    shop.commit(1);
    const readCart = shop.stored.readCart.bind(shop.stored);
    shop.stored.readCart = async (id) => {
      const before = await readCart(id);
      shop.stored.readCart = readCart;
      shop.commit(2);
      await shop.change();
      return before;
    };
    await other.findCart(ID);
    expect((await other.findCart(ID))?.version).toBe(2);
  });

  test('what is told again of a change of then is not taken for the cart of now', async () => {
    const shop = new Shop();
    const other = new CachedCarts({ carts: shop.stored, cache: shop.cache });
    shop.commit(5);
    await shop.change();
    shop.stored.outcome = { type: 'changed', cart: makeCart(2), replayed: true };
    await other.addItem({ ...own, idempotencyKey: 'k', line });
    expect((await other.findCart(ID))?.version).toBe(5);
  });
});

describe('the end of a cart', () => {
  test('by its order is in the copy', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.carts.findCart(ID);
    await shop.carts.noteOrdered(makeCart(1), orderId(1));
    expect(await shop.carts.findCart(ID)).toEqual(makeCart(1, orderId(1)));
    // Whoever committed before the order is told of it only now.
    await shop.change();
    expect(await shop.carts.findCart(ID)).toEqual(makeCart(1, orderId(1)));
  });

  test('by an order of another process is in the copy once somebody has seen it', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.carts.findCart(ID);
    const order = parseOrderId(ID) ?? orderId(1);
    shop.commit(1, order);
    await shop.carts.readCart(ID);
    expect((await shop.carts.findCart(ID))?.orderId).toBe(order);
  });

  test('by being deleted is not undone by a reader who was slower', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.carts.findCart(ID);
    await shop.carts.deleteCart(own);
    expect(await shop.carts.findCart(ID)).toBeUndefined();
    await shop.cache.add(KEY, JSON.stringify(makeCart(1)), 1);
    expect(await shop.carts.findCart(ID)).toBeUndefined();
  });

  test('that was refused leaves the copy', async () => {
    const shop = new Shop();
    shop.commit(1);
    await shop.carts.findCart(ID);
    shop.stored.deleteRefusal = { code: 'cart-closed' };
    await shop.carts.deleteCart(own);
    expect(await shop.version()).toBe(1);
  });
});

test('a cart comes back from the cache of a process as it was put there', async () => {
  const stored = new FakeCarts([]);
  const carts = new CachedCarts({ carts: stored, cache: createMemoryCache() });
  const cart = makeCart(7, orderId(3));
  await carts.noteOrdered(cart, orderId(3));
  expect(await carts.findCart(ID)).toEqual(cart);
});

test('a look-up is told of as a hit only when what the cache has may be shown', async () => {
  const stored = new FakeCarts([]);
  const cache = new LossyCache();
  const hits: boolean[] = [];
  const carts = new CachedCarts({ carts: stored, cache, onLookUp: (hit) => void hits.push(hit) });
  stored.rows[0] = makeCart(2);
  await carts.findCart(ID);
  await carts.findCart(ID);
  cache.away = true;
  await carts.findCart(ID);
  cache.away = false;
  // What this process wrote later than the copy makes the copy an old one.
  stored.outcome = { type: 'changed', cart: makeCart(3), replayed: false };
  await carts.addItem({ ...own, idempotencyKey: null, line });
  cache.held.set(KEY, JSON.stringify(makeCart(2)));
  await carts.findCart(ID);
  expect(hits).toEqual([false, true, false, false]);
});
