import { describe, expect, it } from 'vitest';
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import { NOTHING_REPORTED, product, productId, ShardHarness, START_MS } from './shard-harness.ts';

/** n orders of one unit of product 1. */
function units(n: number) {
  return Array.from({ length: n }, () => ({}));
}

describe('selling', () => {
  it('sells exactly the stock and refuses the rest at once (I1)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 3 })] });
    const orders = shard.placeAll(units(5));
    expect(shard.types(orders)).toEqual([undefined, undefined, undefined, 'refused', 'refused']);
    expect(shard.answer(4)).toMatchObject({
      refusal: { code: 'out-of-stock', items: [{ requested: 1, available: 0 }] },
    });
    shard.commit(1);
    expect(shard.types(orders.slice(0, 3))).toEqual(['accepted', 'accepted', 'accepted']);
  });

  it('answers an accepted order only after its batch committed (I2)', () => {
    const shard = new ShardHarness();
    const first = shard.place();
    expect(shard.batches).toHaveLength(1);
    expect(shard.answer(first)).toBeUndefined();
    shard.commit(1);
    expect(shard.answer(first)).toMatchObject({ type: 'accepted', replayed: false });
  });

  it('numbers accepted lines in mailbox order, from the last stored sequence on (I7)', () => {
    const shard = new ShardHarness({ products: [product(1, { sequence: 41 })] });
    shard.placeAll(units(3));
    const sequences = shard.batches[0]?.orders.map(({ order }) => order.lines[0]?.sequence);
    expect(sequences).toEqual([42, 43, 44]);
  });

  it('stamps price, total, hold and home partition when it decides', () => {
    const shard = new ShardHarness({ products: [product(5), product(3)] });
    shard.place({ lines: [[3, 2], [5, 1]] }); // prettier-ignore
    expect(shard.batches[0]?.orders[0]).toMatchObject({
      homePartition: 3,
      total: 2 * 1003 + 1005,
      order: { currency: 'USD', createdAt: START_MS, expiresAt: START_MS + 900_000 },
    });
  });

  it('adds stock only after the COMMIT and removes it at once', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1 })] });
    shard.changeStock(1, 5);
    const tooEarly = shard.place({ lines: [[1, 2]] });
    expect(shard.answer(tooEarly)).toMatchObject({ type: 'refused' });
    shard.commit(1, { stockAfter: { 'fresh-1': 6 } });
    expect(shard.answer(1)).toEqual({ n: 1, type: 'changed', replayed: false, available: 6 });
    shard.changeStock(1, -5);
    const tooLate = shard.place({ lines: [[1, 2]] });
    expect(shard.answer(tooLate)).toMatchObject({ refusal: { items: [{ available: 1 }] } });
  });

  it('refuses to remove more than is left', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 4 })] });
    const n = shard.changeStock(1, -5);
    expect(shard.answer(n)).toEqual({ n, type: 'insufficient-stock', available: 4 });
  });
});

describe('orders of several lines', () => {
  it('takes nothing when one line fails, and names every failing line (I4)', () => {
    const products = [product(1), product(2, { stock: 1 }), product(3, { stock: 0 })];
    const shard = new ShardHarness({ products });
    const n = shard.place({ lines: [[1, 5], [2, 2], [3, 1]] }); // prettier-ignore
    expect(shard.answer(n)).toMatchObject({
      refusal: {
        code: 'out-of-stock',
        items: [
          { productId: productId(2), requested: 2, available: 1 },
          { productId: productId(3), requested: 1, available: 0 },
        ],
      },
    });
    const all = shard.place({ lines: [[1, 10]] });
    shard.commit(1);
    expect(shard.answer(all)).toMatchObject({ type: 'accepted' });
  });

  const later = START_MS + 60_000;
  const failing = {
    'product-not-found': null,
    'product-not-for-sale': product(2, { status: 'paused' }),
    'sale-not-started': product(2, { saleStartsAt: later }),
    'sale-ended': product(2, { saleEndsAt: START_MS }),
    'currency-mismatch': product(2, { price: { amount: 1, currency: 'EUR' } }),
    'out-of-stock': product(2, { stock: 0 }),
  };
  const codes = Object.keys(failing);
  for (const [rank, [code, state]] of Object.entries(failing).entries()) {
    it(`refuses ${code} before every later reason`, () => {
      const others = Object.values(failing).slice(rank + 1);
      const products = [product(1), ...(state === null ? [] : [state])];
      others.forEach((other, i) => {
        if (other !== null) products.push({ ...other, id: productId(10 + i) });
      });
      const shard = new ShardHarness({ products });
      const numbers = [1, 2, ...others.map((_, i) => 10 + i)];
      const n = shard.place({ lines: numbers.map((number) => [number, 1] as const) });
      expect(shard.answer(n)).toMatchObject({ type: 'refused', refusal: { code } });
      expect(codes.indexOf(code)).toBe(rank);
    });
  }

  it('says when a sale starts, and opens it at that very millisecond', () => {
    const shard = new ShardHarness({ products: [product(1, { saleStartsAt: START_MS + 1 })] });
    const early = shard.place();
    expect(shard.answer(early)).toMatchObject({ refusal: { startsAt: START_MS + 1 } });
    shard.now += 1;
    const onTime = shard.place();
    expect(shard.answer(onTime)).toBeUndefined();
  });

  it('waits until it heads all its mailboxes, so that no product is decided out of order (I7)', () => {
    const shard = new ShardHarness({ products: [product(1), product(2)] });
    shard.holdLoads = true;
    const orders = shard.placeAll([
      { lines: [[1, 10]] },
      { lines: [[1, 1], [2, 1]] }, // prettier-ignore
      { lines: [[2, 10]] },
    ]);
    shard.finishLoad();
    shard.commit(1);
    // The second finds product 1 sold out, so the third gets all of product 2.
    expect(shard.types(orders)).toEqual(['accepted', 'refused', 'accepted']);
  });
});

describe('idempotency (I3)', () => {
  it('gives repeats in flight the answer of the first, and misuse of the key its own', () => {
    const shard = new ShardHarness();
    const first = shard.place({ key: 'k' });
    const repeat = shard.place({ key: 'k' });
    const misuse = shard.place({ key: 'k', hash: 'other' });
    expect(shard.types([first, repeat, misuse])).toEqual([undefined, undefined, undefined]);
    shard.commit(1);
    expect(shard.answer(repeat)).toMatchObject({ type: 'accepted', replayed: true });
    expect(shard.answer(misuse)).toMatchObject({ type: 'key-reused' });
    expect(shard.batches).toHaveLength(1);
  });

  it('replays from the window although the product has since sold out', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1 })] });
    shard.place({ key: 'k' });
    shard.commit(1);
    const repeat = shard.place({ key: 'k' });
    expect(shard.answer(repeat)).toMatchObject({ type: 'accepted', replayed: true });
    expect(shard.lookUps).toEqual([]);
  });

  it('refuses a new key without a look-up where the window holds every order of the product', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 0 })] });
    expect(shard.answer(shard.place({ key: 'new' }))).toMatchObject({ type: 'refused' });
    expect(shard.lookUps).toEqual([]);
  });

  it('looks a refused key up once the window has forgotten an order of the product', () => {
    const window = new IdempotencyWindow({ linesMax: 2, complete: true });
    const shard = new ShardHarness({ window, products: [product(1, { stock: 3 }), product(2)] });
    for (const key of ['a', 'b', 'c']) {
      shard.place({ key });
      shard.commit(shard.batches.length);
    }
    const forgotten = shard.place({ key: 'a' });
    expect(shard.answer(forgotten)).toMatchObject({ type: 'accepted', replayed: true });
    const misuse = shard.place({ key: 'a', hash: 'other' });
    expect(shard.answer(misuse)).toMatchObject({ type: 'key-reused' });
    const fresh = shard.place({ key: 'd' });
    expect(shard.answer(fresh)).toMatchObject({ type: 'refused' });
    expect(shard.lookUps).toEqual([['a'], ['d']]);
    // Product 2 has never sold: nothing of it can have been forgotten.
    const covered = shard.place({ key: 'e', lines: [[2, 99]] });
    expect(shard.answer(covered)).toMatchObject({ type: 'refused' });
    expect(shard.lookUps).toHaveLength(2);
  });

  it('does not trust an incomplete window for a product that sold before', () => {
    const window = new IdempotencyWindow({ linesMax: 10, complete: false });
    const sold = product(1, { stock: 0, sequence: 9 });
    const shard = new ShardHarness({ window, products: [sold, product(2, { stock: 0 })] });
    shard.place({ key: 'a' });
    shard.place({ key: 'b', lines: [[2, 1]] });
    expect(shard.lookUps).toEqual([['a']]);
  });

  it('gives units back and looks up when the merge found the key bound', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 2 })] });
    const order = {
      currency: 'USD',
      createdAt: START_MS - 5,
      expiresAt: START_MS,
      lines: [{ name: 'Then', unitPrice: 5, sequence: 1 }],
    };
    const lines = [{ productId: productId(1) }];
    shard.stored.push({ kind: 'order', id: 'k' as OrderId, requestHash: 'hash', lines, order });
    const repeat = shard.place({ key: 'k', lines: [[1, 2]] });
    const misuse = shard.place({ key: 'k', hash: 'other' });
    shard.commit(1, { duplicates: ['k'] });
    expect(shard.answer(repeat)).toMatchObject({ type: 'accepted', replayed: true, order });
    expect(shard.answer(misuse)).toMatchObject({ type: 'key-reused' });
    const next = shard.place({ lines: [[1, 2]] });
    shard.commit(2);
    expect(shard.answer(next)).toMatchObject({ type: 'accepted' });
  });

  it('calls a key misused when another kind of command holds it', () => {
    const shard = new ShardHarness();
    const n = shard.place({ key: 'k' });
    shard.commit(1, { duplicates: ['k'] });
    expect(shard.answer(n)).toMatchObject({ type: 'key-reused' });
  });

  it('binds nothing by a refusal: the same key is decided afresh', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 0 })] });
    expect(shard.answer(shard.place({ key: 'k' }))).toMatchObject({ type: 'refused' });
    shard.changeStock(1, 1);
    shard.commit(1, { stockAfter: { 'fresh-2': 1 } });
    const again = shard.place({ key: 'k' });
    shard.commit(2);
    expect(shard.answer(again)).toMatchObject({ type: 'accepted', replayed: false });
  });
});

describe('batches', () => {
  it('sends at once when a slot is free, and grows while its predecessor commits', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1000 })] });
    shard.place();
    shard.placeAll(units(5));
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([1]);
    shard.commit(1);
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([1, 5]);
  });

  it('sends a second batch beside one in flight only when it is worth a transaction', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1000 })] });
    shard.place();
    shard.placeAll(units(9));
    expect(shard.batches).toHaveLength(1);
    shard.place();
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([1, 10]);
    shard.placeAll(units(50));
    expect(shard.batches).toHaveLength(2);
  });

  it('never exceeds the cap: more commands wait in their mailboxes (I9)', () => {
    const limits = { batchOrdersMax: 10, commitsInFlightMax: 1 };
    const shard = new ShardHarness({ limits, products: [product(1, { stock: 1000 })] });
    shard.placeAll(units(35));
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([10]);
    expect(shard.core.undecided).toBe(15);
    shard.commit(1);
    shard.commit(2);
    shard.commit(3);
    shard.commit(4);
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([10, 10, 10, 5]);
    expect(shard.core.undecided).toBe(0);
  });

  it('may wait for company when told to, and asks to be woken', () => {
    const shard = new ShardHarness({ limits: { batchWaitMsMax: 5 } });
    shard.place();
    expect(shard.batches).toEqual([]);
    expect(shard.wakes).toEqual([START_MS + 5]);
    shard.now += 5;
    shard.step({ type: 'tick' });
    expect(shard.batches).toHaveLength(1);
  });

  it('sends a small batch all the same when the one in flight takes too long', () => {
    const shard = new ShardHarness();
    shard.place();
    shard.place();
    expect(shard.batches).toHaveLength(1);
    shard.now += 100;
    shard.step({ type: 'tick' });
    expect(shard.batches).toHaveLength(2);
  });

  it('takes no further order once it has its lines (I9)', () => {
    const products = [product(1), product(2)];
    const limits = { batchLinesMax: 3, commitsInFlightMax: 1 };
    const shard = new ShardHarness({ limits, products });
    const lines = [[1, 1], [2, 1]] as const; // prettier-ignore
    shard.placeAll([{ lines }, { lines }, { lines }]);
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([2]);
    shard.commit(1);
    expect(shard.batches.map(({ orders }) => orders.length)).toEqual([2, 1]);
  });

  it('settles batches in any order', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 1000 })] });
    const first = shard.place();
    const second = shard.placeAll(units(10));
    shard.commit(2);
    expect(shard.answer(first)).toBeUndefined();
    expect(new Set(shard.types(second))).toEqual(new Set(['accepted']));
    shard.commit(1);
    expect(shard.answer(first)).toMatchObject({ type: 'accepted' });
  });
});

describe('bounds (I9)', () => {
  it('lets one product take at most half of the free places, and keeps a tenth for the rest', () => {
    const limits = { mailboxMax: 100 };
    const products = [product(1), product(2)];
    const shard = new ShardHarness({ limits, products });
    shard.holdLoads = true;
    const hot = shard.placeAll(units(100));
    const shed = hot.filter((n) => shard.answer(n)?.type === 'shed');
    // depth <= (90 - depth) / 2 holds up to the 31st.
    expect(hot.length - shed.length).toBe(31);
    expect(shard.answer(shed[0] ?? 0)).toMatchObject({ code: 'overloaded' });
    for (let n = 2; n < 200; n += 1) shard.place({ lines: [[n, 1]] });
    expect(shard.core.undecided).toBe(90);
    for (let i = 0; i < 20; i += 1) shard.changeStock(1, 1);
    expect(shard.core.undecided).toBe(100);
  });

  it('lets a few edits into that tenth, so that a product can be paused in the rush for it', () => {
    const shard = new ShardHarness({ limits: { mailboxMax: 1000 }, products: [product(1)] });
    shard.holdLoads = true;
    for (let n = 1; n < 2000; n += 1) shard.place({ lines: [[n, 1]] });
    expect(shard.core.undecided).toBe(900);
    const pauses = Array.from({ length: 20 }, () => shard.edit(1, { status: 'paused' }));
    expect(pauses.filter((n) => shard.answer(n)?.type === 'shed')).toEqual(pauses.slice(16));
    expect(shard.core.undecided).toBe(916);
  });

  it('serves mailboxes round-robin, so that a hot product cannot starve a cold one', () => {
    const limits = { batchOrdersMax: 10, commitsInFlightMax: 1 };
    const products = [product(1, { stock: 1000 }), product(2)];
    const shard = new ShardHarness({ limits, products });
    shard.placeAll(units(60));
    const cold = shard.place({ lines: [[2, 1]] });
    shard.commit(1);
    shard.commit(2);
    shard.commit(3);
    expect(shard.answer(cold)).toMatchObject({ type: 'accepted' });
  });

  it('sheds what is still undecided when its time is over, wherever it waits', () => {
    const shard = new ShardHarness({ products: [product(1), product(2)] });
    shard.holdLoads = true;
    const [both, one] = shard.placeAll([{ lines: [[1, 1], [2, 1]] }, { lines: [[2, 1]] }]); // prettier-ignore
    shard.now += 3999;
    shard.step({ type: 'tick' });
    expect(shard.types([both ?? 0, one ?? 0])).toEqual([undefined, undefined]);
    shard.now += 1;
    shard.step({ type: 'tick' });
    expect(shard.types([both ?? 0, one ?? 0])).toEqual(['shed', 'shed']);
    expect(shard.core.undecided).toBe(0);
    shard.finishLoad();
    expect(shard.batches).toEqual([]);
  });

  it('drops idle actors above the bound, never one with a decision under way', () => {
    const limits = { actorsMax: 10 };
    const products = Array.from({ length: 200 }, (_, i) => product(i + 1));
    const shard = new ShardHarness({ limits, products });
    shard.place({ lines: [[1, 4]] });
    for (let n = 2; n <= 200; n += 1) shard.place({ lines: [[n, 99]] });
    expect(shard.core.actors).toBeLessThanOrEqual(20);
    const rest = shard.place({ lines: [[1, 7]] });
    expect(shard.answer(rest)).toMatchObject({ refusal: { items: [{ available: 6 }] } });
  });

  it('forgets an unknown product as soon as nobody waits for it', () => {
    const shard = new ShardHarness({ products: [product(1)] });
    const lines = [[1, 1], [2, 1]] as const; // prettier-ignore
    expect(shard.answer(shard.place({ lines }))).toMatchObject({
      refusal: { code: 'product-not-found', items: [{ productId: productId(2) }] },
    });
    shard.products.set(productId(2), product(2));
    expect(shard.answer(shard.place({ lines }))).toBeUndefined();
  });

  it('loads in groups: whatever arrives during a load goes into the next one', () => {
    const products = Array.from({ length: 9 }, (_, i) => product(i + 1));
    const shard = new ShardHarness({ products });
    shard.holdLoads = true;
    for (let n = 1; n <= 9; n += 1) shard.place({ lines: [[n, 1]] });
    expect(shard.loads.map((ids) => ids.length)).toEqual([1]);
    shard.finishLoad();
    expect(shard.loads.map((ids) => ids.length)).toEqual([1, 8]);
  });
});

describe('reads that fail', () => {
  it('shed whoever waits for the products, and the next command loads anew', () => {
    const shard = new ShardHarness({ products: [product(1), product(2)] });
    shard.place({ lines: [[2, 1]] });
    shard.holdLoads = true;
    const lines = [[1, 1], [2, 1]] as const; // prettier-ignore
    const [both, behind] = shard.placeAll([{ lines }, { lines: [[2, 1]] }]);
    shard.step({ type: 'load-failed' });
    expect(shard.answer(both ?? 0)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    shard.holdLoads = false;
    const again = shard.place({ lines });
    expect(shard.core.undecided).toBe(0);
    shard.commit(1);
    shard.commit(2);
    expect(shard.types([behind ?? 0, again])).toEqual(['accepted', 'accepted']);
  });

  it('shed a refusal that nobody can vouch for', () => {
    const window = new IdempotencyWindow({ linesMax: 10, complete: false });
    const products = [product(1, { stock: 0, sequence: 9 })];
    const shard = new ShardHarness({ window, products });
    shard.holdLookUps = true;
    const n = shard.place({ key: 'k' });
    expect(shard.answer(n)).toBeUndefined();
    shard.step({ type: 'look-up-failed' });
    expect(shard.answer(n)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    expect(shard.core.undecided).toBe(0);
  });
});

describe('ownership and stopping', () => {
  it('answers nothing but 503 once its last proof of ownership is too old (I5)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 0 })] });
    shard.proving = false;
    shard.holdLoads = true;
    const waiting = shard.place();
    shard.now += 1001;
    const late = shard.place();
    expect(shard.answer(late)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    shard.finishLoad();
    expect(shard.answer(waiting)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    shard.step({ type: 'owned', provenAt: shard.now });
    expect(shard.answer(shard.place())).toMatchObject({ type: 'refused' });
  });

  it('is not proven by what was said before the clock was set back', () => {
    const shard = new ShardHarness();
    shard.proving = false;
    shard.now -= 3_600_000;
    expect(shard.answer(shard.place())).toMatchObject({ type: 'shed' });
    shard.step({ type: 'owned', provenAt: shard.now });
    expect(shard.answer(shard.place())).toBeUndefined();
  });

  it('commits what joined the open batch before the clock was set back', () => {
    const shard = new ShardHarness({ limits: { commitsInFlightMax: 1 } });
    shard.place();
    const waits = shard.place();
    shard.now -= 3_600_000;
    shard.commit(1);
    expect(shard.batches).toHaveLength(2);
    shard.commit(2);
    expect(shard.answer(waits)).toMatchObject({ type: 'accepted' });
  });

  it('is proven by a commit, from the moment it was sent', () => {
    const shard = new ShardHarness();
    shard.proving = false;
    shard.place();
    shard.now += 900;
    const committed = NOTHING_REPORTED;
    shard.step({ type: 'committed', no: 1, committed, provenAt: START_MS + 400 });
    shard.now += 400;
    expect(shard.answer(shard.place())).toBeUndefined();
    shard.now += 200;
    expect(shard.answer(shard.place())).toMatchObject({ type: 'shed' });
  });

  it('commits what it accepted, sheds the rest, and says when it is done', () => {
    const limits = { batchOrdersMax: 2, commitsInFlightMax: 1 };
    const shard = new ShardHarness({ limits });
    const orders = shard.placeAll(units(6));
    shard.step({ type: 'stop' });
    expect(shard.types(orders).slice(4)).toEqual(['shed', 'shed']);
    expect(shard.answer(shard.place())).toMatchObject({ type: 'shed', code: 'shutting-down' });
    shard.commit(1);
    expect(shard.stopped).toBe(false);
    shard.commit(2);
    expect(shard.types(orders).slice(0, 4)).toEqual(Array.from({ length: 4 }, () => 'accepted'));
    expect(shard.stopped).toBe(true);
  });
});
