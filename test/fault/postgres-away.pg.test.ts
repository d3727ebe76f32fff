/**
 * PostgreSQL goes away under load and comes back: the embedded one, which the server process starts
 * again. The process stays, and so do its owners.
 */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { expectCleanAudit, expectSellsOut, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { Journal } from './journal.ts';
import { OwnPostgres } from './own-postgres.ts';

const SHARDS = 2;
const LOAD = { customers: 12, cancels: true };
/** Of the server; the shards, the reads and this test take some of them. */
const CONNECTIONS_MAX = 40;
/** kill -9, and the two ways in which `pg_ctl stop` ends it. */
const ENDS = ['SIGKILL', 'SIGINT', 'SIGQUIT'] as const;
const ROUNDS = 9;
/** The promise is two seconds; this machine may have other things to do. */
const MEDIAN_MS_MAX = 2000;

const KILL_SHARD_THREAD = new URL('./kill-shard-thread.ts', import.meta.url).href;

let postgres: OwnPostgres;
let server: ServerProcess;
let database: TestDatabase;
let journal: Journal;
let ids: readonly string[];

beforeAll(async () => {
  postgres = await OwnPostgres.prepare();
  server = await ServerProcess.start({
    databaseUrl: null,
    env: {
      SHARDS: `${SHARDS}`,
      SEED_DEMO: 'false',
      DATA_DIR: postgres.dataDir,
      REQUEST_TIMEOUT_MS: '2500',
    },
    preload: [KILL_SHARD_THREAD],
  });
  database = openTestDatabase(await postgres.databaseUrl());
  // From the next restart on.
  await database.query(`ALTER SYSTEM SET max_connections = ${CONNECTIONS_MAX}`);
  ids = productIds(4);
  await makeProducts(database, { ids, stock: 10_000 });
  journal = new Journal({
    productIds: ids,
    itemsOf: (n) => ids.slice(n % 3, (n % 3) + 1 + (n % 2)).map((id) => [id, 1] as const),
  });
});

afterEach(async () => {
  const owners = await database.query('SELECT FROM owners WHERE fenced_at IS NULL');
  expect(owners).toHaveLength(SHARDS);
  await journal.settle(server.url);
  await journal.expectTrue(database);
  await expectCleanAudit(database);
});

afterAll(async () => {
  try {
    await expectSellsOut(server.url, { database, ids });
    await expectCleanAudit(database);
    await database.close();
    expect(await server.stop()).toBe(0);
    expect(await postgres.processes()).toEqual([]);
  } finally {
    await server.kill();
    await postgres.remove();
  }
});

async function readiness(): Promise<{ readonly status: number; readonly reason: unknown }> {
  const response = await fetch(`${server.url}/health/ready`);
  const { reason } = (await response.json()) as { readonly reason?: unknown };
  return { status: response.status, reason };
}

/** Each shard, and the service as a whole. */
async function expectShedding(): Promise<void> {
  await until('it says that it is not ready', async () => (await readiness()).status === 503);
  expect((await readiness()).reason).toMatch(/^PostgreSQL does not answer shard \d$/);
  await Promise.all(
    ids.map((id) =>
      until(`orders for ${id} are shed`, async () => {
        const answer = await journal.order(server.url, [[id, 1]]);
        return answer?.body['code'] === 'database-unavailable';
      }),
    ),
  );
}

/** The service sells and is ready; `cause` just ended what kept it from that. */
async function expectRecovery(cause: string): Promise<void> {
  const since = performance.now();
  const ms = (await journal.nextAccepted()) - since;
  process.stdout.write(`${cause} to the first 201: ${Math.round(ms)} ms\n`);
  await until('it is ready', async () => (await readiness()).status === 200);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

describe('PostgreSQL', { timeout: 60_000 }, () => {
  it('that ends is started again, and every shard sells again by itself (I2, I8)', async () => {
    const times: number[] = [];
    await journal.underLoad(server.url, LOAD, async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await journal.acceptedMore(50);
        const back = await postgres.end(ENDS[round % ENDS.length] ?? 'SIGKILL');
        times.push((await journal.nextAccepted()) - back);
      }
    });
    expect(server.log).toContain('has ended although it is in use');
    const shown = times.map(Math.round).join(', ');
    process.stdout.write(
      `PostgreSQL back to the first 201, ${ROUNDS} rounds: median ${Math.round(median(times))} ms` +
        ` (${shown}); ${JSON.stringify(journal.answers)}\n`,
    );
    expect(median(times)).toBeLessThan(MEDIAN_MS_MAX);
  });

  it('that stands still makes the service shed and say so, until it moves again (I5, I9)', async () => {
    await journal.underLoad(server.url, LOAD, async () => {
      await journal.acceptedMore(50);
      try {
        await postgres.freeze();
        await expectShedding();
      } finally {
        await postgres.wake();
      }
      await expectRecovery('PostgreSQL moves again');
    });
  });

  it('without a free connection makes the service shed until there is one (I8, I9)', async () => {
    const url = await postgres.databaseUrl();
    const idle: pg.Client[] = [];
    const over = new AbortController();
    await journal.underLoad(server.url, LOAD, async () => {
      const taking = takeConnections(url, idle, over.signal);
      const ending = endSessions(over.signal);
      try {
        await expectShedding();
      } finally {
        over.abort();
        await Promise.all([taking, ending]);
        await Promise.all(idle.map((client) => client.end()));
      }
      await expectRecovery('connections are free');
    });
    // The shards healed their sessions; nobody was replaced.
    expect(await database.query('SELECT FROM owners')).toHaveLength(SHARDS);
  });

  it('that comes back replaces a shard whose thread died meanwhile (I4, I8)', async () => {
    await journal.underLoad(server.url, LOAD, async () => {
      await journal.acceptedMore(50);
      try {
        await postgres.freeze();
        server.signal('SIGWINCH');
        await until('the thread is gone', () => server.log.includes('a shard is being replaced'));
        await until('it says that it is not ready', async () => (await readiness()).status === 503);
      } finally {
        await postgres.wake();
      }
      await expectRecovery('PostgreSQL is back for a dead shard');
    });
    expect(await database.query('SELECT FROM owners')).toHaveLength(SHARDS + 1);
  });
});

/** Takes every connection that is free or becomes free, until told to stop. */
async function takeConnections(
  url: string,
  taken: pg.Client[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const client = new pg.Client({ connectionString: url, application_name: 'idle' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      taken.push(client);
    } catch {
      await client.end();
    }
  }
}

/** Ends every session of a shard, again and again, until told to stop. */
async function endSessions(signal: AbortSignal): Promise<void> {
  const killer = await database.pool.connect();
  try {
    await until('told to stop', async () => {
      await killer.query(/* sql */ `
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'hedonify-shard-%'`);
      return signal.aborted;
    });
  } finally {
    killer.release();
  }
}
