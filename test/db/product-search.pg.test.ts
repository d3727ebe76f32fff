/** The search by a part of the name, on a catalogue that is too large to be read for each search. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createProductReader } from '../../src/db/product-reader.ts';
import { parseUserId } from '../../src/domain/ids.ts';
import type { Catalogue, ProductFilter } from '../../src/domain/ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const PRODUCTS = 20_000;
const FIRST = { limit: 20, after: null };
const MERCHANTS = [1, 2, 3].map((n) => `20000000-0000-4000-8000-00000000000${n}`);

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let products: Catalogue;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 1,
    statementTimeoutMs: 5000,
    applicationName: 'product-search-under-test',
    onError: () => undefined,
  });
  products = createProductReader(pool);
  await database.query(
    /* sql */ `
    INSERT INTO users SELECT id, id::text, id::text, 'x', 'merchant', now()
      FROM unnest($1::uuid[]) AS id`,
    [MERCHANTS],
  );
  // Names of hexadecimal digits: every three of them are in some hundred names, five in one or none.
  await database.query(
    /* sql */ `
    INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                          supplied, stock_version, sequence, version, created_at, updated_at)
    SELECT gen_random_uuid(), ($1::uuid[])[1 + n % 3], 'Product ' || md5(n::text), '', 1999, 'EUR',
           'active', 7, 7, 1, 0, 1, at, at
      FROM generate_series(1, $2::integer) AS n,
           LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 s' AS at) AS made`,
    [MERCHANTS, PRODUCTS],
  );
  await database.query('ANALYZE products');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

interface PlanNode {
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

function indexesOf(node: PlanNode): string[] {
  const own = node['Index Name'] === undefined ? [] : [node['Index Name']];
  return [...own, ...(node.Plans ?? []).flatMap(indexesOf)];
}

/** Searches, and explains the very statement that it sent. */
async function search(filter: Partial<ProductFilter>) {
  const sent = vi.spyOn(pool, 'query');
  const everything: ProductFilter = { q: null, merchantId: null, status: 'active' };
  const { items } = await products.listProducts({ ...everything, ...filter }, FIRST);
  const query: unknown = sent.mock.calls[0]?.[0];
  sent.mockRestore();
  if (typeof query !== 'object' || query === null || !('text' in query) || !('values' in query)) {
    throw new Error('the statement has another form');
  }
  const { rows } = await pool.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }>({
    text: `EXPLAIN (FORMAT JSON) ${String(query.text)}`,
    values: Array.isArray(query.values) ? query.values : [],
  });
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
  return { names: items.map(({ name }) => name), indexes: plan ? indexesOf(plan) : [] };
}

describe('a search', () => {
  test('for what few names have reads no other product', async () => {
    const [found] = await database.query<{ name: string }>(
      `SELECT name FROM products ORDER BY id LIMIT 1`,
    );
    const name = found?.name ?? '';
    for (const q of [name.slice(10, 20), name.toUpperCase().slice(10, 20)]) {
      const { names, indexes } = await search({ q });
      expect(names).toEqual([name]);
      expect(indexes).toEqual(['products_name_idx']);
    }
    expect((await search({ q: 'aurora' })).indexes).toEqual(['products_name_idx']);
    expect((await search({ q: '100%' })).indexes).toEqual(['products_name_idx']);
  });

  test('within one merchant does so too', async () => {
    const merchantId = parseUserId(MERCHANTS[1] ?? '') ?? null;
    const { names, indexes } = await search({ q: 'abcd', merchantId });
    expect(names.length).toBeGreaterThan(0);
    expect(indexes).toContain('products_name_idx');
  });

  test('for what many names have stops at the end of the page', async () => {
    const { names, indexes } = await search({ q: 'product' });
    expect(names).toHaveLength(20);
    expect(indexes).toEqual(['products_created_idx']);
  });

  test('too short for the index is cancelled when it takes too long (I9)', async () => {
    // Nothing has it, so that everything is looked at.
    expect((await search({ q: 'zq' })).names).toEqual([]);
    await pool.query('SET statement_timeout = 1');
    await expect(search({ q: 'zq' })).rejects.toMatchObject({
      code: 'database-unavailable',
      cause: { code: '57014' },
    });
  });
});
