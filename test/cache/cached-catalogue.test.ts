import { describe, expect, test } from 'vitest';

import { CachedCatalogue } from '../../src/cache/cached-catalogue.ts';
import type { Cache } from '../../src/domain/cache.ts';
import type { Catalogue, Page, PageRequest, ProductFilter } from '../../src/domain/ports.ts';
import type { Product } from '../../src/domain/product.ts';
import { makeProduct, MERCHANT, OTHER_MERCHANT, productId } from '../http/fake-ports.ts';

const ACTIVE: ProductFilter = { q: null, merchantId: null, status: 'active' };
const FIRST: PageRequest = { limit: 20, after: null };

/** Forgets in time, on the test's clock; `lagMs`: how long what is set is on its way. */
class FakeCache implements Cache {
  readonly rows = new Map<string, { readonly value: string; readonly endsAt: number }>();
  readonly #clock: () => number;
  lagMs = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  async get(key: string): Promise<string | undefined> {
    const row = this.rows.get(key);
    return row !== undefined && row.endsAt > this.#clock() ? row.value : undefined;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    this.rows.set(key, { value, endsAt: this.#clock() + this.lagMs + ttlMs });
  }

  async add(): Promise<void> {
    throw new Error('lists are set');
  }
}

interface Query {
  readonly filter: ProductFilter;
  readonly page: PageRequest;
  readonly answer: (page: Page<Product>) => void;
  readonly fail: (error: Error) => void;
}

/** A database that answers when the test says so, and a cache in front of it. */
class Stage {
  now = 1_000_000;
  readonly queries: Query[] = [];
  readonly cache = new FakeCache(() => this.now);
  readonly hits: boolean[] = [];
  readonly lists = this.another();

  /** As in another process that shares the cache. */
  another(clock: () => number = () => this.now): CachedCatalogue {
    const listProducts = (filter: ProductFilter, page: PageRequest) =>
      new Promise<Page<Product>>((answer, fail) =>
        this.queries.push({ filter, page, answer, fail }),
      );
    const findProduct = async () => makeProduct(this.queries.length);
    const catalogue: Catalogue = { findProduct, listProducts };
    const onLookUp = (hit: boolean): void => void this.hits.push(hit);
    return new CachedCatalogue({ catalogue, cache: this.cache, onLookUp, clock });
  }

  /** The next query that is asked; turns of the event loop are enough for it. */
  async query(count: number): Promise<Query> {
    for (let turn = 0; turn < 20 && this.queries.length < count; turn += 1) await Promise.resolve();
    const query = this.queries[count - 1];
    if (query === undefined) throw new Error(`there is no query ${count}`);
    return query;
  }

  /** Asks while nothing is cached, and answers with this stock. */
  async fill(available: number): Promise<void> {
    const asked = this.lists.listProducts(ACTIVE, FIRST);
    const { answer } = await this.query(this.queries.length + 1);
    answer(stocked(available));
    await asked;
  }

  async available(): Promise<number | undefined> {
    return (await this.lists.listProducts(ACTIVE, FIRST)).items[0]?.available;
  }
}

function stocked(available: number): Page<Product> {
  const product = makeProduct(1, { available, saleStartsAt: 5, perCustomerLimit: 2 });
  return { items: [product], next: { createdAtUs: '17', id: product.id } };
}

/** The list is not told from the cache. */
async function expectAsked(stage: Stage): Promise<void> {
  const before = stage.queries.length;
  const asked = stage.available();
  (await stage.query(before + 1)).answer(stocked(123));
  expect(await asked).toBe(123);
}

describe('a list', () => {
  test('is asked for once and then told as it was, for less than a second', async () => {
    const stage = new Stage();
    await stage.fill(7);
    stage.now += 999;
    expect(await stage.lists.listProducts(ACTIVE, FIRST)).toEqual(stocked(7));
    expect(stage.queries).toHaveLength(1);
    stage.now += 1;
    const asked = stage.available();
    (await stage.query(2)).answer(stocked(6));
    expect(await asked).toBe(6);
  });

  test('is as old as the question, not as the answer', async () => {
    const stage = new Stage();
    const asked = stage.available();
    const { answer } = await stage.query(1);
    stage.now += 900;
    answer(stocked(7));
    await asked;
    stage.now += 99;
    expect(await stage.available()).toBe(7);
    stage.now += 1;
    await expectAsked(stage);
  });

  test('that took a second to answer is not kept', async () => {
    const stage = new Stage();
    const asked = stage.available();
    const { answer } = await stage.query(1);
    stage.now += 1000;
    answer(stocked(7));
    expect(await asked).toBe(7);
    expect(stage.cache.rows.size).toBe(0);
  });

  test('is not told for longer when the cache keeps it for longer', async () => {
    const stage = new Stage();
    stage.cache.lagMs = 300;
    await stage.fill(7);
    stage.now += 1000;
    await expectAsked(stage);
  });

  test('of a machine whose clock is ahead is not told: nobody knows how old it is', async () => {
    const stage = new Stage();
    const ahead = stage.another(() => stage.now + 50);
    const asked = ahead.listProducts(ACTIVE, FIRST);
    (await stage.query(1)).answer(stocked(7));
    await asked;
    await expectAsked(stage);
  });

  test.each(['', 'null', '5', '{"askedAt":1', '[]'])(
    'is asked for when the cache has %j under its key',
    async (text) => {
      const stage = new Stage();
      await stage.fill(7);
      const [key = ''] = stage.cache.rows.keys();
      await stage.cache.set(key, text, 1000);
      await expectAsked(stage);
    },
  );
});

describe('lists of other filters or pages', () => {
  const after = { createdAtUs: '17', id: productId(1) };
  const lists: readonly (readonly [ProductFilter, PageRequest])[] = [
    [ACTIVE, FIRST],
    [{ ...ACTIVE, status: 'draft' }, FIRST],
    [{ ...ACTIVE, status: 'draft', merchantId: MERCHANT }, FIRST],
    [{ ...ACTIVE, status: 'draft', merchantId: OTHER_MERCHANT }, FIRST],
    [{ ...ACTIVE, merchantId: MERCHANT }, FIRST],
    [{ ...ACTIVE, q: MERCHANT }, FIRST],
    [{ ...ACTIVE, q: 'null' }, FIRST],
    [{ ...ACTIVE, q: `",20` }, FIRST],
    [ACTIVE, { ...FIRST, limit: 2 }],
    [ACTIVE, { ...FIRST, after }],
    [ACTIVE, { ...FIRST, after: { ...after, createdAtUs: '18' } }],
  ];

  test('are never mixed up: a draft is told to nobody whom its filter does not show it', async () => {
    const stage = new Stage();
    for (const [index, [filter, page]] of lists.entries()) {
      const asked = stage.lists.listProducts(filter, page);
      const query = await stage.query(index + 1);
      expect(query).toMatchObject({ filter, page });
      query.answer(stocked(index));
      await asked;
    }
    for (const [index, [filter, page]] of lists.entries()) {
      expect(await stage.lists.listProducts(filter, page)).toEqual(stocked(index));
    }
    expect(stage.queries).toHaveLength(lists.length);
  });

  test('do not share a query either', async () => {
    const stage = new Stage();
    for (const [filter, page] of lists) void stage.lists.listProducts(filter, page);
    await stage.query(lists.length);
    expect(stage.queries.map(({ filter, page }) => [filter, page])).toEqual(lists);
  });
});

describe('requests for one list at one time', () => {
  test('share one query, and later ones what it found', async () => {
    const stage = new Stage();
    const asked = Array.from({ length: 50 }, () => stage.available());
    const { answer } = await stage.query(1);
    asked.push(stage.available());
    answer(stocked(7));
    expect(await Promise.all(asked)).toEqual(Array<number>(51).fill(7));
    expect(await stage.available()).toBe(7);
    expect(stage.queries).toHaveLength(1);
  });

  test('do not wait for a query that was asked a second ago', async () => {
    const stage = new Stage();
    const slow = stage.available();
    const { answer } = await stage.query(1);
    stage.now += 1000;
    const asked = [stage.available(), stage.available()];
    (await stage.query(2)).answer(stocked(6));
    expect(await Promise.all(asked)).toEqual([6, 6]);
    answer(stocked(7));
    expect(await slow).toBe(7);
    expect(await stage.available()).toBe(6);
  });

  test('share its failure, and the next one asks again', async () => {
    const stage = new Stage();
    const asked = [stage.available(), stage.available()];
    (await stage.query(1)).fail(new Error('away'));
    const settled = await Promise.allSettled(asked);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = stage.available();
    (await stage.query(2)).answer(stocked(6));
    expect(await again).toBe(6);
  });
});

test('a single product is always read: edits and stock changes are decided by it', async () => {
  const stage = new Stage();
  expect(await stage.lists.findProduct(productId(1))).toEqual(makeProduct(0));
  void stage.available();
  await stage.query(1);
  expect(await stage.lists.findProduct(productId(1))).toEqual(makeProduct(1));
});

test('a look-up is told of as a hit only when what the cache has may be shown', async () => {
  const stage = new Stage();
  await stage.fill(5);
  await stage.available();
  stage.now += 999;
  await stage.available();
  stage.now += 1;
  await stage.fill(4);
  expect(stage.hits).toEqual([false, true, true, false]);
});
