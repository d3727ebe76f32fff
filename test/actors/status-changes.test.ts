import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Expiry } from '../../src/actors/expiry.ts';
import type { ExpiringOrder } from '../../src/domain/batch.ts';
import type { OrderId, PaymentId, UserId } from '../../src/domain/ids.ts';
import { productId, ShardHarness, START_MS } from './shard-harness.ts';

const HOLD_MS = 900_000;

function expiring(id: string, expiresAt: number): ExpiringOrder {
  return { orderId: id as OrderId, expiresAt, lines: [] };
}

describe('a cancelled order', () => {
  it('is answered after the COMMIT, and its units are on sale from then on (I1)', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'order', lines: [[1, 10]] });
    shard.commit(1);
    const cancel = shard.cancel('order');
    expect(shard.batches[1]?.statusChanges).toMatchObject([{ orderId: 'order', to: 'CANCELLED' }]);
    expect(shard.answer(shard.place())).toMatchObject({ type: 'refused' });
    const freed = [{ productId: productId(1), units: 10, stockVersion: 9, customers: [] }];
    shard.commit(2, { freed });
    expect(shard.answer(cancel)).toMatchObject({ type: 'status-changed', replayed: false });
    expect(shard.answer(shard.place())).toBeUndefined();
  });

  it('says which status the order has when it cannot be changed', () => {
    const shard = new ShardHarness();
    const n = shard.cancel('order');
    shard.commit(1, { unchanged: { order: 'EXPIRED' } });
    expect(shard.answer(n)).toEqual({ n, type: 'status-kept', status: 'EXPIRED' });
  });

  it('waits for the change of that order that is not committed, also for its placing', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'order' });
    const [first, second] = [shard.cancel('order'), shard.cancel('order')];
    expect(shard.batches).toHaveLength(1);
    shard.commit(1);
    expect(shard.batches[1]?.statusChanges).toHaveLength(1);
    shard.commit(2);
    expect(shard.batches).toHaveLength(2);
    expect(shard.types([first, second])).toEqual(['status-changed', 'status-kept']);
  });

  it('costs one batch however many want it, and answers them all with it (I9)', () => {
    const shard = new ShardHarness();
    const first = shard.cancel('order');
    const others = Array.from({ length: 50 }, () => shard.cancel('order'));
    const keyed = shard.cancel('order', { key: 'k' });
    shard.commit(1);
    expect(shard.batches).toHaveLength(1);
    expect(shard.types([first])).toEqual(['status-changed']);
    expect(new Set(shard.types(others))).toEqual(new Set(['status-kept']));
    expect(shard.lookUps).toEqual([['k']]);
    expect(shard.answer(keyed)).toMatchObject({ type: 'status-kept', status: 'CANCELLED' });
    expect(shard.core.undecided).toBe(0);
  });

  it('waits for another change of it also when the id is pending as somebody misused key', () => {
    const shard = new ShardHarness();
    shard.changeStock(1, 1, 'order');
    shard.cancel('order');
    shard.cancel('order');
    shard.commit(1, { stockAfter: { order: 11 } });
    expect(shard.batches.map(({ statusChanges }) => statusChanges.length)).toEqual([0, 1]);
  });

  it('under a key that is bound is answered by what the key is bound to (I3)', () => {
    const shard = new ShardHarness();
    shard.stored.push({ kind: 'status-change', id: 'k', requestHash: 'hash' });
    const n = shard.cancel('order', { key: 'k' });
    shard.commit(1, { duplicates: ['k'] });
    expect(shard.answer(n)).toMatchObject({ type: 'status-changed', replayed: true });
  });

  it('is shed when its batch is aborted for good, and leaves the next one to be tried', () => {
    const shard = new ShardHarness();
    const [first, second] = [shard.cancel('order'), shard.cancel('order')];
    for (const no of [1, 2, 3]) shard.abort(no, { type: 'passing' });
    expect(shard.answer(first)).toMatchObject({ type: 'shed' });
    shard.commit(4);
    expect(shard.answer(second)).toMatchObject({ type: 'status-changed' });
  });

  it('is shed without a proof of ownership: not even that may be said (I5)', () => {
    const shard = new ShardHarness();
    shard.proving = false;
    shard.now += 1001;
    expect(shard.answer(shard.cancel('order'))).toMatchObject({ code: 'database-unavailable' });
  });
});

describe('a change under a key that was used for the change of another order', () => {
  it('is not answered with what became of that one (I3, I8)', () => {
    const shard = new ShardHarness();
    const [first, other] = ['a', 'b'].map((order) => shard.cancel(order, { key: 'k' }));
    shard.commit(1, { unchanged: { a: 'CANCELLED' } });
    expect(shard.types([first ?? 0, other ?? 0])).toEqual(['status-kept', undefined]);
    expect(shard.batches[1]?.statusChanges).toMatchObject([{ orderId: 'b', to: 'CANCELLED' }]);
    shard.commit(2, { unchanged: { b: 'COMPLETED' } });
    expect(shard.answer(other ?? 0)).toMatchObject({ type: 'status-kept', status: 'COMPLETED' });
  });
});

describe('a payment', () => {
  const PAID = {
    from: ['WAITING_PAYMENT'],
    to: 'PAID',
    detail: { kind: 'payment', paymentId: 'p' as PaymentId },
  } as const;

  it('names itself for the merge, which knows whether it is pending (I6)', () => {
    const shard = new ShardHarness();
    const n = shard.changeStatus('order', PAID);
    expect(shard.batches[0]?.statusChanges).toMatchObject([PAID]);
    shard.commit(1);
    expect(shard.answer(n)).toMatchObject({ type: 'status-changed' });
  });

  it('that is over pays nothing, also while the order waits for another one', () => {
    const shard = new ShardHarness();
    const n = shard.changeStatus('order', PAID);
    shard.commit(1, { unchanged: { order: 'WAITING_PAYMENT' } });
    expect(shard.answer(n)).toMatchObject({ type: 'status-kept', status: 'WAITING_PAYMENT' });
  });

  it('that races the expiry of its order waits for it, and is told who won (I8)', () => {
    const shard = new ShardHarness({ expiring: [expiring('order', START_MS)] });
    shard.pass(0);
    const n = shard.changeStatus('order', PAID);
    expect(shard.batches).toHaveLength(1);
    shard.commit(1);
    expect(shard.batches).toHaveLength(1);
    expect(shard.answer(n)).toMatchObject({ type: 'status-kept', status: 'EXPIRED' });
  });
});

describe('a shipment', () => {
  const SHIPPED = {
    from: ['PAID'],
    to: 'SHIPPING',
    detail: { kind: 'shipment', merchantId: 'm' as UserId, tracking: null },
  } as const;

  it.each([
    ['of the last lines', {}, 'status-changed'],
    ['of some of the lines', { unchanged: { order: 'PAID' } }, 'status-changed'],
    ['of an order that cannot be shipped', { unchanged: { order: 'CANCELLED' } }, 'status-kept'],
  ] as const)('%s is answered by what took place', (_, report, type) => {
    const shard = new ShardHarness();
    const n = shard.changeStatus('order', SHIPPED);
    shard.commit(1, report);
    expect(shard.answer(n)).toMatchObject({ type });
  });

  it('lets that of another merchant follow, which waited for it', () => {
    const shard = new ShardHarness();
    const both = [1, 2].map(() => shard.changeStatus('order', SHIPPED));
    shard.commit(1, { unchanged: { order: 'PAID' } });
    shard.commit(2);
    expect(shard.types(both)).toEqual(['status-changed', 'status-changed']);
  });
});

describe('an order that is not paid in time', () => {
  it('expires in a batch of its home shard', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'order' });
    shard.commit(1);
    shard.pass(HOLD_MS - 1);
    expect(shard.batches).toHaveLength(1);
    shard.pass(1);
    expect(shard.batches[1]?.statusChanges).toMatchObject([
      { orderId: 'order', from: ['WAITING_PAYMENT'], to: 'EXPIRED', author: null },
    ]);
  });

  it('does not expire before it is committed', () => {
    const shard = new ShardHarness();
    shard.place({ key: 'order' });
    shard.pass(HOLD_MS);
    expect(shard.batches).toHaveLength(1);
    shard.commit(1);
    expect(shard.batches).toHaveLength(2);
  });

  it('expires soon after the start when its time was over long ago', () => {
    const shard = new ShardHarness({ expiring: [expiring('old', START_MS - 1)] });
    shard.pass(0);
    expect(shard.batches[0]?.statusChanges).toMatchObject([{ orderId: 'old' }]);
  });

  it('leaves half of every batch to those who want to buy', () => {
    const orders = Array.from({ length: 10 }, (_, n) => expiring(`old ${n}`, START_MS));
    const limits = { batchOrdersMax: 4, commitsInFlightMax: 1 };
    const shard = new ShardHarness({ expiring: orders, limits });
    shard.pass(0);
    shard.placeAll([{}, {}, {}, {}, {}]);
    shard.commit(1);
    expect(shard.batches[1]?.statusChanges).toHaveLength(2);
    expect(shard.batches[1]?.orders).toHaveLength(2);
  });

  it('is tried again when its batch is aborted, and rests for a minute when it was denied', () => {
    const shard = new ShardHarness({ expiring: [expiring('old', START_MS)] });
    shard.pass(0);
    for (const no of [1, 2, 3]) shard.abort(no, { type: 'passing' });
    shard.pass(50);
    expect(shard.batches).toHaveLength(4);
    shard.abort(4, { type: 'rejected', id: 'old' });
    shard.pass(59_999);
    expect(shard.batches).toHaveLength(4);
    shard.pass(1);
    expect(shard.batches).toHaveLength(5);
  });

  it('takes the watermark back with the clock: later orders would be too old for it', () => {
    const shard = new ShardHarness({ expiring: [expiring('old', START_MS)] });
    shard.pass(3_600_000);
    shard.commit(1);
    shard.pass(1000);
    shard.pass(-3_600_000);
    const marks = shard.others.flatMap((e) => (e.type === 'expired-until' ? [e.time] : []));
    expect(marks.at(-1)).toBe(shard.now);
    expect(Math.max(...marks)).toBeGreaterThan(shard.now);
  });

  it('holds the watermark back while it rests', () => {
    const orders = [expiring('denied', START_MS), expiring('next', START_MS + 2000)];
    const shard = new ShardHarness({ expiring: orders });
    shard.pass(0);
    shard.abort(1, { type: 'rejected', id: 'denied' });
    shard.pass(2000);
    shard.commit(2);
    shard.pass(2000);
    const marks = shard.others.flatMap((e) => (e.type === 'expired-until' ? [e.time] : []));
    expect(Math.max(...marks)).toBe(START_MS - 1);
  });

  it('moves the watermark only past what is committed, once a second', () => {
    const orders = [expiring('a', START_MS), expiring('b', START_MS + 5000)];
    const shard = new ShardHarness({ expiring: orders });
    const marks = () => shard.others.flatMap((e) => (e.type === 'expired-until' ? [e.time] : []));
    shard.pass(10);
    shard.pass(990);
    expect(marks()).toEqual([]);
    shard.commit(1);
    shard.pass(1);
    shard.pass(1);
    expect(marks()).toEqual([START_MS + 1001]);
    shard.pass(3998);
    shard.commit(2);
    shard.pass(0);
    expect(marks().at(-1)).toBe(START_MS + 5000);
  });
});

it('gives every order back at its time, whatever the order of arrival (heap)', () => {
  const times = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 100 });
  fc.assert(
    fc.property(times, (all) => {
      const expiry = new Expiry(1000);
      expiry.startLoad();
      expiry.endLoad([], true);
      for (const time of all) expiry.add(expiring('', time));
      const due: number[] = [];
      for (let next = expiry.takeDue(50); next !== null; next = expiry.takeDue(50)) {
        due.push(next.expiresAt);
      }
      expect(due).toEqual(all.toSorted((a, b) => a - b));
    }),
  );
});

it('keeps a bounded number of orders, and loads the later ones when it is their turn (I9)', () => {
  const expiry = new Expiry(3);
  expect(expiry.startLoad()).toMatchObject({ after: null });
  expiry.endLoad([], true);
  const stored = Array.from({ length: 10 }, (_, n) => expiring(`${n}`, 100 + n));
  for (const order of stored) expiry.add(order);
  expect(expiry.size).toBe(3);
  const gone: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    for (let next = expiry.takeDue(200); next !== null; next = expiry.takeDue(200)) {
      gone.push(next.orderId);
    }
    const load = expiry.startLoad();
    if (load === null) break;
    const later = stored.filter(({ expiresAt }) => expiresAt > (load.after ?? 0));
    expiry.endLoad(later.slice(0, 3), later.length <= 3);
  }
  expect([...new Set(gone)]).toEqual(stored.map(({ orderId }) => orderId));
});
