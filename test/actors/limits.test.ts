import { describe, expect, it } from 'vitest';
import type { AbortCause } from '../../src/domain/batch.ts';
import type { OwnerId, UserId } from '../../src/domain/ids.ts';
import type { ProductState } from '../../src/domain/product.ts';
import { product, productId, ShardHarness, START_MS } from './shard-harness.ts';
import type { PlaceOptions } from './shard-harness.ts';
import { BOTH, HOME, Pair } from './shard-pair.ts';

const PASSING: AbortCause = { type: 'passing' };

interface Sale {
  readonly sells: string;
  readonly terms?: Partial<ProductState>;
  readonly order: PlaceOptions;
  readonly refusal?: string;
}

/** At most 3 for each; this customer has 2 already. */
function limited(terms: Partial<ProductState> = {}): Partial<ProductState> {
  const customerUnits = new Map([['customer' as UserId, 2]]);
  return { perCustomerLimit: 3, customerUnits, ...terms };
}

function shardOf(terms: Partial<ProductState> = {}): ShardHarness {
  return new ShardHarness({ products: [product(1, limited(terms))] });
}

/** What the shard says at once; undefined when the order is on its way to PostgreSQL. */
function refusalOf(shard: ShardHarness, order: PlaceOptions = {}): string | undefined {
  const answer = shard.answer(shard.place(order));
  return answer?.type === 'refused' ? answer.refusal.code : undefined;
}

function freed(units: number, stockVersion: number) {
  const customers = [{ userId: 'customer' as UserId, units }];
  return { productId: productId(1), units, stockVersion, customers };
}

describe('a limit per customer', () => {
  it.each<Sale>([
    { sells: 'up to it', order: { lines: [[1, 1]] } },
    { sells: 'beyond it', order: { lines: [[1, 2]] }, refusal: 'limit-exceeded' },
    { sells: 'to another customer', order: { by: 'another', lines: [[1, 3]] } },
    { sells: 'beyond it to another one', order: { by: 'another', lines: [[1, 4]] }, refusal: 'limit-exceeded' },
    { sells: 'before the stock is looked at', terms: { stock: 0 }, order: { lines: [[1, 2]] }, refusal: 'limit-exceeded' },
    { sells: 'and no more than is there', terms: { stock: 0 }, order: { lines: [[1, 1]] }, refusal: 'out-of-stock' },
    { sells: 'while it is for sale', terms: { status: 'paused' }, order: { lines: [[1, 9]] }, refusal: 'product-not-for-sale' },
    { sells: 'from the start on', terms: { saleStartsAt: START_MS + 1 }, order: { lines: [[1, 9]] }, refusal: 'sale-not-started' },
    { sells: 'to whoever had more before it was lowered', terms: { perCustomerLimit: 1 }, order: {}, refusal: 'limit-exceeded' },
  ])('sells $sells', ({ terms, order, refusal }) => {
    expect(refusalOf(shardOf(terms), order)).toBe(refusal);
  }); // prettier-ignore

  it('names the lines that are beyond it, and takes nothing of the others (I4)', () => {
    const shard = new ShardHarness({ products: [product(1, limited()), product(2, { stock: 1 })] });
    const n = shard.place({ lines: [[1, 2], [2, 1]] }); // prettier-ignore
    expect(shard.answer(n)).toMatchObject({
      refusal: { code: 'limit-exceeded', items: [{ productId: productId(1), requested: 2 }] },
    });
    expect(refusalOf(shard, { lines: [[2, 1]] })).toBeUndefined();
  });

  it('counts what is decided and not committed yet, and goes on counting it (I1)', () => {
    const shard = shardOf();
    shard.place();
    expect(refusalOf(shard)).toBe('limit-exceeded');
    shard.commit(1);
    expect(refusalOf(shard)).toBe('limit-exceeded');
    expect(shard.batches).toHaveLength(1);
  });

  it('gives back what PostgreSQL did not do and never will', () => {
    const shard = shardOf();
    shard.place();
    for (const no of [1, 2]) shard.abort(no, PASSING);
    expect(refusalOf(shard)).toBe('limit-exceeded');
    shard.abort(3, PASSING);
    expect(refusalOf(shard)).toBeUndefined();
  });

  it('gives back what was bound before: that effect was counted when it took place (I3)', () => {
    const shard = shardOf();
    shard.place({ key: 'k' });
    shard.commit(1, { duplicates: ['k'] });
    expect(refusalOf(shard)).toBeUndefined();
  });

  it('gives back what an order frees from its COMMIT on, to its customer alone (I10)', () => {
    const shard = shardOf({ stockVersion: 4 });
    shard.cancel('order');
    expect(refusalOf(shard, { lines: [[1, 3]] })).toBe('limit-exceeded');
    shard.commit(1, { freed: [freed(2, 5)] });
    expect(refusalOf(shard, { by: 'another', lines: [[1, 4]] })).toBe('limit-exceeded');
    expect(refusalOf(shard, { lines: [[1, 3]] })).toBeUndefined();
  });

  it('gives nothing back twice to an owner that loaded what was freed (lazy-load race)', () => {
    const shard = shardOf({ stockVersion: 5 });
    shard.cancel('order');
    expect(refusalOf(shard, { lines: [[1, 3]] })).toBe('limit-exceeded');
    shard.commit(1, { freed: [freed(2, 5)] });
    expect(refusalOf(shard, { lines: [[1, 2]] })).toBe('limit-exceeded');
  });

  it('gives back what is freed while the product is being loaded without it (lazy-load race)', () => {
    const shard = shardOf({ stockVersion: 4 });
    shard.holdLoads = true;
    const waits = shard.place({ lines: [[1, 3]] });
    shard.cancel('order');
    shard.commit(1, { freed: [freed(2, 5)] });
    shard.finishLoad();
    expect(shard.answer(waits)).toBeUndefined();
    expect(shard.batches[1]?.orders).toHaveLength(1);
  });

  it('tells PostgreSQL of orders that must be counted, and of no others', () => {
    const shard = new ShardHarness({ products: [product(1, limited()), product(2)] });
    shard.placeAll([{}, { lines: [[2, 1]] }, { by: 'another', lines: [[1, 1], [2, 1]] }]); // prettier-ignore
    const flags = shard.batches.flatMap(({ orders }) => orders.map((order) => order.limited));
    expect(flags).toEqual([true, false, true]);
  });
});

it('that was lifted costs nothing any more: nobody counts', () => {
  const shard = new ShardHarness({ products: [product(1, limited())] });
  shard.edit(1, { perCustomerLimit: null });
  shard.commit(1);
  shard.place({ lines: [[1, 5]] });
  expect(shard.batches[1]?.orders).toMatchObject([{ limited: false }]);
});

describe('a limit of a product of another shard', () => {
  const OVER = { ...BOTH, lines: [[1, 1], [2, 2]] } as const; // prettier-ignore

  it('refuses the order, and what the home took is given back', () => {
    const pair = new Pair([10, 10], limited());
    const n = pair.home.place(OVER);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({
      refusal: { code: 'limit-exceeded', items: [{ productId: productId(2), requested: 2 }] },
    });
    expect(refusalOf(pair.home)).toBeUndefined();
  });

  it('counts a hold from the moment at which it is taken, and for ever when it is settled', () => {
    const pair = new Pair([10, 10], { perCustomerLimit: 2, customerUnits: new Map() });
    pair.home.place(BOTH);
    pair.talk();
    expect(refusalOf(pair.holder, { lines: [[2, 1]] })).toBe('limit-exceeded');
    pair.home.commit(1);
    pair.talk();
    expect(refusalOf(pair.holder, { lines: [[2, 1]] })).toBe('limit-exceeded');
    expect(pair.home.batches[0]?.orders[0]?.limited).toBe(true);
  });

  it.each<[string, (pair: Pair) => void]>([
    ['is aborted for good', ({ home }) => [1, 2, 3].forEach((no) => home.abort(no, PASSING))],
    ['was bound before', ({ home }) => home.commit(1, { duplicates: ['k'] })],
  ])('gives a hold back to its customer when the order %s, here and there', (_, end) => {
    const pair = new Pair([10, 10], { perCustomerLimit: 2, customerUnits: new Map() });
    pair.home.place({ ...BOTH, key: 'k' });
    pair.talk();
    end(pair);
    pair.talk();
    expect(refusalOf(pair.home, { lines: [[1, 2]] })).toBeUndefined();
    expect(refusalOf(pair.holder, { lines: [[2, 2]] })).toBeUndefined();
  });

  it('is told of what an order freed', () => {
    const pair = new Pair([10, 10], limited({ stockVersion: 4 }));
    expect(refusalOf(pair.holder, { lines: [[2, 3]] })).toBe('limit-exceeded');
    pair.home.cancel('order', { partitions: [1, 2] });
    pair.home.commit(1, { freed: [{ ...freed(2, 5), productId: productId(2) }] });
    pair.talk();
    expect(refusalOf(pair.holder, { lines: [[2, 3]] })).toBeUndefined();
  });

  it('is counted by PostgreSQL when the home of a hold died', () => {
    const pair = new Pair([10, 10], { perCustomerLimit: 2, customerUnits: new Map() });
    pair.home.place(BOTH);
    pair.talk();
    // The order did not take place.
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    const messages = [{ type: 'release', attempt: 1, diverged: null }] as const;
    pair.holder.step({ type: 'messages', from: HOME, messages });
    expect(refusalOf(pair.holder, { lines: [[2, 2]] })).toBeUndefined();
    expect(refusalOf(pair.holder, { lines: [[2, 1]] })).toBe('limit-exceeded');
  });
});
