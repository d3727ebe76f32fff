import { describe, expect, it } from 'vitest';
import type { OrderId, UserId } from '../../src/domain/ids.ts';
import { product, productId, ShardHarness } from './shard-harness.ts';
import type { PlaceOptions } from './shard-harness.ts';
import { BOTH, Pair } from './shard-pair.ts';

const CART: PlaceOptions = { cart: { id: 'c', version: 2 } };
const KEYED: PlaceOptions = { cart: { id: 'c', version: 2, key: 'k' } };
const ORDER = 'order of c' as OrderId;

describe('a checkout', () => {
  it('names cart, version and key for the merge, and is accepted with its COMMIT (I2)', () => {
    const shard = new ShardHarness();
    const n = shard.place(KEYED);
    expect(shard.batches[0]?.orders[0]?.command).toMatchObject({
      id: ORDER,
      cart: { id: 'c', version: 2, key: { id: 'k' } },
    });
    expect(shard.answer(n)).toBeUndefined();
    shard.commit(1);
    expect(shard.answer(n)).toMatchObject({ type: 'accepted', replayed: false });
  });

  it('of a cart that changed gives units and customer back, and leaves nothing behind (I1, I3)', () => {
    const terms = { stock: 3, perCustomerLimit: 3, customerUnits: new Map<UserId, number>() };
    const shard = new ShardHarness({ products: [product(1, terms)] });
    const n = shard.place({ ...CART, lines: [[1, 3]] });
    shard.commit(1, { cartsChanged: [ORDER] });
    expect(shard.answer(n)).toEqual({ n, type: 'cart-changed' });
    shard.pass(900_000);
    expect(shard.batches).toHaveLength(1);
    const again = shard.place({ cart: { id: 'c', version: 3 }, lines: [[1, 3]] });
    shard.commit(2);
    expect(shard.answer(again)).toMatchObject({ type: 'accepted', replayed: false });
  });

  it('of a cart that changed gives back what other shards hold (I4)', () => {
    const pair = new Pair();
    const n = pair.home.place({ ...CART, ...BOTH });
    pair.talk();
    pair.home.commit(1, { cartsChanged: [ORDER] });
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({ type: 'cart-changed' });
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.left()).toEqual([10, 10]);
  });

  it('clicked twice is one order, answered twice (I3)', () => {
    const shard = new ShardHarness();
    const clicks = shard.placeAll([CART, CART]);
    shard.commit(1);
    const later = shard.place(CART);
    expect(shard.batches).toHaveLength(1);
    expect([...clicks, later].map((n) => shard.answer(n))).toMatchObject([
      { type: 'accepted', replayed: false },
      { type: 'accepted', replayed: true },
      { type: 'accepted', replayed: true },
    ]);
  });

  it('in a second tab is decided by what that one read, when the first read too early', () => {
    const shard = new ShardHarness();
    const [old, fresh] = shard.placeAll([
      { cart: { id: 'c', version: 1 }, hash: 'old' },
      { cart: { id: 'c', version: 2 }, hash: 'new' },
    ]);
    shard.commit(1, { cartsChanged: [ORDER] });
    expect(shard.batches[1]?.orders).toMatchObject([{ command: { cart: { version: 2 } } }]);
    shard.commit(2);
    expect(shard.types([old ?? 0, fresh ?? 0])).toEqual(['cart-changed', 'accepted']);
  });

  it('that another owner made into an order is answered by that order (I3)', () => {
    const shard = new ShardHarness();
    const order = { currency: 'USD', createdAt: 1, expiresAt: 2, lines: [] };
    const lines = [{ productId: productId(1) }];
    shard.stored.push({ kind: 'order', id: ORDER, requestHash: 'hash', lines, order });
    const n = shard.place(KEYED);
    shard.commit(1, { duplicates: [ORDER, 'k'] });
    expect(shard.answer(n)).toEqual({ n, type: 'accepted', replayed: true, order });
  });

  it('is not refused while the same checkout is under way', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1 })] });
    const clicks = shard.placeAll([CART, CART, CART]);
    shard.commit(1);
    expect(shard.types(clicks)).toEqual(['accepted', 'accepted', 'accepted']);
  });
});

describe('the key of a checkout', () => {
  /** The same lines have the same hash, whatever they are ordered with. */
  const ORDER_UNDER_KEY: PlaceOptions = { key: 'k' };
  const OTHER_CART: PlaceOptions = { cart: { id: 'd', version: 1, key: 'k' } };

  it.each([
    ['an order', KEYED, ORDER_UNDER_KEY],
    ['the checkout of another cart', KEYED, OTHER_CART],
    ['a checkout', ORDER_UNDER_KEY, KEYED],
  ])('that is pending is not free for %s of the very same lines (I3)', (_, first, second) => {
    const shard = new ShardHarness();
    const requests = shard.placeAll([first, second]);
    expect(shard.batches[0]?.orders).toHaveLength(1);
    shard.commit(1);
    expect(shard.types(requests)).toEqual(['accepted', 'key-reused']);
  });

  it.each([
    ['an order', KEYED, ORDER_UNDER_KEY],
    ['the checkout of another cart', KEYED, OTHER_CART],
    ['a checkout', ORDER_UNDER_KEY, KEYED],
  ])('of an order that waits for other shards is not free for %s (I3)', (_, first, second) => {
    const pair = new Pair();
    const requests = pair.home.placeAll([first, second].map((each) => ({ ...each, ...BOTH })));
    pair.talk();
    pair.home.commit(1);
    expect(pair.home.types(requests)).toEqual(['accepted', 'key-reused']);
  });

  it('makes a stock change and a cancel under it wait, and keeps them from happening (I3)', () => {
    const shard = new ShardHarness();
    shard.place(KEYED);
    const others = [shard.changeStock(1, 1, 'k'), shard.cancel('other', { key: 'k' })];
    expect(shard.batches).toHaveLength(1);
    shard.commit(1);
    expect(shard.batches).toHaveLength(1);
    // They have another hash than the order, as they would have in the router.
    expect(others.map((n) => shard.answer(n)?.type)).toEqual(['key-reused', 'key-reused']);
  });

  it('that was bound before refuses the checkout, and nobody who came without it (I3)', () => {
    const shard = new ShardHarness();
    shard.stored.push({ kind: 'other', id: 'k', requestHash: 'other' });
    const [misused, keyless, otherKey] = shard.placeAll([
      KEYED,
      CART,
      { cart: { id: 'c', version: 2, key: 'another' } },
    ]);
    shard.commit(1, { duplicates: [ORDER, 'k'] });
    expect(shard.types([misused ?? 0])).toEqual(['key-reused']);
    expect(shard.batches[1]?.orders).toMatchObject([{ command: { cart: { key: null } } }]);
    shard.commit(2);
    expect(shard.types([keyless ?? 0, otherKey ?? 0])).toEqual(['accepted', 'accepted']);
  });

  it('that an order has already is answered by that order, whatever becomes of the checkout (I3)', () => {
    const pair = new Pair();
    pair.home.place({ ...BOTH, key: 'k' });
    pair.talk();
    pair.home.commit(1);
    pair.talk();
    const sold = pair.holder.place({ lines: [[2, 8]] });
    const [misused, replay] = pair.home.placeAll([
      { ...KEYED, ...BOTH },
      { ...BOTH, key: 'k' },
    ]);
    pair.talk();
    expect(sold).toBeGreaterThan(0);
    expect(pair.home.answer(misused ?? 0)).toMatchObject({ refusal: { code: 'out-of-stock' } });
    expect(pair.home.answer(replay ?? 0)).toMatchObject({ type: 'accepted', replayed: true });
  });
});
