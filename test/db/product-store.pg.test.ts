import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createProductReader } from '../../src/db/product-reader.ts';
import { createProductStore } from '../../src/db/product-store.ts';
import type { CreateProduct, NewProduct, ProductMaker } from '../../src/domain/catalogue.ts';
import { parseUserId } from '../../src/domain/ids.ts';
import type { UserId } from '../../src/domain/ids.ts';
import type { Product } from '../../src/domain/product.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit } from '../support/shop.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let products: ProductMaker;

function userId(number: number): UserId {
  const id = parseUserId(`20000000-0000-4000-8000-${String(number).padStart(12, '0')}`);
  if (id === undefined) throw new Error('not an id');
  return id;
}

const MERCHANT = userId(1);
const ADMIN = userId(2);
const CUSTOMER = userId(3);
const NOBODY = userId(4);

const NEW: NewProduct = {
  merchantId: MERCHANT,
  name: 'Aurora Sneaker',
  description: 'Runs.',
  price: { amount: 1999, currency: 'EUR' },
  stock: 7,
  perCustomerLimit: 2,
  saleStartsAt: Date.UTC(2030, 0, 2, 3, 4, 5, 678),
  saleEndsAt: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
  status: 'draft',
};

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 4,
    statementTimeoutMs: 5000,
    applicationName: 'product-store-under-test',
    onError: () => undefined,
  });
  products = createProductStore(pool);
  await database.query(
    `INSERT INTO users
     SELECT id::uuid, id, id, 'x', role::user_role, now()
       FROM unnest($1::text[], $2::text[]) AS u (id, role)`,
    [
      [MERCHANT, ADMIN, CUSTOMER],
      ['merchant', 'admin', 'customer'],
    ],
  );
});
beforeEach(async () => {
  await database.query('TRUNCATE products, stock_ledger, keyed_effects');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

function create(request: Partial<CreateProduct> = {}) {
  return products.createProduct({
    author: MERCHANT,
    idempotencyKey: null,
    product: NEW,
    ...request,
  });
}

async function created(request: Partial<CreateProduct> = {}): Promise<Product> {
  const outcome = await create(request);
  if (outcome.type !== 'created') throw new Error(outcome.type);
  return outcome.product;
}

async function count(table: 'products' | 'stock_ledger' | 'keyed_effects'): Promise<number> {
  const rows = await database.query<{ n: number }>(`SELECT count(*)::integer AS n FROM ${table}`);
  return rows[0]?.n ?? -1;
}

describe('a new product', () => {
  test('is what was asked for, to the millisecond, as a reader sees it from now on', async () => {
    const before = Date.now();
    const product = await created();
    const { stock, ...asked } = NEW;
    expect(product).toEqual({
      ...asked,
      id: product.id,
      available: stock,
      version: 1,
      createdAt: product.createdAt,
      updatedAt: product.createdAt,
    });
    expect(product.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(product.createdAt).toBeGreaterThanOrEqual(before);
    expect(product.createdAt).toBeLessThanOrEqual(Date.now());
    expect(await createProductReader(pool).findProduct(product.id)).toEqual(product);
  });

  test('may have no bounds', async () => {
    const product = { ...NEW, perCustomerLimit: null, saleStartsAt: null, saleEndsAt: null };
    expect(await created({ product })).toMatchObject({
      perCustomerLimit: null,
      saleStartsAt: null,
      saleEndsAt: null,
    });
  });

  test('opens its ledger with its stock, by its author, in the same transaction (I10)', async () => {
    const { id, createdAt } = await created({ author: ADMIN });
    const rows = await database.query(
      `SELECT product_id AS id, stock_version::integer AS version, delta::integer AS delta,
              stock_after::integer AS after, kind, author, owner_id AS owner,
              floor(extract(epoch FROM created_at) * 1000)::float8 AS at
         FROM stock_ledger`,
    );
    expect(rows).toEqual([
      {
        id,
        version: 1,
        delta: 7,
        after: 7,
        kind: 'opening',
        author: ADMIN,
        owner: null,
        at: createdAt,
      },
    ]);
    await created({ product: { ...NEW, stock: 0 } });
    await expectCleanAudit(database);
  });

  test('lives in any partition: the last byte of its id is random', async () => {
    const made = await Promise.all(Array.from({ length: 40 }, () => created()));
    expect(new Set(made.map(({ id }) => id.slice(34))).size).toBeGreaterThan(10);
  });
});

describe('whose it is', () => {
  test.each([MERCHANT, ADMIN])('a merchant or an admin: %s', async (merchantId) => {
    const product = { ...NEW, merchantId };
    expect(await created({ author: ADMIN, product })).toMatchObject({ merchantId });
  });

  test.each([CUSTOMER, NOBODY])(
    'nobody who may not sell or is not there: %s',
    async (merchantId) => {
      const product = { ...NEW, merchantId };
      const outcome = await create({ author: ADMIN, idempotencyKey: 'k', product });
      expect(outcome).toEqual({ type: 'refused', code: 'merchant-unknown' });
      expect(await count('products')).toBe(0);
      // A refusal binds nothing: the key is good for the request as it should have been.
      expect(await create({ author: ADMIN, idempotencyKey: 'k' })).toMatchObject({
        type: 'created',
      });
    },
  );

  test('the author, whose role the token has told, but not without an account', async () => {
    const own = (author: UserId) => ({ author, product: { ...NEW, merchantId: author } });
    expect(await created(own(CUSTOMER))).toMatchObject({ merchantId: CUSTOMER });
    expect(await create(own(NOBODY))).toMatchObject({ type: 'refused' });
  });
});

describe('the same key', () => {
  const keyed = { idempotencyKey: 'k' };

  test('makes one product, which a repeat shows as it was made (I3)', async () => {
    const product = await created(keyed);
    await database.query(`UPDATE products SET name = 'edited', version = 2, stock = 1`);
    expect(await create(keyed)).toEqual({ type: 'created', product, replayed: true });
    expect(await count('products')).toBe(1);
    expect(await count('stock_ledger')).toBe(1);
  });

  test('makes one product however many requests come at once (I3)', async () => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => create(keyed)));
    const ids = new Set(outcomes.map((it) => (it.type === 'created' ? it.product.id : it.type)));
    expect(ids.size).toBe(1);
    const replayed = outcomes.filter((it) => it.type === 'created' && it.replayed);
    expect(replayed).toHaveLength(7);
    expect(await count('products')).toBe(1);
    expect(await count('stock_ledger')).toBe(1);
    await expectCleanAudit(database);
  });

  test.each<Partial<NewProduct>>([
    { name: 'other' },
    { description: '' },
    { price: { amount: 1998, currency: 'EUR' } },
    { price: { amount: 1999, currency: 'USD' } },
    { stock: 8 },
    { perCustomerLimit: null },
    { saleStartsAt: null },
    { saleEndsAt: null },
    { status: 'active' },
  ])('with %o is another request', async (change) => {
    await create(keyed);
    const product = { ...NEW, ...change };
    expect(await create({ ...keyed, product })).toEqual({ type: 'key-reused' });
    expect(await count('products')).toBe(1);
  });

  test('of somebody else is another key', async () => {
    await create(keyed);
    const other = await create({ ...keyed, author: ADMIN });
    expect(other).toMatchObject({ type: 'created', replayed: false });
    expect(await count('products')).toBe(2);
  });

  test('is free again when PostgreSQL dies before the COMMIT: nothing was made', async () => {
    const gate = await database.pool.connect();
    await gate.query('BEGIN');
    // The product and its ledger are written; binding the key waits for this table.
    await gate.query('LOCK TABLE orders IN SHARE MODE');
    const outcome = create(keyed).catch((error: unknown) => error);
    const waiting = /* sql */ `FROM pg_stat_activity
      WHERE application_name = 'product-store-under-test' AND wait_event_type = 'Lock'`;
    await until('the transaction waits', async () => {
      return (await database.query(`SELECT 1 ${waiting}`)).length === 1;
    });
    await database.query(`SELECT pg_terminate_backend(pid) ${waiting}`);
    expect(await outcome).toMatchObject({ code: 'database-unavailable' });
    await gate.query('ROLLBACK');
    gate.release();
    expect(await count('products')).toBe(0);
    expect(await create(keyed)).toMatchObject({ type: 'created', replayed: false });
    await expectCleanAudit(database);
  });
});
