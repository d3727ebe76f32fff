/**
 * PostgreSQL refuses batches of a serving process, or their end is lost on the way: it heals in place,
 * and every answer is final.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  expectSellsOut,
  makeProducts,
  productIds,
  stocksOf,
} from '../support/shop.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { BatchTrap } from './batch-trap.ts';
import { Journal } from './journal.ts';
import type { Items } from './journal.ts';
import { KeepAliveClient, untilRead } from './keep-alive-client.ts';
import type { KeptAnswer } from './keep-alive-client.ts';

const SHARDS = 4;
const LOAD = { customers: 24, cancels: true };
const TERMINATIONS = 8;

/** Of shard 0 all but `abroad`, which it asks another shard for; `missing` is not there. */
const [missing = '', , , , neighbour = '', abroad = '', , , scarce = ''] = productIds(9);
const ids = productIds(9).filter((id) => id !== missing);

let database: TestDatabase;
let trap: BatchTrap;
let proxy: TcpProxy;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: 10_000 });
  trap = await BatchTrap.build(database);
  // One batch in flight: whatever is ordered meanwhile shares the next one.
  const env = { SHARDS: `${SHARDS}`, COMMITS_IN_FLIGHT_MAX: '1' };
  proxy = await TcpProxy.start(database.url);
  server = await ServerProcess.start({ databaseUrl: proxy.databaseUrl, env });
});

afterEach(async () => {
  await trap.disarm();
  const owners = await database.query('SELECT FROM owners');
  expect(owners).toHaveLength(SHARDS);
  await expectCleanAudit(database);
});

afterAll(async () => {
  try {
    await expectSellsOut(server.url, { database, ids });
    expect(await server.stop()).toBe(0);
    await expectCleanAudit(database);
  } finally {
    await server.kill();
    await proxy.close();
    await database.close();
  }
});

/**
 * The answers to orders of shard 0 that are decided while a batch is held up, and so commit in one
 * batch. `last`: the product that waits longest for its decision.
 */
async function inOneBatch(orders: readonly Items[], last: string): Promise<KeptAnswer[]> {
  const client = new KeepAliveClient(server.url);
  const blocker = await database.pool.connect();
  try {
    await blocker.query('BEGIN; LOCK TABLE orders IN SHARE MODE');
    const ahead = await client.send([[neighbour, 1]]);
    await until('a batch is held up', async () => {
      const waiting = await database.query(/* sql */ `
        SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'hedonify-shard-%'
           AND wait_event_type = 'Lock'`);
      return waiting.length === 1;
    });
    const sent = await Promise.all(orders.map((items) => client.send(items)));
    await untilRead(server.url, orders.length + 1);
    // Mailboxes are in order: with this refusal the others are decided.
    const canary = await new Customer().order(server.url, { items: [[missing, 1], [last, 1]] }); // prettier-ignore
    expect(canary.status).toBe(404);
    await blocker.query('COMMIT');
    expect((await ahead.answer).status).toBe(201);
    return await Promise.all(sent.map(({ answer }) => answer));
  } finally {
    await blocker.query('ROLLBACK');
    blocker.release();
    client.close();
  }
}

function codes(answers: readonly KeptAnswer[]): unknown[] {
  return answers.map(({ status, body }) => body['code'] ?? status);
}

async function batchesOf(answers: readonly KeptAnswer[]): Promise<number> {
  const rows = await database.query(
    'SELECT DISTINCT owner_id, batch_no FROM orders WHERE id = ANY ($1::uuid[])',
    [answers.flatMap(({ status, body }) => (status === 201 ? [body['id']] : []))],
  );
  return rows.length;
}

it('a deadlock aborts a batch: it is sent again, and no customer notices (I8)', async () => {
  await trap.arm('orders', `RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';`);
  const answers = await inOneBatch(ids.map(() => [[scarce, 1], [neighbour, 1]]), neighbour); // prettier-ignore
  expect(codes(answers)).toEqual(ids.map(() => 201));
  expect(await batchesOf(answers)).toBe(1);
  // The one that deadlocked, the one ahead of the others, and theirs.
  expect(await trap.hits()).toBe(1 + 1 + ids.length);
});

/** A second writer, whom I6 forbids; its books are in order. */
async function changeStockBehind(id: string, stock: number): Promise<void> {
  await database.query(
    /* sql */ `
    WITH former AS (
      SELECT stock FROM products WHERE id = $1
    ), changed AS (
      UPDATE products
         SET stock = $2, supplied = supplied + $2 - stock, stock_version = stock_version + 1
       WHERE id = $1 RETURNING stock_version
    )
    INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, owner_id,
                              batch_no, reason, created_at)
    SELECT $1, stock_version, $2 - former.stock, $2, 'change', b.owner_id, b.no, 'behind', now()
      FROM former, changed, (SELECT * FROM commit_batches LIMIT 1) AS b`,
    [id, stock],
  );
}

it.each([
  ['of its own', scarce],
  ['of another shard', abroad],
])(
  'PostgreSQL denies stock that a shard believes in, of a product %s: the neighbours in the batch sell, and the product is loaded again (I1, I4, I8)',
  async (_, denied) => {
    const left = 3;
    const buy = (quantity: number) =>
      new Customer().order(server.url, { items: [[neighbour, 1], [denied, quantity]] }); // prettier-ignore
    expect((await buy(1)).status).toBe(201);
    await changeStockBehind(denied, left);
    const answers = await inOneBatch(
      [
        [[neighbour, 1]],
        [[neighbour, 1], [denied, left + 1]], // prettier-ignore
        [[neighbour, 2]],
        [[neighbour, 3]],
      ],
      denied,
    );
    expect(codes(answers)).toEqual([201, 'database-unavailable', 201, 201]);
    expect(await batchesOf(answers)).toBe(1);

    const refused = await buy(left + 1);
    expect(refused).toMatchObject({ status: 409, body: { code: 'out-of-stock' } });
    expect(refused.body['items']).toEqual([
      { product_id: denied, requested: left + 1, available: left },
    ]);
    expect((await buy(left)).status).toBe(201);
    expect(await stocksOf(database, [denied])).toEqual([0]);
  },
);

it('sessions that are terminated at work are opened again: no order is lost, none sold twice (I2, I3, I8)', async () => {
  const before = await database.query<{ id: string }>('SELECT id FROM orders');
  const onSale = ids.filter((id) => id !== scarce && id !== abroad);
  const journal = new Journal({
    productIds: onSale,
    itemsOf: (n) => [0, 3].slice(n % 2).map((at) => [onSale[(n + at) % onSale.length] ?? '', 1]),
  });
  await journal.underLoad(server.url, LOAD, async () => {
    for (let n = 0; n < TERMINATIONS; n += 1) {
      await journal.acceptedMore(40);
      // One that is at work: its batch may or may not have committed.
      await until('a transaction was under way and was terminated', async () => {
        const rows = await database.query(/* sql */ `
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'hedonify-shard-%'
             AND query LIKE 'BEGIN%COPY%' AND state = 'active' LIMIT 1`);
        return rows.length > 0;
      });
    }
    await journal.acceptedMore(40);
  });
  process.stdout.write(`${TERMINATIONS} sessions killed: ${JSON.stringify(journal.answers)}\n`);
  await journal.settle(server.url);
  expect(Object.keys(journal.answers)).not.toContain('409 out-of-stock');
  await journal.expectTrue(database, { before: before.map(({ id }) => id) });
});

it.each(['sent', 'answered'] as const)(
  'a batch whose connection is lost when it was %s is found in PostgreSQL: its customer gets 201, once (I2, I3, I8)',
  async (cut) => {
    const customer = new Customer();
    const order = { key: 'once', items: [[neighbour, 1]] } as const;
    const [before = 0] = await stocksOf(database, [neighbour]);
    await trap.arm('orders', 'NULL;');
    proxy.cutNextCommit(cut);
    const cuts = proxy.cuts;
    const answer = await customer.order(server.url, order);
    expect(answer.status).toBe(201);
    expect(proxy.cuts).toBe(cuts + 1);
    expect(await trap.hits()).toBe(1);
    const repeat = await customer.order(server.url, order);
    expect(repeat).toMatchObject({ status: 201, body: answer.body });
    expect(repeat.headers.has('idempotency-replayed')).toBe(true);
    expect(await stocksOf(database, [neighbour])).toEqual([before - 1]);
  },
);
