import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createProductReader } from '../../src/db/product-reader.ts';
import { parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { Catalogue, Cursor, ProductFilter } from '../../src/domain/ports.ts';
import type { ProductStatus } from '../../src/domain/product.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const EVERYTHING: ProductFilter = { q: null, merchantId: null, status: 'active' };
const FIRST = { limit: 100, after: null };
const INSERT = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        supplied, stock_version, sequence, version, created_at, updated_at)
  VALUES ($1, $2, $3, 'about it', 1999, 'EUR', $4, 7, 7, 9, 0, 3, $5, $5)`;

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let products: Catalogue;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 2,
    statementTimeoutMs: 5000,
    applicationName: 'product-reader-under-test',
    onError: () => undefined,
  });
  products = createProductReader(pool);
  await database.query(
    `INSERT INTO users SELECT id::uuid, id, id, 'x', 'merchant', now()
       FROM unnest($1::text[]) AS id`,
    [[merchantId(1), merchantId(2)]],
  );
});
beforeEach(async () => {
  await database.query('TRUNCATE products');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

function known<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('not an id');
  }
  return value;
}

function productId(number: number): ProductId {
  return known(parseProductId(`10000000-0000-4000-8000-${String(number).padStart(12, '0')}`));
}

function merchantId(number: number): UserId {
  return known(parseUserId(`20000000-0000-4000-8000-${String(number).padStart(12, '0')}`));
}

async function insert(
  number: number,
  product: { name?: string; merchant?: number; status?: ProductStatus; at?: string } = {},
): Promise<void> {
  await database.query(INSERT, [
    productId(number),
    merchantId(product.merchant ?? 1),
    product.name ?? `product ${number}`,
    product.status ?? 'active',
    product.at ?? `2026-01-01T00:00:00.${String(number).padStart(6, '0')}Z`,
  ]);
}

async function names(filter: Partial<ProductFilter>): Promise<readonly string[]> {
  const page = await products.listProducts({ ...EVERYTHING, ...filter }, FIRST);
  return page.items.map((product) => product.name);
}

describe('findProduct', () => {
  test('answers the committed product, whatever its status', async () => {
    await insert(1, { status: 'draft', at: '2026-01-02T03:04:05.678Z' });
    await database.query(
      `UPDATE products SET sale_starts_at = '2026-02-01T00:00:00.001+02:00', per_customer_limit = 3`,
    );
    expect(await products.findProduct(productId(1))).toEqual({
      id: productId(1),
      merchantId: merchantId(1),
      name: 'product 1',
      description: 'about it',
      price: { amount: 1999, currency: 'EUR' },
      available: 7,
      perCustomerLimit: 3,
      saleStartsAt: Date.UTC(2026, 0, 31, 22, 0, 0, 1),
      saleEndsAt: null,
      status: 'draft',
      version: 3,
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      updatedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    });
  });

  test('answers undefined for an id that nobody has', async () => {
    expect(await products.findProduct(productId(404))).toBeUndefined();
  });
});

describe('listProducts', () => {
  test('is newest first, and by id where two were made at the same time', async () => {
    await insert(1, { at: '2026-01-01T00:00:00Z' });
    await insert(3, { at: '2026-01-01T00:00:00Z' });
    await insert(2, { at: '2026-01-02T00:00:00Z' });
    expect(await names({})).toEqual(['product 2', 'product 3', 'product 1']);
  });

  test('filters by status and by merchant', async () => {
    await insert(1);
    await insert(2, { merchant: 2 });
    await insert(3, { merchant: 2, status: 'draft' });
    expect(await names({})).toEqual(['product 2', 'product 1']);
    expect(await names({ merchantId: merchantId(2) })).toEqual(['product 2']);
    expect(await names({ merchantId: merchantId(2), status: 'draft' })).toEqual(['product 3']);
    expect(await names({ status: 'archived' })).toEqual([]);
  });

  test.each([
    { q: 'SNEAK', found: ['Aurora Sneaker'] },
    { q: '100%', found: ['100% wool'] },
    { q: '0_', found: ['50_50'] },
    { q: 'a\\b', found: ['a\\b'] },
    { q: '%', found: ['100% wool'] },
    { q: "'; DROP TABLE products", found: [] },
  ])('q = $q means these characters, in either case', async ({ q, found }) => {
    const all = ['Aurora Sneaker', '100% wool', '1000 pieces', '50_50', 'a\\b', 'ab'];
    for (const [number, name] of all.entries()) {
      await insert(number, { name });
    }
    expect(await names({ q })).toEqual(found);
  });

  test('pages neither repeat nor miss a row, at microseconds and at equal times', async () => {
    for (let number = 1; number <= 11; number += 1) {
      // Groups of three share one microsecond; the groups are one microsecond apart.
      await insert(number, { at: `2026-01-01T00:00:00.00000${Math.floor(number / 3)}Z` });
    }
    const seen: string[] = [];
    let after: Cursor | null = null;
    let pages = 0;
    do {
      const page = await products.listProducts(EVERYTHING, { limit: 2, after });
      seen.push(...page.items.map((product) => product.name));
      after = page.next;
      pages += 1;
      // What arrives meanwhile is newer than every page that follows.
      await insert(100 + pages, { at: '2026-02-01T00:00:00Z', name: 'newer' });
    } while (after !== null);
    expect(seen).toEqual(Array.from({ length: 11 }, (_, index) => `product ${11 - index}`));
    expect(pages).toBe(6);
  });

  test('has no next page when the last page is full', async () => {
    await insert(1);
    await insert(2);
    const page = await products.listProducts(EVERYTHING, { limit: 2, after: null });
    expect(page.items).toHaveLength(2);
    expect(page.next).toBeNull();
  });
});
