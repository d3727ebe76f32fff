import { describe, expect, it } from 'vitest';
import type { AbortCause } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { ProductChanges, ProductState } from '../../src/domain/product.ts';
import { product, productId, ShardHarness, START_MS } from './shard-harness.ts';
import { BOTH, Pair } from './shard-pair.ts';

const PASSING: AbortCause = { type: 'passing' };
/** Batches never wait for each other. */
const AT_ONCE = { commitsInFlightMax: 4, overlapOrdersMin: 1 };
const FIRST_LIMIT: ProductChanges = { perCustomerLimit: 3 };

interface Change {
  readonly makes: string;
  readonly terms?: Partial<ProductState>;
  readonly changes: ProductChanges;
  readonly before: string;
  readonly after: string;
}

/** What the shard says to an order, committed if it has to be. */
function said(shard: ShardHarness, ...order: Parameters<ShardHarness['place']>): unknown {
  const n = shard.place(...order);
  const batch = shard.batches.findLast(({ orders }) => orders.some((one) => one.command.n === n));
  if (batch !== undefined) shard.commit(batch.no);
  const answer = shard.answer(n);
  return answer?.type === 'refused' ? answer.refusal.code : answer?.type;
}

describe('an edit', () => {
  it('commits in a batch of its own and is answered after the COMMIT (I2)', () => {
    const shard = new ShardHarness();
    shard.placeAll([{}, {}]);
    const n = shard.edit(1, { name: 'New' });
    expect(shard.batches.map(({ orders, edits }) => [orders.length, edits.length])).toEqual([[2, 0], [0, 1]]); // prettier-ignore
    expect(shard.answer(n)).toBeUndefined();
    shard.commit(2);
    expect(shard.answer(n)).toEqual({ n, type: 'edited', version: 2 });
  });

  it('gives orders their price from its COMMIT on, and holds none up meanwhile (I6)', () => {
    const shard = new ShardHarness({ limits: AT_ONCE });
    shard.edit(1, { price: { amount: 5, currency: 'EUR' } });
    shard.place();
    shard.commit(1);
    shard.place();
    const sold = shard.batches.flatMap(({ orders }) => orders.map(({ order }) => order));
    expect(sold).toMatchObject([
      { currency: 'USD', lines: [{ unitPrice: 1001 }] },
      { currency: 'EUR', lines: [{ unitPrice: 5 }] },
    ]);
  });

  it.each<Change>([
    { makes: 'a pause', changes: { status: 'paused' }, before: 'accepted', after: 'product-not-for-sale' },
    { makes: 'a start', changes: { saleStartsAt: START_MS + 1 }, before: 'accepted', after: 'sale-not-started' },
    { makes: 'an end', changes: { saleEndsAt: START_MS }, before: 'accepted', after: 'sale-ended' },
    { makes: 'a sale', terms: { status: 'draft' }, changes: { status: 'active' }, before: 'product-not-for-sale', after: 'accepted' },
    { makes: 'no start', terms: { saleStartsAt: START_MS + 1 }, changes: { saleStartsAt: null }, before: 'sale-not-started', after: 'accepted' },
    { makes: 'less for each', terms: limited(5), changes: { perCustomerLimit: 2 }, before: 'accepted', after: 'limit-exceeded' },
    { makes: 'more for each', terms: limited(1), changes: { perCustomerLimit: 4 }, before: 'limit-exceeded', after: 'accepted' },
    { makes: 'no limit', terms: limited(1), changes: { perCustomerLimit: null }, before: 'limit-exceeded', after: 'accepted' },
  ])('that makes $makes is decided by from its COMMIT on, not before', ({ terms, changes, before, after }) => {
    const shard = new ShardHarness({ products: [product(1, terms)], limits: AT_ONCE });
    const edit = shard.edit(1, changes);
    expect(said(shard, { lines: [[1, 2]] })).toBe(before);
    shard.commit(1);
    expect(shard.answer(edit)).toMatchObject({ type: 'edited' });
    expect(said(shard, { lines: [[1, 2]] })).toBe(after);
  }); // prettier-ignore

  it('that is aborted for good never counts, and the next one is of the same version', () => {
    const shard = new ShardHarness({ limits: AT_ONCE });
    const [lost, next] = [shard.edit(1, { status: 'paused' }), shard.edit(1, { name: 'New' })];
    for (const no of [1, 2, 3]) shard.abort(no, PASSING);
    expect(shard.answer(lost)).toMatchObject({ type: 'shed', code: 'database-unavailable' });
    expect(said(shard)).toBe('accepted');
    shard.commit(4);
    expect(shard.answer(next)).toMatchObject({ type: 'edited', version: 2 });
  });

  it('whose end is unknown counts when PostgreSQL says that it committed (I8)', () => {
    const shard = new ShardHarness();
    const n = shard.edit(1, { status: 'paused' });
    shard.step({ type: 'unknown', no: 1 });
    expect(shard.others).toEqual([{ type: 'resolve', no: 1 }]);
    expect(shard.answer(n)).toBeUndefined();
    shard.commit(1);
    expect(shard.answer(n)).toMatchObject({ type: 'edited' });
    expect(said(shard)).toBe('product-not-for-sale');
  });

  it('waits for the one before it, in the order of the mailbox (I6)', () => {
    const shard = new ShardHarness();
    const edits = [1, 2, 3].map((n) => shard.edit(1, { name: `Name ${n}` }));
    expect(shard.batches).toHaveLength(1);
    for (const no of [1, 2, 3]) shard.commit(no);
    expect(edits.map((n) => shard.answer(n))).toMatchObject([
      { version: 2 },
      { version: 3 },
      { version: 4 },
    ]);
  });

  it.each([
    [null, { type: 'edited', version: 6 }],
    [5, { type: 'edited', version: 6 }],
    [4, { type: 'version-differs', version: 5 }],
    [6, { type: 'version-differs', version: 5 }],
  ])('for version %s of version 5 is answered by what there is (If-Match)', (ifVersion, answer) => {
    const shard = new ShardHarness({ products: [product(1, { version: 5 })] });
    const n = shard.edit(1, { name: 'New' }, { ifVersion });
    if (answer.type === 'edited') shard.commit(1);
    expect(shard.answer(n)).toEqual({ n, ...answer });
    expect(shard.batches).toHaveLength(answer.type === 'edited' ? 1 : 0);
  });

  it('for a version is compared when its turn comes: of two only one can be the next (If-Match)', () => {
    const shard = new ShardHarness();
    const edits = ['a', 'b'].map((name) => shard.edit(1, { name }, { ifVersion: 1 }));
    shard.commit(1);
    expect(shard.types(edits)).toEqual(['edited', 'version-differs']);
  });

  it('of an unknown product is refused, and without a proof of ownership shed (I5)', () => {
    const shard = new ShardHarness();
    expect(shard.answer(shard.edit(7, {}))).toMatchObject({
      refusal: { code: 'product-not-found' },
    });
    shard.proving = false;
    shard.now += 1001;
    expect(shard.answer(shard.edit(1, {}))).toMatchObject({ code: 'database-unavailable' });
  });

  it('keeps its place until its end: a tenth of the places is left to others (I9)', () => {
    const products = Array.from({ length: 30 }, (_, n) => product(n + 1));
    const shard = new ShardHarness({ products, limits: { mailboxMax: 20 } });
    const edits = products.map((_, n) => shard.edit(n + 1, { name: 'New' }));
    expect(shard.core.undecided).toBe(18);
    expect(shard.types(edits).filter((type) => type === 'shed')).toHaveLength(12);
    for (let no = 1; no <= 18; no += 1) shard.commit(no);
    expect(shard.core.undecided).toBe(0);
  });
});

describe('a first limit', () => {
  it('waits at the head of its mailbox until nothing of the product is uncommitted (I6)', () => {
    const shard = new ShardHarness();
    const [before, edit, behind] = [shard.place(), shard.edit(1, FIRST_LIMIT), shard.place()];
    expect(shard.batches).toHaveLength(1);
    shard.commit(1);
    expect(shard.types([before, edit, behind])).toEqual(['accepted', undefined, undefined]);
    expect(shard.batches[1]?.edits).toHaveLength(1);
  });

  it('lets nothing be decided before its COMMIT, and then by what PostgreSQL counted', () => {
    const shard = new ShardHarness();
    const edit = shard.edit(1, FIRST_LIMIT);
    const [mine, another] = [shard.place({ lines: [[1, 2]] }), shard.place({ by: 'another' })];
    const stock = shard.changeStock(1, 5);
    expect(shard.batches).toHaveLength(1);
    const counted = new Map([[customer('customer'), 2]]);
    shard.products.set(productId(1), product(1, { version: 2, ...limited(3, counted) }));
    shard.commit(1);
    expect(shard.loads).toEqual([[productId(1)], [productId(1)]]);
    expect(shard.types([edit, mine, another, stock])).toEqual(['edited', 'refused', undefined, undefined]); // prettier-ignore
    expect(shard.answer(mine)).toMatchObject({ refusal: { code: 'limit-exceeded' } });
    expect(shard.batches[1]).toMatchObject({ orders: [{ limited: true }], stockChanges: [{}] });
  });

  it('holds up no other product, not even one that shares an order behind it', () => {
    const shard = new ShardHarness({ products: [product(1), product(2)] });
    shard.edit(1, FIRST_LIMIT);
    const both = shard.place({ lines: [[1, 1], [2, 1]] }); // prettier-ignore
    shard.commit(1);
    expect(shard.answer(both)).toBeUndefined();
    const other = shard.place({ lines: [[2, 1]] });
    shard.commit(2);
    expect(shard.types([both, other])).toEqual(['accepted', undefined]);
  });

  it('that is aborted for good lets everybody behind it be decided as before', () => {
    const shard = new ShardHarness();
    const [edit, behind] = [shard.edit(1, FIRST_LIMIT), shard.place({ lines: [[1, 9]] })];
    for (const no of [1, 2, 3]) shard.abort(no, PASSING);
    shard.commit(4);
    expect(shard.types([edit, behind])).toEqual(['shed', 'accepted']);
    expect(shard.batches[3]?.orders).toMatchObject([{ limited: false }]);
  });

  it.each<[string, (shard: ShardHarness) => void, number]>([
    ['a stock change', (shard) => shard.changeStock(1, -1), 1],
    ['an edit', (shard) => shard.edit(1, { name: 'New' }), 1],
  ])('waits for %s that is under way', (_, start, no) => {
    const shard = new ShardHarness();
    start(shard);
    shard.edit(1, FIRST_LIMIT);
    expect(shard.batches).toHaveLength(1);
    const { id } = shard.batches[0]?.stockChanges[0] ?? { id: '' };
    shard.commit(no, { stockAfter: { [id]: 9 } });
    expect(shard.batches[1]?.edits).toMatchObject([{ changes: FIRST_LIMIT }]);
  });

  it('leaves places to other products, however many come at once (I9)', () => {
    const products = [product(1), product(2)];
    const shard = new ShardHarness({ products, limits: { mailboxMax: 40 } });
    const edits = Array.from({ length: 60 }, (_, n) => shard.edit(1, { name: `Name ${n}` }));
    expect(shard.types(edits.slice(-1))).toEqual(['shed']);
    const others = [shard.place({ lines: [[2, 1]] }), shard.changeStock(2, 1), shard.cancel('x')];
    expect(shard.types(others)).toEqual([undefined, undefined, undefined]);
  });

  it('sheds what waits behind it too long, itself included, and the product goes on (I9)', () => {
    const shard = new ShardHarness();
    const before = shard.place();
    const [edit, behind] = [shard.edit(1, FIRST_LIMIT), shard.place()];
    shard.pass(4000);
    expect(shard.types([edit, behind])).toEqual(['shed', 'shed']);
    const later = shard.place();
    shard.commit(1);
    shard.commit(2);
    expect(shard.types([before, later])).toEqual(['accepted', 'accepted']);
  });

  it('sheds what waits too long for its COMMIT, and counts all the same', () => {
    const shard = new ShardHarness();
    const [edit, behind] = [shard.edit(1, FIRST_LIMIT), shard.place()];
    shard.pass(4000);
    expect(shard.types([edit, behind])).toEqual([undefined, 'shed']);
    shard.products.set(productId(1), product(1, { version: 2, ...limited(3) }));
    shard.commit(1);
    expect(shard.answer(edit)).toMatchObject({ type: 'edited' });
    expect(said(shard, { lines: [[1, 4]] })).toBe('limit-exceeded');
  });

  it('neither loses nor doubles units that are freed while it is under way (I1, I10)', () => {
    const shard = new ShardHarness({ products: [product(1, { stock: 5, stockVersion: 3 })] });
    shard.cancel('order');
    shard.edit(1, FIRST_LIMIT);
    shard.holdLoads = true;
    shard.commit(2);
    const freed = { productId: productId(1), units: 2, customers: [] };
    shard.commit(1, { freed: [{ ...freed, stockVersion: 4 }] });
    const seen = { version: 2, stock: 7, stockVersion: 4, ...limited(100) };
    shard.products.set(productId(1), product(1, seen));
    shard.finishLoad();
    const n = shard.place({ lines: [[1, 50]] });
    expect(shard.answer(n)).toMatchObject({ refusal: { items: [{ available: 7 }] } });
  });

  it('waits for holds of other shards, and their wishes wait for it (I4, I6)', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    const edit = pair.holder.edit(2, FIRST_LIMIT);
    const behind = pair.home.place(BOTH);
    pair.talk();
    expect(pair.holder.batches).toEqual([]);
    pair.home.commit(1);
    pair.talk();
    expect(pair.holder.batches).toMatchObject([{ edits: [{ changes: FIRST_LIMIT }] }]);
    const counted = new Map([[customer('customer'), 2]]);
    const seen = { stock: 8, version: 2, ...limited(3, counted) };
    pair.holder.products.set(productId(2), product(2, seen));
    pair.holder.commit(1);
    pair.talk();
    expect(pair.holder.answer(edit)).toMatchObject({ type: 'edited' });
    expect(pair.home.answer(behind)).toMatchObject({ refusal: { code: 'limit-exceeded' } });
  });

  it('that waits for a cart that waits for one that waits for it gives up after a second', () => {
    const pair = new Pair();
    pair.holder.products.set(productId(0), product(0));
    const carts = [
      pair.home.place(BOTH),
      pair.holder.place({ lines: [[0, 1], [1, 1], [2, 1]], otherShards: [1] }),
    ]; // prettier-ignore
    const edits = [pair.home.edit(1, FIRST_LIMIT), pair.holder.edit(2, FIRST_LIMIT)];
    pair.talk();
    expect(pair.home.batches.length + pair.holder.batches.length).toBe(0);
    for (const shard of [pair.home, pair.holder]) shard.pass(1000);
    pair.talk();
    expect(pair.home.types([edits[0] ?? 0])).toEqual(['shed']);
    expect(pair.holder.types([edits[1] ?? 0])).toEqual(['shed']);
    pair.home.commit(1);
    pair.holder.commit(1);
    expect(pair.home.answer(carts[0] ?? 0)).toMatchObject({ type: 'accepted' });
    expect(pair.holder.answer(carts[1] ?? 0)).toMatchObject({ type: 'accepted' });
  });

  it('goes on when the shard whose hold it waits for is replaced (I4)', () => {
    const pair = new Pair();
    pair.home.place(BOTH);
    pair.talk();
    pair.holder.edit(2, FIRST_LIMIT);
    pair.holder.products.set(productId(2), product(2, { stock: 8, stockVersion: 2 }));
    pair.holder.step({ type: 'peer', shard: 1, ownerId: 12 as OwnerId });
    expect(pair.holder.batches).toMatchObject([{ edits: [{ changes: FIRST_LIMIT }] }]);
  });
});

function customer(name: string) {
  return name as Parameters<NonNullable<ProductState['customerUnits']>['get']>[0];
}

function limited(
  perCustomerLimit: number,
  customerUnits: ProductState['customerUnits'] = new Map(),
): Partial<ProductState> {
  return { perCustomerLimit, customerUnits };
}
