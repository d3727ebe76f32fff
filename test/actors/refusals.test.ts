import { describe, expect, it } from 'vitest';
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import { Refusals } from '../../src/actors/refusals.ts';
import type { OrderId, UserId } from '../../src/domain/ids.ts';
import { REFUSALS_KEPT_MAX, REFUSALS_KEPT_MS } from '../../src/domain/inspection.ts';
import type { RefusalRecord } from '../../src/domain/inspection.ts';
import type { PlaceCommand } from '../../src/domain/wire.ts';
import { product, productId, ShardHarness, START_MS } from './shard-harness.ts';
import { BOTH, Pair } from './shard-pair.ts';

const id = (text: string): OrderId => text as OrderId;
const soldOut = (sequence: number) => product(1, { stock: 0, supplied: 5, sequence });

function recordOf(shard: ShardHarness, key: string): RefusalRecord | null {
  return shard.core.inspection.refusal(id(key), shard.now);
}

describe('why an order was refused', () => {
  it('is remembered by its key, with how many were served before', () => {
    const shard = new ShardHarness({ products: [soldOut(5)] });
    shard.place({ key: 'k', lines: [[1, 2]] });
    expect(recordOf(shard, 'k')).toEqual({
      id: 'k',
      code: 'out-of-stock',
      decidedAt: START_MS,
      items: [{ productId: productId(1), requested: 2, available: 0, ahead: 5 }],
    });
    expect(recordOf(shard, 'another')).toBeNull();
  });

  it('is not remembered of an order without a key: nobody can ask for it', () => {
    const shard = new ShardHarness({ products: [soldOut(5)] });
    const n = shard.place();
    expect(shard.answer(n)).toMatchObject({ type: 'refused' });
    expect(recordOf(shard, `fresh-${n}`)).toBeNull();
  });

  it('is what the last try of the key was told', () => {
    const shard = new ShardHarness({ products: [soldOut(5)] });
    shard.place({ key: 'k' });
    shard.now += 1000;
    shard.place({ key: 'k', lines: [[1, 3]] });
    const items = [{ productId: productId(1), requested: 3, available: 0, ahead: 5 }];
    expect(recordOf(shard, 'k')).toMatchObject({ decidedAt: START_MS + 1000, items });
  });

  it('of a checkout is found by the key that came with it, and by nothing without one', () => {
    const shard = new ShardHarness({ products: [soldOut(5)] });
    shard.place({ cart: { id: 'cart', version: 1, key: 'k' } });
    shard.place({ cart: { id: 'keyless', version: 1 } });
    expect(recordOf(shard, 'k')).toMatchObject({ id: 'order of cart' });
    expect(recordOf(shard, 'order of cart')).toBeNull();
    expect(recordOf(shard, 'order of keyless')).toBeNull();
  });

  it('counts the places that were given by the owner of each product', () => {
    const pair = new Pair([10, 1], { sequence: 3 });
    pair.home.place({ lines: [[1, 1]] });
    pair.home.place({ ...BOTH, key: 'k' });
    pair.talk();
    const items = [{ productId: productId(2), requested: 2, available: 1, ahead: 3 }];
    expect(recordOf(pair.home, 'k')).toMatchObject({ code: 'out-of-stock', items });
    expect(recordOf(pair.holder, 'k')).toBeNull();
  });
});

describe('a refusal that waits for a look-up', () => {
  /** A key that the window does not hold may be bound all the same. */
  function asking(): ShardHarness {
    const window = new IdempotencyWindow({ linesMax: 1000, complete: false });
    const shard = new ShardHarness({ products: [soldOut(5)], window });
    shard.holdLookUps = true;
    return shard;
  }

  it('is remembered once it is told, as of its decision', () => {
    const shard = asking();
    shard.place({ key: 'k' });
    expect(shard.lookUps).toEqual([['k']]);
    expect(recordOf(shard, 'k')).toBeNull();
    shard.now += 500;
    shard.step({ type: 'looked-up', effects: [] });
    expect(recordOf(shard, 'k')).toMatchObject({ decidedAt: START_MS });
  });

  it.each([
    ['the key turns out to be bound', 'looked-up'],
    ['nobody can tell', 'look-up-failed'],
  ] as const)('is not remembered when %s', (_, type) => {
    const shard = asking();
    const n = shard.place({ key: 'k' });
    const effect = { kind: 'other', id: 'k', requestHash: 'hash' } as const;
    shard.step(type === 'looked-up' ? { type, effects: [effect] } : { type });
    expect(['key-reused', 'shed']).toContain(shard.answer(n)?.type);
    expect(recordOf(shard, 'k')).toBeNull();
  });
});

describe('a remembered refusal', () => {
  it('is forgotten when an order of the key commits', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 0 })] });
    shard.place({ key: 'k' });
    shard.changeStock(1, 5, 'supply');
    shard.commit(1, { stockAfter: { supply: 5 } });
    shard.place({ key: 'k' });
    expect(recordOf(shard, 'k')).not.toBeNull();
    shard.commit(2);
    expect(recordOf(shard, 'k')).toBeNull();
  });

  it('stays while the order is undone: nothing else is known of the key', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 0 })] });
    shard.place({ key: 'k' });
    shard.changeStock(1, 5, 'supply');
    shard.commit(1, { stockAfter: { supply: 5 } });
    shard.place({ key: 'k' });
    shard.abort(2, { type: 'rejected', id: null });
    expect(recordOf(shard, 'k')).toMatchObject({ code: 'out-of-stock' });
  });

  it('is forgotten after its time (I9)', () => {
    const shard = new ShardHarness({ products: [soldOut(5)] });
    shard.place({ key: 'k' });
    shard.now += REFUSALS_KEPT_MS;
    expect(recordOf(shard, 'k')).not.toBeNull();
    shard.now += 1;
    expect(recordOf(shard, 'k')).toBeNull();
  });
});

describe('the memory of refusals', () => {
  const command = (key: string): PlaceCommand => ({
    kind: 'place',
    n: 1,
    id: id(key),
    requestHash: 'hash',
    keyed: true,
    receivedAt: START_MS,
    traceparent: null,
    userId: 'customer' as UserId,
    lines: [],
    otherShards: null,
    reference: null,
    metadata: null,
    cart: null,
  });
  const record = (key: string, decidedAt: number): RefusalRecord => {
    return { id: id(key), code: 'out-of-stock', decidedAt, items: [] };
  };

  it('holds the newest ones only, whether keys are new or come again and again (I9)', () => {
    const refusals = new Refusals();
    const known = (key: string): boolean => refusals.find(key, START_MS) !== null;
    const all = Array.from({ length: 3 * REFUSALS_KEPT_MAX }, (_, n) => `${n}`);
    for (const [n, key] of all.entries()) {
      refusals.remember(command(key), record(key, START_MS));
      // The newest of all are always there.
      expect(known(all[Math.max(0, n + 1 - REFUSALS_KEPT_MAX / 2)] ?? '')).toBe(true);
    }
    expect(all.filter(known).length).toBeLessThanOrEqual(REFUSALS_KEPT_MAX);
    const kept = all.filter(known);
    for (let n = 0; n < REFUSALS_KEPT_MAX; n += 1) {
      refusals.remember(command('again'), record('again', START_MS + n));
    }
    expect(refusals.find('again', START_MS)?.decidedAt).toBe(START_MS + REFUSALS_KEPT_MAX - 1);
    expect(kept.filter(known)).toEqual(kept.slice(-REFUSALS_KEPT_MAX / 2));
    refusals.forget(command('again'));
    expect(known('again')).toBe(false);
  });

  it('says the newest of a key also when the one before is in the older half', () => {
    const refusals = new Refusals();
    refusals.remember(command('k'), record('k', START_MS));
    for (let n = 0; n < REFUSALS_KEPT_MAX / 2; n += 1) {
      refusals.remember(command(`${n}`), record(`${n}`, START_MS));
    }
    expect(refusals.find('k', START_MS)?.decidedAt).toBe(START_MS);
    refusals.remember(command('k'), record('k', START_MS + 1));
    expect(refusals.find('k', START_MS)?.decidedAt).toBe(START_MS + 1);
    refusals.forget(command('k'));
    expect(refusals.find('k', START_MS)).toBeNull();
  });
});
