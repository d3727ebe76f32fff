/** PostgreSQL that is there and does not answer: a connection cut in silence, a read held up. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { Customer, expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** A statement may take 0.9 of it, and silence lasts four statements. */
const REQUEST_TIMEOUT_MS = 800;
const ENV = { SHARDS: '1', REQUEST_TIMEOUT_MS: `${REQUEST_TIMEOUT_MS}` };

const [warm = '', hot = '', cold = ''] = productIds(3);
let database: TestDatabase;
let server: ServerProcess | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [warm, hot, cold], stock: 100 });
});

afterEach(async () => {
  await server?.kill();
  await expectCleanAudit(database);
});

afterAll(async () => {
  await database.close();
});

async function waitingForLocks(): Promise<number> {
  const [row] = await database.query<{ n: number }>(/* sql */ `
    SELECT count(*)::integer AS n FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`);
  return row?.n ?? 0;
}

it('goes on selling beside a commit that hangs, then ends and settles it by a restart (I3, I8)', async () => {
  const proxy = await TcpProxy.start(database.url);
  server = await ServerProcess.start({ databaseUrl: proxy.databaseUrl, env: ENV });
  const { url } = server;
  const first = { customer: new Customer(), order: { key: 'cut', items: [[hot, 1]] } } as const;
  await new Customer().order(url, { items: [[hot, 1]] });
  proxy.silenceNextCommit();
  const unknown = first.customer.order(url, first.order);
  await until('the batch was lost', () => proxy.silenced === 1);
  const beside = await new Customer().order(url, { items: [[hot, 1]] });
  expect(beside.status).toBe(201);
  const { status, body } = await unknown;
  expect({ status, code: body['code'] }).toEqual({ status: 503, code: 'outcome-unknown' });
  const read = await first.customer.read(url, String(body['order_id']));
  expect(read).toMatchObject({ status: 503, body: { code: 'outcome-unknown' } });

  expect(await server.exited).toEqual([1, null]);
  expect(server.log).toContain('PostgreSQL has not answered for');
  await proxy.close();
  server = await ServerProcess.start({ databaseUrl: database.url, env: ENV });
  const settled = await first.customer.order(server.url, first.order);
  expect(settled.status).toBe(201);
  expect(settled.body['id']).toBe(body['order_id']);
  const there = await first.customer.read(server.url, String(body['order_id']));
  expect(there).toMatchObject({ status: 200, body: settled.body });
  expect(await server.stop()).toBe(0);
});

it('sheds what a slow read holds up, and lives (I8, I9)', async () => {
  server = await ServerProcess.start({ databaseUrl: database.url, env: ENV });
  const { url } = server;
  expect((await new Customer().order(url, { items: [[warm, 1]] })).status).toBe(201);
  const blocker = await database.pool.connect();
  try {
    await blocker.query('BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE');
    const held = await new Customer().order(url, { items: [[cold, 1]] });
    // Its time to be decided is over before PostgreSQL cancels the read.
    expect(held).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    await until('the read was cancelled', async () => (await waitingForLocks()) === 0);
  } finally {
    await blocker.query('COMMIT');
    blocker.release();
  }
  const again = await new Customer().order(url, { items: [[cold, 1]] });
  expect(again.status).toBe(201);
  expect(await server.stop()).toBe(0);
});
