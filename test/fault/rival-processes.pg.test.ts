/** Several processes on one database: the newest wins, and the others end with 0 (I5). */
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  expectSellsOut,
  makeProducts,
  productIds,
} from '../support/shop.ts';
import { until } from '../support/until.ts';
import { Journal } from './journal.ts';
import { KeepAliveClient } from './keep-alive-client.ts';

const SHARDS = 4;
const CUSTOMERS = 24;

const databases: TestDatabase[] = [];
const servers: ServerProcess[] = [];
let database: TestDatabase;
let ids: readonly string[];
let journal: Journal;

beforeEach(async () => {
  database = await createTestDatabase();
  databases.push(database);
  ids = productIds(2 * SHARDS);
  await makeProducts(database, { ids, stock: 100_000 });
  journal = new Journal({
    productIds: ids,
    itemsOf: (n) => [0, 3].slice(n % 2).map((at) => [ids[(n + at) % ids.length] ?? '', 1] as const),
  });
});

afterEach(async () => {
  // Of a failed test; ended ones do not mind.
  await Promise.all(servers.splice(0).map((server) => server.kill()));
  await expectCleanAudit(database);
});

afterAll(async () => {
  await Promise.all(databases.map((each) => each.close()));
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    databaseUrl: database.url,
    env: { SHARDS: `${SHARDS}`, ...env },
  });
  servers.push(server);
  return server;
}

interface NodeOwners {
  readonly node: string;
  readonly owners: number;
  readonly fenced: number;
  readonly partitions: number;
}

/** Every process that ever owned something, the oldest first. */
function nodes(): Promise<NodeOwners[]> {
  return database.query<NodeOwners & { node: string }>(/* sql */ `
    SELECT o.node, count(DISTINCT o.id)::integer AS owners, count(p.id)::integer AS partitions,
           count(DISTINCT o.id) FILTER (WHERE o.fenced_at IS NOT NULL)::integer AS fenced
      FROM owners o LEFT JOIN partitions p ON p.owner_id = o.id
     GROUP BY o.node ORDER BY min(o.id)`);
}

/** One takeover: the first node lost everything to the second. */
async function expectOneTakeover(): Promise<void> {
  const found = await nodes();
  expect(found.map(({ owners, fenced, partitions }) => ({ owners, fenced, partitions }))).toEqual([
    { owners: SHARDS, fenced: SHARDS, partitions: 0 },
    { owners: SHARDS, fenced: 0, partitions: 256 },
  ]);
}

async function nodeOf(server: ServerProcess): Promise<string> {
  const found = (await nodes()).find(({ node }) => node.includes(`:${server.pid}:`));
  if (found === undefined) throw new Error(`process ${server.pid} owned nothing`);
  return found.node;
}

async function expectSale(server: ServerProcess): Promise<void> {
  const answer = await journal.order(server.url, [[ids[0] ?? '', 1]]);
  expect(answer?.status).toBe(201);
}

async function expectTakenOverBy(older: ServerProcess, newer: ServerProcess): Promise<void> {
  expect(await older.exited).toEqual([0, null]);
  expect(older.log).toContain('another node took over');
  expect(older.log).toContain(`"reason":"fenced by ${await nodeOf(newer)}"`);
  expect(older.log).not.toContain('a shard is being replaced');
}

/** Settles what is open, sells everything, and stops. */
async function expectHealthy(server: ServerProcess): Promise<void> {
  await journal.settle(server.url);
  await journal.expectTrue(database);
  await expectSellsOut(server.url, { database, ids });
  expect(await server.stop()).toBe(0);
}

describe('a second process', { timeout: 60_000 }, () => {
  it('takes over under load: the first exits 0 and says by whom, every answer is true (I2, I4, I5)', async () => {
    const first = await start();
    const load = journal.load(first.url, { customers: CUSTOMERS });
    await journal.acceptedMore(200);
    const second = await start();
    await expectTakenOverBy(first, second);
    await load;
    await expectOneTakeover();
    // Whatever the first left without an answer is settled by the second.
    expect(journal.unanswered).toBeGreaterThan(0);
    await expectHealthy(second);
  });

  it('on the same port exits 1 without fencing the first, which goes on selling (I5)', async () => {
    const first = await start();
    const before = await nodes();
    const port = new URL(first.url).port;
    await expect(start({ PORT: port })).rejects.toThrow(/ended with 1:[^]*EADDRINUSE/);
    expect(await nodes()).toEqual(before);
    await expectSale(first);
    await expectHealthy(first);
  });

  it('ends in one takeover although supervisors restart both of them on failure (I5)', async () => {
    const first = supervise();
    await until('the first serves', () => first.current !== null);
    const second = supervise();
    await until('the second serves', () => second.current !== null);
    expect(await first.ended).toEqual({ starts: 1, code: 0 });
    await expectOneTakeover();
    if (second.current === null) throw new Error('the second does not serve');
    await expectSale(second.current);
    await expectHealthy(second.current);
    expect(await second.ended).toEqual({ starts: 1, code: 0 });
  });

  it('that starts at the same moment leaves one owner of each partition (I5)', async () => {
    const [one, two] = await Promise.allSettled([start(), start()]);
    await until('one of them is gone', async () => {
      const owning = (await nodes()).filter(({ partitions }) => partitions > 0);
      return owning.length === 1 && (await nodes()).length === 2;
    });
    await expectOneTakeover();
    const winner = (await nodes()).at(-1)?.node;
    for (const start of [one, two]) {
      if (start.status === 'rejected') {
        expect(String(start.reason)).toMatch(/ended with 0:[^]*another node took over/);
      } else if (winner?.includes(`:${start.value.pid}:`) === true) {
        await expectSale(start.value);
        await expectHealthy(start.value);
      } else {
        expect(await start.value.exited).toEqual([0, null]);
      }
    }
  });

  it('takes over from one that stands still, which neither commits nor refuses when it wakes up (I5)', async () => {
    const [paused = ''] = ids;
    await database.query(`UPDATE products SET status = 'paused' WHERE id = $1`, [paused]);
    const onSale = ids.slice(1);
    const running = new Journal({ productIds: onSale });
    const first = await start();
    const load = running.load(first.url, { customers: CUSTOMERS });
    const refused = await new Customer().order(first.url, { items: [[paused, 1]] });
    expect(refused.body['code']).toBe('product-not-for-sale');
    await running.acceptedMore(100);
    first.signal('SIGSTOP');
    const second = await start();
    await expectOneTakeover();

    const client = new KeepAliveClient(first.url);
    const sent = await Promise.all(ids.map((id) => client.send([[id, 1]])));
    const stored = await database.query('SELECT FROM orders');
    first.signal('SIGCONT');
    await expectTakenOverBy(first, second);
    await load;
    expect(await database.query('SELECT FROM orders')).toHaveLength(stored.length);
    const answers = await Promise.allSettled(sent.map(({ answer }) => answer));
    const statuses = answers.flatMap((each) =>
      each.status === 'fulfilled' ? [each.value.status] : [],
    );
    expect(statuses.filter((status) => status !== 503 && status !== 408)).toEqual([]);
    client.close();
    process.stdout.write(
      `woken up: ${statuses.length} of ${sent.length} got an answer, none from the engine\n`,
    );

    await running.settle(second.url);
    await running.expectTrue(database);
    await expectSellsOut(second.url, { database, ids: onSale });
    expect(await second.stop()).toBe(0);
  });
});

interface Supervised {
  /** Null until it serves for the first time. */
  current: ServerProcess | null;
  /** When it was not started again. */
  ended: Promise<{ readonly starts: number; readonly code: number | null }>;
}

/** Starts a server again for as long as it ends with anything but 0, as systemd or Docker would. */
function supervise(): Supervised {
  const supervised: Supervised = { current: null, ended: run() };
  async function run(): ReturnType<() => Supervised['ended']> {
    for (let starts = 1; ; starts += 1) {
      const server = await start();
      supervised.current = server;
      const [code] = await server.exited;
      if (code === 0) return { starts, code };
    }
  }
  return supervised;
}
