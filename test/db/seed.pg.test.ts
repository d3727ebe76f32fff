import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEMO_ACCOUNTS, DEMO_PASSWORD, HOT_PRODUCT_ID } from '../../src/db/seed.ts';
import { hasDemoShop, seedDemoShop } from '../../src/db/seed.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let hashed: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.close();
});

function hashPassword(password: string): Promise<string> {
  hashed.push(password);
  return Promise.resolve(`hash ${hashed.length}`);
}

async function seed(hash = hashPassword): Promise<boolean> {
  const client = await database.pool.connect();
  try {
    return await seedDemoShop(client, { hashPassword: hash });
  } finally {
    client.release();
  }
}

async function demoShopIsOpen(): Promise<boolean> {
  const client = await database.pool.connect();
  try {
    return await hasDemoShop(client);
  } finally {
    client.release();
  }
}

test('a seed that fails leaves the database empty', async () => {
  await expect(seed(() => Promise.reject(new Error('no entropy')))).rejects.toThrow('no entropy');
  expect(await database.query('SELECT FROM users')).toEqual([]);
  expect(await demoShopIsOpen()).toBe(false);
});

test('two processes that start together seed an empty database once', async () => {
  hashed = [];
  expect((await Promise.all([seed(), seed()])).toSorted()).toEqual([false, true]);
  expect(hashed).toEqual([DEMO_PASSWORD, DEMO_PASSWORD, DEMO_PASSWORD]);
  expect(await demoShopIsOpen()).toBe(true);
});

test('the accounts are the documented ones', async () => {
  const rows = await database.query('SELECT id, username, email, role FROM users ORDER BY id');
  expect(rows).toEqual([
    {
      id: '00000000-0000-7000-8000-0000000000a1',
      username: 'demo-customer',
      email: 'customer@demo.test',
      role: 'customer',
    },
    {
      id: '00000000-0000-7000-8000-0000000000a2',
      username: 'demo-merchant',
      email: 'merchant@demo.test',
      role: 'merchant',
    },
    {
      id: '00000000-0000-7000-8000-0000000000a3',
      username: 'demo-admin',
      email: 'admin@demo.test',
      role: 'admin',
    },
  ]);
  expect(Object.values(DEMO_ACCOUNTS)).toEqual(rows);
});

test('thirty products of the merchant stand in the shop with 1,000 units each', async () => {
  const rows = await database.query<{ id: string; name: string }>(
    /* sql */ `SELECT id, name FROM products
                WHERE merchant_id = $1 AND currency = 'USD' AND status = 'active' AND stock = 1000
                  AND stock_version = 1 AND sequence = 0 AND version = 1 AND price_amount > 0
                  AND sale_starts_at IS NULL AND sale_ends_at IS NULL
                ORDER BY id`,
    [DEMO_ACCOUNTS.merchant.id],
  );
  expect(rows).toHaveLength(30);
  expect(HOT_PRODUCT_ID).toBe('00000000-0000-7000-8000-000000000001');
  expect(rows[0]?.id).toBe(HOT_PRODUCT_ID);
  expect(rows[29]?.id).toBe('00000000-0000-7000-8000-00000000001e');
  expect(new Set(rows.map((row) => row.name)).size).toBe(30);
});

test('every product opens its ledger, so that stock is conserved from the start (I10)', async () => {
  const rows = await database.query(/* sql */ `SELECT count(*)::integer AS openings
                 FROM products p JOIN stock_ledger l ON l.product_id = p.id
                WHERE l.kind = 'opening' AND l.stock_version = p.stock_version
                  AND l.delta = p.stock AND l.stock_after = p.stock`);
  expect(rows).toEqual([{ openings: 30 }]);
  expect(await database.query('SELECT count(*)::integer AS n FROM stock_ledger')).toEqual([
    { n: 30 },
  ]);
});

test('a database with a user or a product of its own is left alone', async () => {
  hashed = [];
  await database.query('DELETE FROM products');
  expect(await seed()).toBe(false);
  expect(await database.query('SELECT FROM products')).toEqual([]);
  expect(hashed).toEqual([]);
});
