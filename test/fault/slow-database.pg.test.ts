/**
 * PostgreSQL that is there and does not answer: the process heals in place, and whatever its
 * customers could not be told is settled from PostgreSQL.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { BatchTrap } from './batch-trap.ts';

/** A statement may take 0.9 of it, and silence lasts four statements. */
const REQUEST_TIMEOUT_MS = 800;
const STOCK = 100;

const [hot = '', cold = ''] = productIds(2);
let database: TestDatabase;
let trap: BatchTrap;
let proxy: TcpProxy;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [hot, cold], stock: STOCK });
  trap = await BatchTrap.build(database);
  proxy = await TcpProxy.start(database.url);
  const env = { SHARDS: '1', REQUEST_TIMEOUT_MS: `${REQUEST_TIMEOUT_MS}` };
  server = await ServerProcess.start({ databaseUrl: proxy.databaseUrl, env });
});

afterEach(async () => {
  await trap.disarm();
  expect(await database.query('SELECT FROM owners')).toHaveLength(1);
  await expectCleanAudit(database);
});

afterAll(async () => {
  try {
    await expectSellsOut(server.url, { database, ids: [hot, cold] });
    expect(await server.stop()).toBe(0);
    await expectCleanAudit(database);
  } finally {
    await server.kill();
    await proxy.close();
    await database.close();
  }
});

/** An order under a key, which may be sent again. */
class KeyedOrder {
  readonly #customer = new Customer();
  readonly #order = { key: 'once', items: [[hot, 1]] } as const;

  send(): ReturnType<Customer['order']> {
    return this.#customer.order(server.url, this.#order);
  }

  read(id: unknown): ReturnType<Customer['read']> {
    return this.#customer.read(server.url, String(id));
  }

  /** Sent again it takes effect, under the id that was named when its outcome was unknown. */
  async expectAccepted(id: unknown): Promise<void> {
    const settled = await this.send();
    expect(settled).toMatchObject({ status: 201, body: { id } });
    expect(await this.read(id)).toMatchObject({ status: 200, body: settled.body });
  }
}

async function expectSale(): Promise<void> {
  const { status } = await new Customer().order(server.url, { items: [[hot, 1]] });
  expect(status).toBe(201);
}

async function waitingForLocks(): Promise<number> {
  const [row] = await database.query<{ n: number }>(/* sql */ `
    SELECT count(*)::integer AS n FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`);
  return row?.n ?? 0;
}

describe('a commit that hangs', () => {
  it('in silence: sales go on beside it, and it is settled as not committed (I3, I8)', async () => {
    await expectSale();
    const order = new KeyedOrder();
    const cuts = proxy.cuts;
    proxy.cutNextCommit('silent');
    const unknown = order.send();
    await until('the batch was lost', () => proxy.cuts > cuts);
    await expectSale();
    const { status, body } = await unknown;
    expect({ status, code: body['code'] }).toEqual({ status: 503, code: 'outcome-unknown' });
    const id = body['order_id'];
    expect(await order.read(id)).toMatchObject({ status: 503, body: { code: 'outcome-unknown' } });

    await until('it is settled', async () => (await order.read(id)).status === 404);
    await order.expectAccepted(id);
  });

  it('beyond the time of a statement is cancelled, and nothing of it is there (I8)', async () => {
    await trap.arm('orders', 'PERFORM pg_sleep(30);');
    const order = new KeyedOrder();
    const { status, body } = await order.send();
    // It depends on who is first: PostgreSQL, which cancels it, or its customer's deadline.
    expect(status).toBe(503);
    expect(['database-unavailable', 'outcome-unknown']).toContain(body['code']);
    expect(await trap.hits()).toBe(1);
    await expectSale();
    const settled = await order.send();
    expect(settled.status).toBe(201);
    expect(settled.headers.has('idempotency-replayed')).toBe(false);
  });

  it('because its backend stands still is given up, and fails when it wakes up (I3, I5)', async () => {
    await expectSale();
    const [session] = await database.query<{ pid: number }>(/* sql */ `
      SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'BEGIN%COPY%'
       ORDER BY state_change DESC LIMIT 1`);
    if (session === undefined) throw new Error('no session that committed');
    const order = new KeyedOrder();
    process.kill(session.pid, 'SIGSTOP');
    let id: unknown;
    try {
      const { body } = await order.send();
      expect(body['code']).toBe('outcome-unknown');
      id = body['order_id'];
      await until('the batch is given up', async () => (await order.read(id)).status === 404);
      await expectSale();
      await trap.arm('commit_batches', 'NULL;');
    } finally {
      process.kill(session.pid, 'SIGCONT');
    }
    // The merge begins with this row.
    await until('it has run', async () => (await trap.hits()) === 1);
    await until('it has ended', async () => {
      const rows = await database.query('SELECT FROM pg_stat_activity WHERE pid = $1', [
        session.pid,
      ]);
      return rows.length === 0;
    });
    expect(await database.query('SELECT FROM orders WHERE id = $1', [id])).toEqual([]);
    await order.expectAccepted(id);
  });
});

it('sheds what a slow read holds up, and lives (I8, I9)', async () => {
  await expectSale();
  const blocker = await database.pool.connect();
  try {
    await blocker.query('BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE');
    const held = await new Customer().order(server.url, { items: [[cold, 1]] });
    // PostgreSQL gives the read up before the time to decide the order is over, or right after.
    expect(held.status).toBe(503);
    expect(['database-unavailable', 'overloaded']).toContain(held.body['code']);
    await until('the read was given up', async () => (await waitingForLocks()) === 0);
  } finally {
    await blocker.query('COMMIT');
    blocker.release();
  }
  await until('it sells again', async () => {
    const { status } = await new Customer().order(server.url, { items: [[cold, 1]] });
    return status === 201;
  });
});
