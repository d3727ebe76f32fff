import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoldBook } from '../../src/actors/hold-book.ts';
import type { ExpiringOrder } from '../../src/domain/batch.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import type { Held } from '../../src/domain/inspection.ts';
import { LIMITS, productId, ShardHarness, START_MS } from './shard-harness.ts';

const ORDERS = 8;

function order(n: number, lines: readonly (readonly [number, number])[], ms = 0): ExpiringOrder {
  return {
    orderId: `order ${n}` as OrderId,
    expiresAt: START_MS + ms,
    lines: lines.map(([product, quantity]) => ({ productId: productId(product), quantity })),
  };
}

const line = fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: 1, max: 12 }));
const lines = fc.uniqueArray(line, { minLength: 1, maxLength: 3, selector: ([n]) => n });
const orders = fc
  .array(fc.tuple(lines, fc.nat(90_000)), { minLength: ORDERS, maxLength: ORDERS })
  .map((all) => all.map(([of, ms], n) => order(n, of, ms)));
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('add'), n: fc.nat(ORDERS - 1) }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('remove'), n: fc.nat(ORDERS - 1) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('load'), n: fc.nat() }) },
  ),
  { maxLength: 60, size: 'max' },
);

function naive(all: Iterable<ExpiringOrder>, n: number, now: number): Held | null {
  let held: Held | null = null;
  for (const { lines: of, expiresAt } of all) {
    for (const { productId: id, quantity } of of) {
      if (id !== productId(n)) continue;
      const before: Held = held ?? { units: 0, lapsing10s: 0, lapsing60s: 0 };
      const second = Math.floor(expiresAt / 1000) * 1000;
      held = {
        units: before.units + quantity,
        lapsing10s: before.lapsing10s + (second < now + 10_000 ? 1 : 0),
        lapsing60s: before.lapsing60s + (second < now + 60_000 ? 1 : 0),
      };
    }
  }
  return held;
}

describe('the book of holds', () => {
  it('has every order once that waits, whatever comes twice, late or never', () => {
    fc.assert(
      fc.property(orders, steps, fc.nat(100_000), (all, taken, ms) => {
        const book = new HoldBook(ORDERS);
        const waiting = new Map<number, ExpiringOrder>();
        // An order that left never waits again; what a load read is as old as its start.
        const gone = new Set<number>();
        let read: ExpiringOrder[] | null = null;
        for (const { type, n } of taken) {
          const one = all[n];
          if (type === 'load' && read === null) {
            book.startLoad();
            read = all.filter((_, at) => !gone.has(at));
          } else if (type === 'load') {
            book.endLoad(read ?? []);
            for (const at of all.keys()) {
              const found = all[at];
              if (read?.includes(found ?? order(0, [])) !== true || gone.has(at)) continue;
              if (found !== undefined) waiting.set(at, found);
            }
            read = null;
          } else if (one !== undefined && type === 'add' && !gone.has(n)) {
            book.add(one);
            waiting.set(n, one);
          } else if (one !== undefined && type === 'remove') {
            book.remove(one.orderId);
            waiting.delete(n);
            gone.add(n);
          }
          expect(book.size).toBe(waiting.size);
        }
        const now = START_MS + ms;
        for (const n of [1, 2, 3]) {
          expect(book.of(productId(n), now)).toEqual(naive(waiting.values(), n, now));
        }
        expect(book.isSound).toBe(true);
      }),
    );
  });

  it('says that it is not sound when more left during a load than it can remember (I9)', () => {
    const book = new HoldBook(2);
    for (const n of [1, 2, 3]) book.remove(order(n, [[1, 1]]).orderId);
    expect(book.isSound).toBe(true);
    book.startLoad();
    for (const n of [1, 2]) book.remove(order(n, [[1, 1]]).orderId);
    expect(book.isSound).toBe(true);
    book.remove(order(3, [[1, 1]]).orderId);
    expect(book.isSound).toBe(false);
  });

  it('shares the lines of orders for one product, and of no others', () => {
    const book = new HoldBook(2);
    const one = order(1, [[1, 2]]);
    book.add(one);
    const shared = book.share(order(2, [[1, 2]]).lines);
    expect(book.share(order(3, [[1, 2]]).lines)).toBe(shared);
    for (const of of [
      [[1, 3]],
      [[2, 2]],
      [
        [1, 2],
        [2, 2],
      ],
      [[1, 1000]],
    ] as const) {
      // prettier-ignore
      const { lines: own } = order(4, of);
      expect(book.share(own)).toEqual(own);
      expect(book.share(own)).not.toBe(shared);
    }
  });
});

describe('what orders hold', () => {
  const heldOf = (shard: ShardHarness, n = 1): Held | null | undefined =>
    shard.core.inspection.held([productId(n)], shard.now)?.get(productId(n)) ?? null;
  const units = (shard: ShardHarness): number | undefined => heldOf(shard)?.units;

  it('is known of every product of an order from its COMMIT on, whoever owns it', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'a', lines: [[1, 2]] });
    expect(heldOf(shard)).toBeNull();
    shard.commit(1);
    expect(heldOf(shard)).toEqual({ units: 2, lapsing10s: 0, lapsing60s: 0 });
    shard.now += 850_000;
    expect(heldOf(shard)).toEqual({ units: 2, lapsing10s: 0, lapsing60s: 1 });
    shard.now += 45_000;
    expect(heldOf(shard)).toEqual({ units: 2, lapsing10s: 1, lapsing60s: 1 });
  });

  it.each([
    ['is paid', {}, 0],
    ['turns out to be cancelled', { unchanged: { a: 'CANCELLED' } }, 0],
    ['still waits for payment', { unchanged: { a: 'WAITING_PAYMENT' } }, 2],
    ['is answered by another effect of the key', { duplicates: ['pay'] }, 2],
  ] as const)('ends, or not, when an order %s', (_, report, left) => {
    const shard = new ShardHarness();
    shard.place({ key: 'a', lines: [[1, 2]] });
    shard.commit(1);
    shard.changeStatus('a', { from: ['WAITING_PAYMENT'], to: 'PAID' }, { key: 'pay' });
    expect(units(shard)).toBe(2);
    shard.commit(2, report);
    expect(units(shard) ?? 0).toBe(left);
  });

  it('ends when the order lapses, not when its time is over', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'a' });
    shard.commit(1);
    shard.pass(900_001);
    expect(shard.batches[1]?.statusChanges).toHaveLength(1);
    expect(heldOf(shard)).toEqual({ units: 1, lapsing10s: 1, lapsing60s: 1 });
    shard.commit(2);
    expect(heldOf(shard)).toBeNull();
    expect(shard.core.inspection.part(shard.now).totals.lapsed).toBe(1);
  });

  it('is not touched by a change of the order that is undone', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'a' });
    shard.commit(1);
    shard.cancel('a');
    for (const no of [2, 3, 4]) shard.abort(no, { type: 'passing' });
    expect(units(shard)).toBe(1);
  });

  it.each([
    ['undone', (shard: ShardHarness) => shard.abort(1, { type: 'rejected', id: null })],
    ['bound before', (shard: ShardHarness) => shard.commit(1, { duplicates: ['a'] })],
  ])('never begins for an order that is %s', (_, end) => {
    const shard = new ShardHarness();
    shard.place({ key: 'a' });
    end(shard);
    expect(heldOf(shard)).toBeNull();
    expect(shard.core.inspection.part(shard.now).unpaid).toBe(0);
  });

  it('is not known while unpaid orders are being loaded, nor beyond what the heap holds', () => {
    const shard = new ShardHarness({ limits: { expiringMax: 2 }, holdExpiring: true });
    const known = (): boolean => shard.core.inspection.held([], shard.now) !== null;
    shard.step({ type: 'tick' });
    expect(known()).toBe(false);
    expect(shard.core.inspection.part(shard.now).unpaid).toBeNull();
    shard.step({ type: 'expiring', orders: [order(1, [[1, 5]], 900_000)], complete: true });
    expect(units(shard)).toBe(5);
    for (const key of ['a', 'b']) shard.place({ key });
    shard.commit(1);
    shard.commit(2);
    expect(known()).toBe(false);
  });

  it('is not brought back by a load that read the order before it was paid', () => {
    const shard = new ShardHarness({ holdExpiring: true });
    shard.step({ type: 'tick' });
    // Paid while the answer is on its way; the shard never saw it placed.
    shard.cancel('order 1');
    shard.commit(1);
    shard.step({ type: 'expiring', orders: [order(1, [[1, 5]], 900_000)], complete: true });
    expect(heldOf(shard)).toBeNull();
  });

  it('is right again after an expiry that overtook the news of the COMMIT itself', () => {
    const shard = new ShardHarness({ holdExpiring: true });
    shard.step({ type: 'tick' });
    shard.place({ key: 'a' });
    shard.step({ type: 'unknown', no: 1 });
    // It did commit, a load finds it, and it expires before anybody could settle the batch.
    const loaded = { ...order(1, [[1, 1]], 900_000), orderId: 'a' as OrderId };
    shard.step({ type: 'expiring', orders: [loaded], complete: true });
    shard.pass(900_001);
    shard.pass(LIMITS.overlapWaitMsMax);
    shard.commit(2);
    expect(heldOf(shard)).toBeNull();
    shard.commit(1);
    shard.pass(1);
    shard.commit(3, { unchanged: { a: 'EXPIRED' } });
    expect(heldOf(shard)).toBeNull();
    const { totals, unpaid } = shard.core.inspection.part(shard.now);
    expect([totals.lapsed, unpaid]).toEqual([1, 0]);
  });
});
