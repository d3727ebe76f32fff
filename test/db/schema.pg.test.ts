import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import pg from 'pg';
import { applySchema } from '../../src/db/schema.ts';
import { ORDER_STATUSES } from '../../src/domain/order.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.close();
});

async function withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await database.pool.connect();
  try {
    return await use(client);
  } finally {
    client.release();
  }
}

/** An empty namespace of its own in the file's database. */
async function withEmptySchema<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return await withClient(async (client) => {
    await client.query('CREATE SCHEMA scratch; SET search_path = scratch');
    try {
      return await use(client);
    } finally {
      await client.query('DROP SCHEMA scratch CASCADE; RESET search_path');
    }
  });
}

describe('applySchema', () => {
  test('finds the schema of the template present', async () => {
    expect(await withClient(applySchema)).toBe('present');
  });

  test('creates the schema where there is none, once', async () => {
    await withEmptySchema(async (client) => {
      expect(await applySchema(client)).toBe('created');
      expect(await applySchema(client)).toBe('present');
      const { rows } = await client.query('SELECT count(*)::integer AS partitions FROM partitions');
      expect(rows).toEqual([{ partitions: 256 }]);
    });
  });

  test('processes that start together apply it once', async () => {
    const name = 'together';
    await database.query(`CREATE SCHEMA ${name}`);
    const url = new URL(database.url);
    url.searchParams.set('options', `-c search_path=${name}`);
    const results = await Promise.all(
      [1, 2, 3].map(async () => {
        const client = new pg.Client({ connectionString: url.href });
        await client.connect();
        const result = await applySchema(client);
        await client.end();
        return result;
      }),
    );
    expect(results.toSorted()).toEqual(['created', 'present', 'present']);
  });

  test('refuses a database of another version of the schema and leaves it alone', async () => {
    await withEmptySchema(async (client) => {
      await applySchema(client);
      await client.query(`UPDATE schema_info SET digest = 'of another version'`);
      await expect(applySchema(client)).rejects.toThrow(
        /another version of the schema.*migrations/,
      );
      const { rows } = await client.query('SELECT digest FROM schema_info');
      expect(rows).toEqual([{ digest: 'of another version' }]);
    });
  });

  test('refuses a database whose schema says no version', async () => {
    await withEmptySchema(async (client) => {
      await client.query('CREATE TABLE owners ()');
      await expect(applySchema(client)).rejects.toThrow(/another version of the schema \(unknown/);
    });
  });

  test.each(['LATIN1', 'SQL_ASCII'])(
    'refuses a database in %s, which cannot store every text, and leaves it empty',
    async (encoding) => {
      const name = `${new URL(database.url).pathname.slice(1)}_${encoding.toLowerCase()}`;
      await database.query(
        `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LOCALE 'C'`,
      );
      const url = new URL(database.url);
      url.pathname = `/${name}`;
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      try {
        await expect(applySchema(client)).rejects.toThrow(
          `in UTF8, and this one is in ${encoding}`,
        );
        const { rows } = await client.query(`SELECT to_regclass('users') AS users`);
        expect(rows).toEqual([{ users: null }]);
      } finally {
        await client.end();
      }
    },
  );

  test('a failure half-way leaves nothing behind', async () => {
    await withEmptySchema(async (client) => {
      // The last table of the schema collides; everything before it was created already.
      await client.query('CREATE TABLE stock_ledger ()');
      await expect(applySchema(client)).rejects.toThrow('stock_ledger');
      const { rows } = await client.query(`SELECT to_regclass('users') AS users`);
      expect(rows).toEqual([{ users: null }]);
    });
  });
});

describe('the schema', () => {
  test('orders and their lines have no foreign keys, either way', async () => {
    const rows = await database.query(/* sql */ `SELECT conname FROM pg_constraint
                  WHERE contype = 'f' AND (conrelid IN ('orders'::regclass, 'order_items'::regclass)
                     OR confrelid IN ('orders'::regclass, 'order_items'::regclass))`);
    expect(rows).toEqual([]);
  });

  test('stock below zero is refused by the last line of defence (I1)', async () => {
    const rows = await database.query<{
      definition: string;
    }>(/* sql */ `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint
                  WHERE contype = 'c' AND conrelid = 'products'::regclass`);
    expect(rows.map((row) => row.definition)).toContain('CHECK ((stock >= 0))');
  });

  test('the order of the statuses is that in which an order can reach them', async () => {
    const rows = await database.query<{ status: string }>(
      'SELECT unnest(enum_range(NULL::order_status)) AS status',
    );
    expect(rows.map(({ status }) => status)).toEqual(ORDER_STATUSES);
  });

  test('there is one longest hold', async () => {
    const second = `INSERT INTO engine_settings (hold_ttl_max) VALUES ('1 hour')`;
    await expect(database.query(second)).rejects.toMatchObject({ code: '23505' });
  });

  test('no index of products holds a column that a sale changes', async () => {
    const rows = await database.query<{ indexdef: string }>(
      `SELECT indexdef FROM pg_indexes WHERE tablename = 'products'`,
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { indexdef } of rows) expect(indexdef).not.toMatch(/stock|sequence/);
  });
});
