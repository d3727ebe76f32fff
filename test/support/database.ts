/**
 * A fresh database with the schema for one test file. Databases are not dropped one by one: each
 * is kept until the run ends, so that the one of a failed file can be looked at meanwhile.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { QueryResultRow } from 'pg';
import { inject } from 'vitest';
import { TEMPLATE_DATABASE } from './global-setup.ts';

/** A backend ends a moment after its client closed the socket. */
const LEAK_WAIT_MS = 2_000;
const POLL_MS = 20;
const POOL_MAX = 4;

export interface TestDatabase {
  readonly url: string;
  /** For the test's own looks at the tables; `close` ends it. */
  readonly pool: pg.Pool;
  /** Rows of one statement on `pool`. */
  query<Row extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** @throws Error naming the connections to this database that the test left open */
  close(): Promise<void>;
}

interface Connection {
  readonly pid: number;
  readonly application_name: string;
  readonly state: string | null;
  readonly query: string;
}

async function withRoot<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: inject('postgresRootUrl') });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function assertNoConnections(name: string): Promise<void> {
  await withRoot(async (client) => {
    const deadline = performance.now() + LEAK_WAIT_MS;
    for (;;) {
      const { rows } = await client.query<Connection>(
        /* sql */ `SELECT pid, application_name, state, left(query, 200) AS query
                     FROM pg_stat_activity
                    WHERE datname = $1 AND backend_type = 'client backend'`,
        [name],
      );
      if (rows.length === 0) return;
      if (performance.now() > deadline) {
        throw new Error(
          `connections left open to ${name}:\n${rows.map((row) => JSON.stringify(row)).join('\n')}`,
        );
      }
      await delay(POLL_MS);
    }
  });
}

/** In a pg, thread or ext test: `beforeAll` creates it, `afterAll` closes it. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  // STRATEGY FILE_COPY measured the same (100-250 ms) and forces a checkpoint on every other file.
  await withRoot((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE_DATABASE}`));
  const url = new URL(inject('postgresRootUrl'));
  url.pathname = `/${name}`;
  const database = openTestDatabase(url.href);
  return {
    ...database,
    close: async () => {
      await database.close();
      await assertNoConnections(name);
    },
  };
}

/** One that is there already, on whatever server; `close` ends the pool and looks for no leaks. */
export function openTestDatabase(url: string): TestDatabase {
  const pool = new pg.Pool({ connectionString: url, max: POOL_MAX, application_name: 'test' });
  // A test may kill its own connections, or the server just after the pool: `end` resolves before the
  // sockets are closed. The next query says so, the idle one need not.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return {
    url,
    pool,
    query: async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) =>
      (await pool.query<Row>(text, [...values])).rows,
    close: () => pool.end(),
  };
}
