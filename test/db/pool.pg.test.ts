import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPool, queryRows } from '../../src/db/pool.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

type Pool = ReturnType<typeof createPool>;

const UNAVAILABLE = { name: 'AppError', code: 'database-unavailable' };

let database: TestDatabase;
let pool: Pool;
const onError = vi.fn<(error: Error) => void>();

function open(options: { databaseUrl?: string; statementTimeoutMs?: number } = {}): Pool {
  return createPool({
    databaseUrl: database.url,
    max: 1,
    statementTimeoutMs: 5000,
    applicationName: 'pool-under-test',
    onError,
    ...options,
  });
}

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(() => {
  onError.mockClear();
  pool = open();
});
afterEach(async () => {
  await pool.end();
});
afterAll(async () => {
  await database.close();
});

async function use<T>(other: Pool, work: (other: Pool) => Promise<T>): Promise<T> {
  try {
    return await work(other);
  } finally {
    await other.end();
  }
}

describe('values', () => {
  test('a bigint is a number, up to the largest that a number can represent', async () => {
    const rows = await queryRows(pool, {
      text: 'SELECT 9007199254740991::bigint AS n, 1::int4 AS i',
    });
    expect(rows).toEqual([{ n: 9007199254740991, i: 1 }]);
  });

  test('a larger bigint is an error, never a rounded number', async () => {
    const query = queryRows(pool, { text: 'SELECT 9007199254740993::bigint AS n' });
    await expect(query).rejects.toThrow('9007199254740993');
  });

  test('other users of pg in the process still read a bigint as text', async () => {
    const rows = await database.query('SELECT 1::bigint AS n');
    expect(rows).toEqual([{ n: '1' }]);
  });
});

describe('failures are bounded and say what can be done (I9)', () => {
  test('a statement that takes too long is database-unavailable', async () => {
    await use(open({ statementTimeoutMs: 50 }), async (impatient) => {
      const query = queryRows(impatient, { text: 'SELECT pg_sleep(30)' });
      await expect(query).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: '57014' } });
    });
  });

  test('waiting for a free connection ends', async () => {
    await use(open({ statementTimeoutMs: 100 }), async (impatient) => {
      const taken = await impatient.connect();
      const query = queryRows(impatient, { text: 'SELECT 1' });
      await expect(query).rejects.toMatchObject(UNAVAILABLE);
      taken.release();
    });
  });

  test('the queue for a connection is bounded', async () => {
    const taken = await pool.connect();
    const waiting = Array.from({ length: 1000 }, () => queryRows(pool, { text: 'SELECT 1 AS n' }));
    await expect(queryRows(pool, { text: 'SELECT 1' })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: 'too many queries are waiting',
    });
    taken.release();
    await expect(Promise.all(waiting)).resolves.toHaveLength(1000);
  });

  test('nobody listening is database-unavailable', async () => {
    await use(open({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none' }), async (other) => {
      const query = queryRows(other, { text: 'SELECT 1' });
      await expect(query).rejects.toMatchObject({
        ...UNAVAILABLE,
        cause: { code: 'ECONNREFUSED' },
      });
    });
  });

  test('a missing socket is database-unavailable', async () => {
    await use(open({ databaseUrl: 'postgres://nobody@%2Fnowhere/none' }), async (other) => {
      const query = queryRows(other, { text: 'SELECT 1' });
      await expect(query).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: 'ENOENT' } });
    });
  });

  test('a connection lost in a query is database-unavailable, and the next query works', async () => {
    const query = queryRows(pool, { text: 'SELECT pg_terminate_backend(pg_backend_pid())' });
    await expect(query).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: '57P01' } });
    await expect(queryRows(pool, { text: 'SELECT 1 AS n' })).resolves.toEqual([{ n: 1 }]);
  });

  test('a connection lost while idle is told to the log and replaced', async () => {
    const [row] = await queryRows<{ pid: number }>(pool, {
      text: 'SELECT pg_backend_pid() AS pid',
    });
    await database.query('SELECT pg_terminate_backend($1)', [row?.pid]);
    await vi.waitUntil(() => onError.mock.calls.length > 0);
    // Whole, it would show the key that cancels queries of this connection.
    expect(onError.mock.calls[0]?.[0]).not.toHaveProperty('client');
    await expect(queryRows(pool, { text: 'SELECT 1 AS n' })).resolves.toEqual([{ n: 1 }]);
  });

  test('a connection lost between two statements of its user ends nothing but their work', async () => {
    const client = await pool.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    await database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
    await ended;
    await expect(client.query('SELECT 1')).rejects.toThrow(/not queryable/);
    client.release(true);
    await expect(queryRows(pool, { text: 'SELECT 1 AS n' })).resolves.toEqual([{ n: 1 }]);
  });

  test('a defect in the statement is thrown as it is', async () => {
    const query = queryRows(pool, { text: 'SELECT FROM no_such_table' });
    await expect(query).rejects.toMatchObject({ code: '42P01' });
  });
});
