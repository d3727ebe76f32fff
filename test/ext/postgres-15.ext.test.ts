import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from '../run-command.ts';
import { Journal } from '../fault/journal.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { Customer, expectCleanAudit, makeProducts, productIds, restock } from '../support/shop.ts';
import { DebianPostgres } from './debian-postgres.ts';

const CUSTOMERS = 150;
const STOCK = 40;
const KILLS = 5;
const [raced = '', replayed = '', ...loaded] = productIds(10);

let postgres: DebianPostgres;
let database: TestDatabase;

beforeAll(async () => {
  postgres = await DebianPostgres.start();
  database = await postgres.createDatabase('shop');
  await makeProducts(database, { ids: [raced, replayed], stock: STOCK });
});

afterAll(async () => {
  await postgres.stop();
});

function start({ url } = database): Promise<ServerProcess> {
  return ServerProcess.start({ databaseUrl: url, env: { SHARDS: '4' } });
}

function audit() {
  return runCommand('audit', { environment: { DATABASE_URL: database.url } });
}

it('is PostgreSQL 15, on a socket only', async () => {
  const rows = await database.query<{
    version: number;
    addresses: string;
  }>(/* sql */ `SELECT current_setting('server_version_num')::integer / 10000 AS version,
                      current_setting('listen_addresses') AS addresses`);
  expect(rows).toEqual([{ version: 15, addresses: '' }]);
});

it('sells the last units exactly once (I1)', async () => {
  const server = await start();
  const answers = await Promise.all(
    Array.from({ length: CUSTOMERS }, () =>
      new Customer().order(server.url, { key: randomUUID(), items: [[raced, 1]] }),
    ),
  );
  const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
  expect(statuses).toEqual([
    ...Array.from({ length: STOCK }, () => 201),
    ...Array.from({ length: CUSTOMERS - STOCK }, () => 409),
  ]);
  expect(await server.stop()).toBe(0);
  await expectCleanAudit(database);
});

it('answers a repeated key with the first effect, also after a restart and to orders and changes alike (I3)', async () => {
  const customer = new Customer();
  const order = { key: 'once', items: [[replayed, 2]] } as const;
  const change = { productId: replayed, delta: 5, key: 'delivery' };
  let server = await start();
  const first = await Promise.all(
    Array.from({ length: 20 }, () => customer.order(server.url, order)),
  );
  expect(new Set(first.map(({ status }) => status))).toEqual(new Set([201]));
  expect(await restock(server.url, change)).toBe(200);
  expect(await server.stop()).toBe(0);
  server = await start();
  const again = await customer.order(server.url, order);
  expect(again.body).toEqual(first[0]?.body);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(await restock(server.url, change)).toBe(200);
  expect(await restock(server.url, { ...change, delta: 6 })).toBe(422);
  expect(await customer.order(server.url, { ...order, items: [[replayed, 3]] })).toMatchObject({
    status: 422,
  });
  const stock = await database.query('SELECT stock::integer FROM products WHERE id = $1', [
    replayed,
  ]);
  expect(stock).toEqual([{ stock: STOCK - 2 + 5 }]);
  expect(await server.stop()).toBe(0);
});

it(
  `keeps every promise over ${KILLS} kills under load (I2, I3)`,
  { timeout: 120_000 },
  async () => {
    const books = await postgres.createDatabase('kills');
    await makeProducts(books, { ids: loaded, stock: 100_000 });
    const journal = new Journal({ productIds: loaded });
    for (let round = 0; round < KILLS; round += 1) {
      const server = await start(books);
      await journal.settle(server.url);
      const load = journal.load(server.url, { customers: 32 });
      await journal.acceptedMore(1 + 10 * round);
      await server.kill();
      await load;
    }
    const server = await start(books);
    await journal.settle(server.url);
    expect(await server.stop()).toBe(0);
    await journal.expectTrue(books);
    await expectCleanAudit(books);
  },
);

it('is audited by the command: 0 when every rule holds, 1 when one is broken, 2 when nothing is known', async () => {
  const clean = await audit();
  expect(clean.stdout).toMatch(/^audit passed: /);
  expect(clean.code).toBe(0);
  await database.query('UPDATE products SET stock = stock + 1 WHERE id = $1', [raced]);
  const broken = await audit();
  expect(broken.stdout).toContain(`violation conservation (I1, I10): product_id=${raced}`);
  expect(broken.code).toBe(1);
  await database.query('UPDATE products SET stock = stock - 1 WHERE id = $1', [raced]);
  expect((await audit()).code).toBe(0);
  const nowhere = await runCommand('audit', {
    environment: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing' },
  });
  expect(nowhere.code).toBe(2);
});
