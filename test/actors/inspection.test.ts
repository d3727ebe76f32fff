import { describe, expect, it } from 'vitest';
import type { ActorPart, ActorSort, ShardTotals } from '../../src/domain/inspection.ts';
import { product, productId, ShardHarness, START_MS } from './shard-harness.ts';
import { BOTH, HOLDER, Pair } from './shard-pair.ts';

function partOf(shard: ShardHarness, n = 1): ActorPart {
  const part = shard.core.inspection.actor(productId(n), shard.now);
  if (part === null) throw new Error(`product ${n} is not in memory`);
  return part;
}

function totals(shard: ShardHarness): ShardTotals {
  return shard.core.inspection.part(shard.now).totals;
}

function shardOf(...stocks: readonly number[]): ShardHarness {
  return new ShardHarness({ products: stocks.map((stock, i) => product(i + 1, { stock })) });
}

describe('a product that was never asked for', () => {
  it('is not in memory', () => {
    const shard = new ShardHarness();
    expect(shard.core.inspection.actor(productId(1), shard.now)).toBeNull();
    expect(shard.core.inspection.actors({ sort: 'rate', limit: 10 }, shard.now)).toEqual([]);
  });

  it('has no name while it is being loaded, and says what waits for it', () => {
    const shard = new ShardHarness();
    shard.holdLoads = true;
    shard.place();
    shard.now += 250;
    shard.place();
    expect(partOf(shard)).toMatchObject({
      name: null,
      status: null,
      mailbox: { depth: 2, oldestMs: 250 },
      soldOutAt: null,
    });
    const { mailbox, actors } = shard.core.inspection.part(shard.now);
    expect({ mailbox, actors }).toEqual({
      mailbox: { depth: 2, bound: 1000, oldestMs: 250 },
      actors: 1,
    });
    shard.finishLoad();
    expect(partOf(shard)).toMatchObject({
      name: 'Product 1',
      status: 'active',
      shard: 0,
      partition: 1,
      ownerId: 7,
      mailbox: { depth: 0, oldestMs: null },
    });
  });
});

describe('the mailbox of a product', () => {
  it('takes orders up to the depth that is told, and none above it (I9)', () => {
    const shard = new ShardHarness({ limits: { mailboxMax: 20 } });
    shard.holdLoads = true;
    const seen = new Set<string>();
    for (let n = 0; n < 30; n += 1) {
      const before = n === 0 ? { depth: 0, bound: 9 } : partOf(shard).mailbox;
      const shed = shard.answer(shard.place())?.type === 'shed';
      expect(shed).toBe(before.depth > before.bound);
      seen.add(shed ? 'shed' : 'taken');
    }
    expect(seen).toEqual(new Set(['taken', 'shed']));
  });

  it('is empty when what stands in it was served through another one', () => {
    const shard = shardOf(10, 10);
    shard.place({ lines: [[1, 1]] });
    shard.holdLoads = true;
    shard.place({ lines: [[1, 1], [2, 1]] }); // prettier-ignore
    expect(partOf(shard).mailbox).toMatchObject({ depth: 1, oldestMs: 0 });
    shard.pass(4001);
    expect(partOf(shard).mailbox).toMatchObject({ depth: 0, oldestMs: null });
    expect(shard.core.inspection.part(shard.now).mailbox).toMatchObject({ oldestMs: null });
  });

  it('of the shard counts commands that stand in no mailbox', () => {
    const shard = new ShardHarness({ limits: { batchOrdersMax: 1, commitsInFlightMax: 1 } });
    shard.place();
    shard.place();
    shard.cancel('order');
    shard.now += 10;
    const { mailbox } = shard.core.inspection.part(shard.now);
    expect(mailbox).toMatchObject({ depth: 1, oldestMs: 10 });
  });
});

describe('decisions', () => {
  it('are decided until their batch is sent, and committing until it ends', () => {
    const shard = shardOf(10, 10);
    shard.place({ lines: [[1, 1]] });
    shard.placeAll([{ lines: [[1, 1], [2, 1]] }, { lines: [[2, 1]] }]); // prettier-ignore
    shard.changeStock(2, 5);
    expect(partOf(shard)).toMatchObject({ decided: 1, committing: 1 });
    expect(partOf(shard, 2)).toMatchObject({ decided: 3, committing: 0 });
    expect(shard.core.inspection.part(shard.now)).toMatchObject({ decided: 3, inFlight: 1 });
    shard.commit(1);
    expect(partOf(shard)).toMatchObject({ decided: 0, committing: 1 });
    expect(partOf(shard, 2)).toMatchObject({ decided: 0, committing: 3 });
  });

  it('are still committing while they wait to be sent again', () => {
    const shard = new ShardHarness({ limits: { overlapOrdersMin: 1, commitsInFlightMax: 1 } });
    shard.place();
    shard.edit(1, { name: 'other' });
    expect(partOf(shard)).toMatchObject({ decided: 1, committing: 1 });
    shard.abort(1, { type: 'passing' });
    expect(partOf(shard)).toMatchObject({ decided: 1, committing: 1 });
    shard.commit(2);
    expect(partOf(shard)).toMatchObject({ decided: 0, committing: 1 });
    shard.commit(3);
    expect(partOf(shard)).toMatchObject({ decided: 0, committing: 0, name: 'other' });
  });

  it('carry the time of the first of them in their batch, also when it is sent again', () => {
    const shard = new ShardHarness({ limits: { overlapOrdersMin: 3 } });
    shard.place();
    shard.now += 5;
    shard.place();
    shard.now += 5;
    shard.changeStock(1, 1);
    shard.commit(1);
    shard.now += 5;
    shard.abort(2, { type: 'passing' });
    shard.edit(1, { name: 'other' });
    const opened = shard.batches.map(({ no, openedAt }) => [no, openedAt - START_MS]);
    expect(opened).toEqual([[1, 0], [2, 5], [3, 5], [4, 15]]); // prettier-ignore
  });
});

describe('units in live orders', () => {
  it('rise with a COMMIT, fall with what it frees, and ignore what is supplied', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 6, supplied: 10 })] });
    shard.place({ key: 'a', lines: [[1, 2]] });
    expect(partOf(shard)).toMatchObject({ available: 4, live: 4 });
    shard.commit(1);
    expect(partOf(shard)).toMatchObject({ available: 4, live: 6 });
    shard.changeStock(1, 5, 'supply');
    shard.commit(2, { stockAfter: { supply: 9 } });
    expect(partOf(shard)).toMatchObject({ available: 9, live: 6 });
    shard.cancel('a');
    const freed = [{ productId: productId(1), units: 2, stockVersion: 4, customers: [] }];
    shard.commit(3, { freed });
    expect(partOf(shard)).toMatchObject({ available: 11, live: 4 });
  });

  it.each([
    ['undone', (shard: ShardHarness) => shard.abort(1, { type: 'rejected', id: 'a' })],
    ['bound before', (shard: ShardHarness) => shard.commit(1, { duplicates: ['a'] })],
  ])('are what they were when an order is %s', (_, end) => {
    const shard = new ShardHarness({ products: [product(1, { stock: 6, supplied: 10 })] });
    shard.place({ key: 'a', lines: [[1, 2]] });
    end(shard);
    expect(partOf(shard)).toMatchObject({ available: 6, live: 4, soldOutAt: null });
    expect(totals(shard)).toMatchObject({ orders: 0, units: 0 });
  });

  it('of another shard rise with its word, and are loaded again when it says nothing', () => {
    const pair = new Pair();
    pair.home.place({ ...BOTH, key: 'a' });
    pair.talk();
    pair.home.commit(1);
    expect([partOf(pair.home).live, partOf(pair.holder, 2).live]).toEqual([1, 0]);
    pair.talk();
    expect(partOf(pair.holder, 2).live).toBe(2);
    expect([totals(pair.home), totals(pair.holder)]).toMatchObject([
      { orders: 1, units: 1 },
      { orders: 0, units: 2 },
    ]);
    pair.home.place({ ...BOTH, key: 'b' });
    pair.talk();
    pair.holder.products.set(productId(2), product(2, { stock: 6, supplied: 10 }));
    pair.holder.step({ type: 'peer', shard: 1, ownerId: HOLDER });
    expect(partOf(pair.holder, 2)).toMatchObject({ available: 6, live: 4 });
  });
});

describe('the pace of a product', () => {
  it('is that of its commits, here and for the orders of other shards', () => {
    const pair = new Pair([100, 100]);
    for (let n = 0; n < 10; n += 1) {
      pair.home.place(BOTH);
      pair.talk();
      pair.home.commit(n + 1);
      pair.talk();
      pair.home.now += 1000;
      pair.holder.now += 1000;
    }
    const { now } = pair.home;
    const rates = { s1: 1, s10: 1, s60: 10 / 60 };
    expect(partOf(pair.home)).toMatchObject({ ordersPerSecond: rates, soldOutAt: now + 90_000 });
    const other = { ordersPerSecond: rates, sequence: 10, soldOutAt: now + 40_000 };
    expect(partOf(pair.holder, 2)).toMatchObject(other);
  });

  it('is nothing while nothing commits', () => {
    const shard = new ShardHarness();
    shard.place();
    shard.now += 1000;
    const none = { s1: 0, s10: 0, s60: 0 };
    expect(partOf(shard)).toMatchObject({ ordersPerSecond: none, soldOutAt: null });
  });
});

describe('what was not accepted', () => {
  it('is counted by its reason, per product and per shard', () => {
    const shard = shardOf(1, 1);
    for (const lines of [[[1, 2], [2, 2]], [[1, 2]], [[1, 2], [2, 1]]] as const) shard.place({ lines }); // prettier-ignore
    shard.edit(2, { status: 'paused' });
    shard.commit(1);
    shard.place({ lines: [[2, 1]] });
    expect(partOf(shard).refused).toEqual({ 'out-of-stock': 3 });
    expect(partOf(shard, 2).refused).toEqual({ 'out-of-stock': 1, 'product-not-for-sale': 1 });
    expect(totals(shard).refused).toEqual({ 'out-of-stock': 3, 'product-not-for-sale': 1 });
  });

  it('is counted where the product is owned, and told where the order is at home', () => {
    const pair = new Pair([10, 1]);
    pair.home.place(BOTH);
    pair.talk();
    expect([partOf(pair.home).refused, partOf(pair.holder, 2).refused]).toEqual([
      {},
      { 'out-of-stock': 1 },
    ]);
    expect([totals(pair.home).refused, totals(pair.holder).refused]).toEqual([
      { 'out-of-stock': 1 },
      {},
    ]);
  });

  it('is told as it was when it is asked for: later ones do not change what was handed out', () => {
    const shard = shardOf(0);
    shard.place();
    const [part, before] = [partOf(shard), totals(shard)];
    shard.place();
    expect([part.refused, before.refused]).toEqual([{ 'out-of-stock': 1 }, { 'out-of-stock': 1 }]);
  });

  it('is shed for one of three reasons, or was accepted before', () => {
    const shard = new ShardHarness({ limits: { mailboxMax: 2 } });
    shard.place({ key: 'a' });
    shard.commit(1);
    shard.place({ key: 'a' });
    shard.holdLoads = true;
    for (let n = 0; n < 3; n += 1) shard.place({ lines: [[2, 1]] });
    shard.proving = false;
    shard.now += 1001;
    shard.place();
    shard.proving = true;
    shard.step({ type: 'stop' });
    expect(totals(shard)).toEqual({
      orders: 1,
      units: 1,
      replayed: 1,
      refused: {},
      shed: { overloaded: 2, 'database-unavailable': 1, 'shutting-down': 1 },
      lapsed: 0,
    });
  });
});

describe('a list of actors', () => {
  /** Products 1 to 4, in the order in which they were asked for. */
  function busy(): ShardHarness {
    const shard = shardOf(50, 9, 70, 3);
    for (const [n, units] of [[1, 1], [2, 1], [2, 1], [3, 1], [3, 1], [3, 1]] as const) shard.place({ lines: [[n, units]] }); // prettier-ignore
    shard.commit(1);
    shard.commit(2);
    shard.place({ lines: [[4, 1]] });
    shard.now += 1000;
    return shard;
  }

  it.each<[ActorSort, readonly number[]]>([
    ['rate', [3, 2, 1, 4]],
    ['stock', [4, 2, 1, 3]],
    ['depth', [3, 2, 1, 4]],
    ['oldest', [3, 2, 1, 4]],
  ])('is sorted by %s, and the busier one first where that is equal', (sort, expected) => {
    const shard = busy();
    for (let limit = 1; limit <= 5; limit += 1) {
      const told = shard.core.inspection.actors({ sort, limit }, shard.now);
      expect(told.map(({ partition }) => partition)).toEqual(expected.slice(0, limit));
    }
  });

  it('has those first whose customers wait', () => {
    const shard = busy();
    shard.holdLoads = true;
    shard.place({ lines: [[6, 1]] });
    shard.now += 1;
    for (let n = 0; n < 2; n += 1) shard.place({ lines: [[5, 1]] });
    const first = (sort: ActorSort): readonly number[] =>
      shard.core.inspection.actors({ sort, limit: 2 }, shard.now).map(({ partition }) => partition);
    expect(first('depth')).toEqual([5, 6]);
    expect(first('oldest')).toEqual([6, 5]);
    // What is not loaded has nothing to sell out.
    expect(first('stock')).toEqual([4, 2]);
  });
});
