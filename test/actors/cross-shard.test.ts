import { describe, expect, it } from 'vitest';
import type { OwnerId } from '../../src/domain/ids.ts';
import { product, productId, ShardHarness } from './shard-harness.ts';
import { BOTH, HOLDER, HOME, Pair } from './shard-pair.ts';

describe('an order across shards', () => {
  it('is held elsewhere, committed by its home shard alone, and settled (I4)', () => {
    const pair = new Pair();
    const n = pair.home.place(BOTH);
    expect(pair.home.batches).toEqual([]);
    pair.talk();
    const [batch] = pair.home.batches;
    expect(batch).toMatchObject({ ownerId: HOME, owners: [HOME, HOLDER] });
    expect(batch?.orders[0]).toMatchObject({ homePartition: 1, total: 1001 + 2 * 1002 });
    expect(pair.holder.batches).toEqual([]);
    pair.home.commit(1);
    expect(pair.home.answer(n)).toMatchObject({
      type: 'accepted',
      order: { lines: [{ name: 'Product 1' }, { name: 'Product 2' }] },
    });
    expect(pair.holder.core.holds).toBe(1);
    pair.talk();
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.left()).toEqual([9, 8]);
  });

  it('takes nothing anywhere when one line fails, and names every failing line (I4)', () => {
    const pair = new Pair([0, 1]);
    const n = pair.home.place(BOTH);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({
      refusal: {
        code: 'out-of-stock',
        items: [
          { productId: productId(1), requested: 1, available: 0 },
          { productId: productId(2), requested: 2, available: 1 },
        ],
      },
    });
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.left()).toEqual([0, 1]);
  });

  it('gives the home lines back when another shard refuses', () => {
    const pair = new Pair([10, 1]);
    const n = pair.home.place(BOTH);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({ refusal: { items: [{ available: 1 }] } });
    expect(pair.left()).toEqual([10, 1]);
  });

  it('refuses lines of different currencies, wherever they are owned', () => {
    const pair = new Pair();
    pair.holder.products.set(productId(2), product(2, { price: { amount: 5, currency: 'EUR' } }));
    const n = pair.home.place(BOTH);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({ refusal: { code: 'currency-mismatch' } });
    expect(pair.left()).toEqual([10, 10]);
  });

  it('refuses an unknown product of either shard', () => {
    const pair = new Pair();
    pair.home.products.delete(productId(1));
    const n = pair.home.place(BOTH);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({
      refusal: { code: 'product-not-found', items: [{ productId: productId(1) }] },
    });
    expect(pair.left()[1]).toBe(10);
  });

  it('has one answer for repeats that arrive while it waits for the others (I3)', () => {
    const pair = new Pair();
    const orders = [1, 2].map(() => pair.home.place({ ...BOTH, key: 'k' }));
    pair.talk();
    pair.home.commit(1);
    expect(orders.map((n) => pair.home.answer(n))).toMatchObject([
      { type: 'accepted', replayed: false },
      { type: 'accepted', replayed: true },
    ]);
    pair.talk();
    expect(pair.left()).toEqual([9, 8]);
  });

  it('makes another command with its key wait for it, whatever it is (I3)', () => {
    const pair = new Pair();
    pair.home.place({ ...BOTH, key: 'k' });
    const others = [pair.home.cancel('order', { key: 'k' }), pair.home.changeStock(1, 1, 'k')];
    pair.talk();
    expect(pair.home.batches).toHaveLength(1);
    expect(pair.home.batches[0]).toMatchObject({ statusChanges: [], stockChanges: [] });
    pair.home.commit(1);
    expect(pair.home.types(others)).toEqual(['accepted', 'accepted']);
  });

  it('gives everything back when its batch is aborted for good', () => {
    const pair = new Pair();
    const n = pair.home.place(BOTH);
    pair.talk();
    for (const no of [1, 2, 3]) pair.home.abort(no, { type: 'passing' });
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({ type: 'shed' });
    expect(pair.left()).toEqual([10, 10]);
  });

  it('gives everything back when its id was bound before (I3)', () => {
    const pair = new Pair();
    const n = pair.home.place({ ...BOTH, key: 'k' });
    pair.talk();
    pair.home.commit(1, { duplicates: ['k'] });
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({ type: 'key-reused' });
    expect(pair.left()).toEqual([10, 10]);
  });

  it('makes the holder load a product again whose stock PostgreSQL denied', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    pair.holder.products.set(productId(2), product(2, { stock: 1 }));
    pair.home.abort(1, { type: 'rejected', id: productId(2) });
    pair.talk();
    expect(pair.left()).toEqual([10, 1]);
  });

  it('that has waited for too long is shed, and a late hold is released', () => {
    const pair = new Pair();
    const n = pair.home.place(BOTH);
    pair.home.now += 4000;
    pair.home.step({ type: 'tick' });
    expect(pair.home.answer(n)).toMatchObject({ type: 'shed', code: 'overloaded' });
    pair.talk();
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.left()).toEqual([10, 10]);
  });

  it('is shed while nobody owns one of its products', () => {
    const home = new ShardHarness({ identity: { ownerId: HOME, shard: 1, shards: 2 } });
    const n = home.place(BOTH);
    expect(home.answer(n)).toMatchObject({ type: 'shed', code: 'overloaded' });
  });

  it('is shed while the other shard is dead, and so is whoever waits for it', () => {
    const pair = new Pair();
    const waits = pair.home.place(BOTH);
    pair.home.step({ type: 'peer-lost', shard: 0 });
    const later = pair.home.place(BOTH);
    expect(pair.home.types([waits, later])).toEqual(['shed', 'shed']);
    expect(pair.left()[0]).toBe(10);
    pair.home.step({ type: 'peer', shard: 0, ownerId: 13 as OwnerId });
    expect(pair.home.answer(pair.home.place(BOTH))).toBeUndefined();
  });

  it('may take a quarter of the places while the others are slow, not all (I9)', () => {
    const products = [product(1, { stock: 5000 })];
    const identity = { ownerId: HOME, shard: 1, shards: 2 };
    const home = new ShardHarness({ products, identity, limits: { mailboxMax: 100 } });
    home.step({ type: 'peer', shard: 0, ownerId: HOLDER });
    const carts = home.placeAll(Array.from({ length: 30 }, () => BOTH));
    expect(home.types(carts).filter((type) => type === 'shed')).toHaveLength(5);
    expect(home.answer(home.place())).toBeUndefined();
    expect(home.batches).toHaveLength(1);
  });

  it('that is refused is refused to all who repeat it, at one look around', () => {
    const pair = new Pair([10, 0]);
    const repeats = Array.from({ length: 5 }, () => pair.home.place({ ...BOTH, key: 'k' }));
    pair.talk();
    expect(new Set(pair.home.types(repeats))).toEqual(new Set(['refused']));
  });

  it('is given up when the shard stops', () => {
    const pair = new Pair();
    const n = pair.home.place(BOTH);
    pair.home.step({ type: 'stop' });
    expect(pair.home.answer(n)).toMatchObject({ type: 'shed', code: 'shutting-down' });
    expect(pair.home.stopped).toBe(true);
  });
});

describe('a hold', () => {
  it('is never released by time: its order may be committed already (I1)', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    pair.holder.pass(3_600_000);
    expect(pair.holder.core.holds).toBe(1);
    expect(pair.left()).toEqual([9, 8]);
  });

  it('of an owner that died ends with it: PostgreSQL says what became of its order (I1, I4)', () => {
    const pair = new Pair();
    for (const key of ['committed', 'lost']) pair.home.place({ ...BOTH, key });
    pair.talk();
    // One of the two orders took place.
    pair.holder.products.set(productId(2), product(2, { stock: 8, stockVersion: 2 }));
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.left()[1]).toBe(8);
  });

  it('of an owner that died keeps its product undecided while others have units of it', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    const own = pair.holder.place({ lines: [[2, 1]] });
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    const waits = pair.holder.place({ lines: [[2, 1000]] });
    expect(pair.holder.answer(waits)).toBeUndefined();
    pair.holder.products.set(productId(2), product(2, { stock: 9, stockVersion: 2 }));
    pair.holder.commit(1);
    expect(pair.holder.answer(own)).toMatchObject({ type: 'accepted' });
    expect(pair.holder.answer(waits)).toMatchObject({ refusal: { items: [{ available: 9 }] } });
  });

  it('ignores what its dead home owner says late: PostgreSQL decides (I5)', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    pair.holder.products.set(productId(2), product(2, { stock: 8, stockVersion: 2 }));
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    const messages = [{ type: 'release', attempt: 1, diverged: null }] as const;
    pair.holder.step({ type: 'messages', from: HOME, messages });
    expect(pair.left()[1]).toBe(8);
  });

  it('that still waits in its mailbox is forgotten with its home owner', () => {
    const pair = new Pair();
    pair.holder.holdLoads = true;
    pair.home.place(BOTH);
    pair.talk();
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    pair.holder.finishLoad();
    expect(pair.holder.core.holds).toBe(0);
    expect(pair.holder.core.undecided).toBe(0);
    expect(pair.left()[1]).toBe(10);
  });

  it('placed with an owner that died is no hold: the order is shed and the rest released', () => {
    const pair = new Pair();
    const [waits, open] = [pair.home.place(BOTH), 0];
    pair.home.step({ type: 'peer', shard: 0, ownerId: 13 as OwnerId });
    expect(open).toBe(0);
    expect(pair.home.answer(waits)).toMatchObject({ type: 'shed', code: 'overloaded' });
    expect(pair.left()[0]).toBe(10);
  });

  it('whose owner is fenced when the batch arrives costs that order, not its neighbours (I5)', () => {
    const pair = new Pair();
    const across = pair.home.place(BOTH);
    pair.talk();
    pair.home.abort(1, { type: 'fenced', owners: [HOLDER] });
    expect(pair.home.answer(across)).toMatchObject({ type: 'shed', code: 'overloaded' });
    expect(pair.left()[0]).toBe(10);
  });
});

describe('units that a status change freed', () => {
  const freed = [{ productId: productId(2), units: 5, stockVersion: 4, customers: [] }];

  it('go to the owner of the product, once the change is committed', () => {
    const pair = new Pair();
    pair.home.cancel('order', { partitions: [1, 2] });
    expect(pair.home.batches[0]).toMatchObject({ owners: [HOME, HOLDER] });
    expect(pair.left()[1]).toBe(10);
    pair.home.commit(1, { freed });
    pair.talk();
    expect(pair.left()[1]).toBe(15);
  });

  it('are not counted twice by an owner that loaded them (lazy-load race)', () => {
    const pair = new Pair();
    pair.holder.products.set(productId(2), product(2, { stock: 15, stockVersion: 4 }));
    expect(pair.left()[1]).toBe(15);
    pair.home.cancel('order', { partitions: [1, 2] });
    pair.home.commit(1, { freed });
    pair.talk();
    expect(pair.left()[1]).toBe(15);
  });

  it('are found in PostgreSQL when the home owner died before it told of them', () => {
    const pair = new Pair();
    expect(pair.left()[1]).toBe(10);
    pair.holder.products.set(productId(2), product(2, { stock: 15, stockVersion: 4 }));
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    expect(pair.holder.others).toEqual([{ type: 'find-freed', by: HOME }]);
    pair.holder.step({ type: 'freed-found', products: [productId(2), productId(4)] });
    expect(pair.left()[1]).toBe(15);
  });

  it('are found also by a product that was read before and arrives after (lazy-load race)', () => {
    const pair = new Pair();
    pair.holder.holdLoads = true;
    const waits = pair.holder.place({ lines: [[2, 12]] });
    pair.holder.step({ type: 'freed-found', products: [productId(2)] });
    pair.holder.finishLoad();
    expect(pair.holder.loads).toHaveLength(2);
    pair.holder.products.set(productId(2), product(2, { stock: 15, stockVersion: 4 }));
    pair.holder.finishLoad();
    expect(pair.holder.answer(waits)).toBeUndefined();
    expect(pair.holder.batches).toHaveLength(1);
  });

  it('are counted when they are told while the product is being loaded without them', () => {
    const pair = new Pair();
    pair.holder.holdLoads = true;
    const waits = pair.holder.place({ lines: [[2, 12]] });
    pair.home.cancel('order', { partitions: [1, 2] });
    pair.home.commit(1, { freed });
    pair.talk();
    pair.holder.finishLoad();
    expect(pair.holder.answer(waits)).toBeUndefined();
    expect(pair.holder.batches).toHaveLength(1);
  });
});
