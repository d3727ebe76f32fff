import { describe, expect, it } from 'vitest';
import type { AbortCause } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { product, productId, ShardHarness } from './shard-harness.ts';

const PASSING: AbortCause = { type: 'passing' };
const rejected = (id: string | null): AbortCause => ({ type: 'rejected', id });

describe('a batch that was aborted', () => {
  it('is sent again under another number, and its customers never notice', () => {
    const shard = new ShardHarness();
    const n = shard.place();
    shard.abort(1, PASSING);
    expect(shard.batches.map(({ no }) => no)).toEqual([1, 2]);
    expect(shard.batches[1]?.orders).toEqual(shard.batches[0]?.orders);
    shard.commit(2);
    expect(shard.answer(n)).toMatchObject({ type: 'accepted' });
  });

  it('is sent three times at most; then its customers are shed and the units are back (I8, I9)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1 })] });
    const n = shard.place();
    for (const no of [1, 2, 3]) shard.abort(no, PASSING);
    expect(shard.batches).toHaveLength(3);
    expect(shard.answer(n)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    const next = shard.place();
    shard.commit(4);
    expect(shard.answer(next)).toMatchObject({ type: 'accepted' });
  });

  it('is not sent again for customers whose time is over', () => {
    const shard = new ShardHarness();
    const n = shard.place();
    shard.now += 4000;
    shard.abort(1, PASSING);
    expect(shard.answer(n)).toMatchObject({ type: 'shed' });
    expect(shard.batches).toHaveLength(1);
  });

  it('answers repeats of its orders as the orders (I3)', () => {
    const shard = new ShardHarness();
    const first = shard.place({ key: 'k' });
    const repeat = shard.place({ key: 'k' });
    shard.abort(1, PASSING);
    const another = shard.place({ key: 'k' });
    expect(shard.batches).toHaveLength(2);
    shard.commit(2);
    expect(shard.types([first, repeat, another])).toEqual(['accepted', 'accepted', 'accepted']);
  });

  it('gives removed units back and never adds any (I1)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 5 })] });
    shard.changeStock(1, -5);
    for (const no of [1, 2, 3]) shard.abort(no, PASSING);
    const n = shard.place({ lines: [[1, 6]] });
    expect(shard.answer(n)).toMatchObject({ refusal: { items: [{ available: 5 }] } });
  });
});

describe('a batch that PostgreSQL denied', () => {
  it('costs only the product to blame: its neighbours are sent again, it is loaded again', () => {
    const shard = new ShardHarness({ products: [product(1), product(2)] });
    const [bad, good] = shard.placeAll([{ lines: [[1, 1]] }, { lines: [[2, 1]] }]);
    shard.products.set(productId(1), product(1, { stock: 0 }));
    shard.abort(1, rejected(productId(1)));
    expect(shard.answer(bad ?? 0)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    expect(shard.loads.at(-1)).toEqual([productId(1)]);
    expect(shard.answer(shard.place())).toMatchObject({ refusal: { code: 'out-of-stock' } });
    shard.commit(2);
    expect(shard.answer(good ?? 0)).toMatchObject({ type: 'accepted' });
  });

  it('has its product loaded only when nothing of it is under way, and nobody decided meanwhile', () => {
    const limits = { overlapOrdersMin: 1 };
    const shard = new ShardHarness({ limits });
    shard.place();
    shard.place();
    expect(shard.batches).toHaveLength(2);
    shard.abort(1, rejected(productId(1)));
    const waits = shard.place();
    expect(shard.answer(waits)).toBeUndefined();
    expect(shard.loads).toHaveLength(1);
    shard.products.set(productId(1), product(1, { stock: 3 }));
    shard.commit(2);
    expect(shard.loads).toHaveLength(2);
    expect(shard.batches).toHaveLength(3);
    expect(shard.answer(shard.place({ lines: [[1, 3]] }))).toMatchObject({
      refusal: { items: [{ available: 2 }] },
    });
  });

  it('costs the open batch what concerns the same product, too', () => {
    const limits = { commitsInFlightMax: 1 };
    const shard = new ShardHarness({ products: [product(1), product(2)], limits });
    shard.place();
    const [bad, good] = shard.placeAll([{ lines: [[1, 1]] }, { lines: [[2, 1]] }]);
    shard.abort(1, rejected(productId(1)));
    expect(shard.answer(bad ?? 0)).toMatchObject({ type: 'shed' });
    expect(shard.batches[1]?.orders.map(({ command }) => command.n)).toEqual([good]);
  });

  it('costs one order when PostgreSQL names the order', () => {
    const shard = new ShardHarness();
    const [bad, good] = shard.placeAll([{ key: 'bad' }, { key: 'good' }]);
    shard.abort(1, rejected('bad'));
    expect(shard.answer(bad ?? 0)).toMatchObject({ type: 'shed' });
    shard.commit(2);
    expect(shard.answer(good ?? 0)).toMatchObject({ type: 'accepted' });
  });

  it('costs everything in it when nobody is named, and does not loop', () => {
    const shard = new ShardHarness();
    const orders = shard.placeAll([{}, {}]);
    shard.abort(1, rejected(null));
    expect(shard.types(orders)).toEqual(['shed', 'shed']);
    expect(shard.batches).toHaveLength(1);
  });
});

describe('a batch whose end is unknown', () => {
  it('keeps its units and its customers until PostgreSQL says how it ended (I8)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1 })] });
    const first = shard.place();
    shard.step({ type: 'unknown', no: 1 });
    expect(shard.others).toEqual([{ type: 'resolve', no: 1 }]);
    expect(shard.answer(first)).toBeUndefined();
    expect(shard.answer(shard.place())).toMatchObject({ type: 'refused' });
    shard.step({ type: 'unknown', no: 1 });
    expect(shard.others).toHaveLength(2);
    shard.commit(1);
    expect(shard.answer(first)).toMatchObject({ type: 'accepted' });
  });
});

describe('a fence', () => {
  it('of the own owner ends the shard: it neither answers nor commits any more (I5)', () => {
    const shard = new ShardHarness();
    const n = shard.place();
    shard.abort(1, { type: 'fenced', owners: [7 as OwnerId] });
    expect(shard.others).toEqual([{ type: 'fenced' }]);
    const later = shard.place();
    expect([shard.answer(n), shard.answer(later)]).toEqual([undefined, undefined]);
    expect(shard.batches).toHaveLength(1);
  });
});
