/**
 * The ways in which a serving process ends by itself or by its operator: it is stopped, or it never
 * gets as far as serving. Another process's takeover is in rival-processes.pg.test.ts.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { Customer, expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { KeepAliveClient, untilRead } from './keep-alive-client.ts';

const CUSTOMERS = 32;
const STOCK = 100_000;

const databases: TestDatabase[] = [];
const servers: ServerProcess[] = [];
let database: TestDatabase;
let ids: readonly string[];

beforeEach(async () => {
  database = await createTestDatabase();
  databases.push(database);
  ids = productIds(8);
  await makeProducts(database, { ids, stock: STOCK });
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
  const server = await ServerProcess.start({ databaseUrl: database.url, env });
  servers.push(server);
  return server;
}

async function countOrders(): Promise<number> {
  const [row] = await database.query<{ n: number }>('SELECT count(*)::integer AS n FROM orders');
  return row?.n ?? 0;
}

async function unfencedNodes(): Promise<string[]> {
  const rows = await database.query<{ node: string }>(
    'SELECT DISTINCT node FROM owners WHERE fenced_at IS NULL',
  );
  return rows.map(({ node }) => node);
}

/** The load is well under way. */
async function orders(more: number): Promise<void> {
  const before = await countOrders();
  await until(`${more} more orders`, async () => (await countOrders()) >= before + more);
}

function textOf(field: unknown): string {
  return typeof field === 'string' ? field : '';
}

describe('SIGTERM', () => {
  /** Well above the time of a stop, well below the grace after which a stop is given up. */
  const STOP_MS_MAX = 4000;

  it('answers every request under way, also those that wait for a commit, then exits 0 although the connections are kept (I8)', async () => {
    const [id = ''] = ids;
    const server = await start({ SHARDS: '1', BATCH_MAX_ORDERS: '4' });
    const client = new KeepAliveClient(server.url);
    // Commits stand still for as long as the test holds this lock.
    const blocker = await database.pool.connect();
    await blocker.query('BEGIN; LOCK TABLE orders IN SHARE MODE');
    const sent = await Promise.all(Array.from({ length: CUSTOMERS }, () => client.send([[id, 1]])));
    await untilRead(server.url, CUSTOMERS);
    server.signal('SIGTERM');
    await until('it is stopping', () => server.log.includes('"msg":"stopping"'));
    await blocker.query('COMMIT');
    blocker.release();
    const answers = await Promise.all(sent.map(({ answer }) => answer));
    const answeredAt = performance.now();
    expect(answers.map(({ status }) => status)).toEqual(sent.map(() => 201));
    expect(await countOrders()).toBe(CUSTOMERS);
    expect(await server.exited).toEqual([0, null]);
    expect(performance.now() - answeredAt).toBeLessThan(STOP_MS_MAX);
    // It gave the partitions back: nobody has to be fenced, and nobody waits.
    expect(await unfencedNodes()).toEqual([]);
    client.close();
  });

  it.each([
    ['has connected and says nothing', ''],
    ['has sent half a request', 'POST /orders HTTP/1.1\r\nHost: shop\r\nContent-'],
  ])('exits 0 although somebody %s (I9)', async (_, text) => {
    const server = await start({ SHARDS: '1', REQUEST_TIMEOUT_MS: '1000' });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    if (text !== '') await new Promise((resolve) => void socket.write(text, resolve));
    await untilRead(server.url, 1);
    const askedAt = performance.now();
    server.signal('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
    expect(performance.now() - askedAt).toBeLessThan(STOP_MS_MAX);
    socket.destroy();
  });

  it('under load answers 201, 409 or 503 shutting-down, loses no 201, and exits 0 (I2, I8)', async () => {
    const [paused = '', ...onSale] = ids;
    await database.query(`UPDATE products SET status = 'paused' WHERE id = $1`, [paused]);
    const server = await start();
    const seen = new Map<string, number>();
    const accepted: string[] = [];
    const load = Array.from({ length: CUSTOMERS }, async (_, n) => {
      const customer = new Customer();
      const id = (n === 0 ? paused : onSale[n % onSale.length]) ?? '';
      // Until the customer finds the server stopping or its port closed.
      for (let stopping = false; !stopping;) {
        const answer = await customer.order(server.url, { items: [[id, 1]] }).catch((error) => {
          if (!(error instanceof TypeError)) throw error;
          return null;
        });
        if (answer?.status === 201) accepted.push(textOf(answer.body['id']));
        const kind = `${answer?.status ?? 'none'} ${textOf(answer?.body['code'])}`.trim();
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
        stopping = answer === null || answer.status === 503;
      }
    });
    await orders(200);
    server.signal('SIGTERM');
    const askedAt = performance.now();
    expect(await server.exited).toEqual([0, null]);
    expect(performance.now() - askedAt).toBeLessThan(STOP_MS_MAX);
    await Promise.all(load);
    const final = ['201', '409 product-not-for-sale', '503 shutting-down', 'none'];
    expect([...seen.keys()].filter((kind) => !final.includes(kind))).toEqual([]);
    expect(seen.get('409 product-not-for-sale')).toBeGreaterThan(0);
    // Whatever is in the books was answered, and whatever was answered is in the books.
    const stored = await database.query<{ id: string }>('SELECT id FROM orders');
    expect(accepted.toSorted()).toEqual(stored.map(({ id }) => id).toSorted());
  });
});

describe('a start that cannot succeed', () => {
  it('exits 1 with a reason when PostgreSQL is not there', async () => {
    const nowhere = ServerProcess.start({
      databaseUrl: 'postgresql://nobody@127.0.0.1:1/nothing',
    });
    await expect(nowhere).rejects.toThrow(/ended with 1:[^]*ECONNREFUSED/);
  });
});
