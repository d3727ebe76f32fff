import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  count,
  Customer,
  expectCleanAudit,
  makeProducts,
  productIds,
  restock,
} from '../support/shop.ts';

let database: TestDatabase;
let server: ServerProcess;

async function ownersOfOrders(): Promise<number> {
  const rows = await database.query<{ owners: number }>(
    'SELECT count(DISTINCT owner_id)::integer AS owners FROM orders',
  );
  return rows[0]?.owners ?? 0;
}

beforeAll(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  expect(await server.stop()).toBe(0);
  await expectCleanAudit(database);
});

afterAll(async () => {
  await database.close();
});

describe('a race for the last units', () => {
  it('sells 50 units to 200 customers exactly once each, on each of four owners (I1)', async () => {
    const ids = productIds(4);
    await makeProducts(database, { ids, stock: 50 });
    server = await ServerProcess.start({ databaseUrl: database.url });
    const customers = Array.from({ length: 200 }, () => new Customer());
    for (const id of ids) {
      const answers = await Promise.all(
        customers.map((customer) =>
          customer.order(server.url, { key: randomUUID(), items: [[id, 1]] }),
        ),
      );
      expect(count(answers)).toEqual({ '201': 50, '409 out-of-stock': 150 });
      const sequences = answers.flatMap(({ status, body }) =>
        status === 201
          ? (body['items'] as { sequence: number }[]).map((item) => item.sequence)
          : [],
      );
      expect(sequences.toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 1),
      );
    }
    const left = await database.query('SELECT stock::integer FROM products');
    expect(left).toEqual(ids.map(() => ({ stock: 0 })));
    expect(await ownersOfOrders()).toBe(4);
  });
});

describe('one key', () => {
  it('makes one order when it is sent 100 times at once, and 100 equal answers (I3)', async () => {
    const [id = ''] = productIds(6).slice(4);
    await makeProducts(database, { ids: [id], stock: 1000 });
    server = await ServerProcess.start({ databaseUrl: database.url });
    const customer = new Customer();
    const order = { key: 'only-once', items: [[id, 3]] } as const;
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => customer.order(server.url, order)),
    );
    expect(count(answers)).toEqual({ '201': 100 });
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    const replayed = answers.filter(
      ({ headers }) => headers.get('idempotency-replayed') === 'true',
    );
    expect(replayed).toHaveLength(99);
    const stock = await database.query('SELECT stock::integer FROM products WHERE id = $1', [id]);
    expect(stock).toEqual([{ stock: 997 }]);

    const misuse = await customer.order(server.url, { key: 'only-once', items: [[id, 4]] });
    expect(misuse).toMatchObject({ status: 422, body: { code: 'idempotency-key-reused' } });
    const other = await new Customer().order(server.url, order);
    expect(other.status).toBe(201);
    expect(other.body['id']).not.toBe(answers[0]?.body['id']);
  });

  it('is 422 for another product of another owner, also at the same moment (I3)', async () => {
    const ids = productIds(10).slice(6);
    await makeProducts(database, { ids, stock: 1000 });
    server = await ServerProcess.start({ databaseUrl: database.url });
    for (let round = 0; round < 20; round += 1) {
      const customer = new Customer();
      const answers = await Promise.all(
        ids.map((id) => customer.order(server.url, { key: 'crossed', items: [[id, 1]] })),
      );
      expect(count(answers)).toEqual({ '201': 1, '422 idempotency-key-reused': 3 });
    }
    const units = await database.query(
      'SELECT sum(1000 - stock)::integer AS sold FROM products WHERE id = ANY ($1::uuid[])',
      [ids],
    );
    expect(units).toEqual([{ sold: 20 }]);
  });

  it('answers the first effect after sell-out and restart, also beyond a window of 100', async () => {
    const [id = ''] = productIds(11).slice(10);
    await makeProducts(database, { ids: [id], stock: 1000 });
    const env = { IDEMPOTENCY_WINDOW_MAX: '100' };
    server = await ServerProcess.start({ databaseUrl: database.url, env });
    const customer = new Customer();
    const keys = Array.from({ length: 1100 }, (_, n) => `drop-${n}`);
    const send = (key: string) => customer.order(server.url, { key, items: [[id, 1]] });
    const first = await Promise.all(keys.map(send));
    expect(count(first)).toEqual({ '201': 1000, '409 out-of-stock': 100 });
    const byKey = new Map(keys.map((key, i) => [key, first[i]]));
    const sold = keys.filter((key) => byKey.get(key)?.status === 201);

    const expectReplays = async () => {
      const again = await Promise.all(sold.map(send));
      expect(again.map(({ body }) => body)).toEqual(sold.map((key) => byKey.get(key)?.body));
      expect(again.every(({ headers }) => headers.has('idempotency-replayed'))).toBe(true);
    };
    await expectReplays();
    expect(await server.stop()).toBe(0);
    server = await ServerProcess.start({ databaseUrl: database.url, env });
    await expectReplays();
    const misuse = await customer.order(server.url, { key: sold[0] ?? '', items: [[id, 2]] });
    expect([409, 422]).toContain(misuse.status);
    await restock(server.url, { productId: id, delta: 10 });
    const bound = await customer.order(server.url, { key: sold[0] ?? '', items: [[id, 2]] });
    expect(bound).toMatchObject({ status: 422 });
  });

  it('belongs to a stock change or to an order, never to both', async () => {
    const [id = ''] = productIds(12).slice(11);
    await makeProducts(database, { ids: [id], stock: 10 });
    server = await ServerProcess.start({ databaseUrl: database.url });
    const change = { productId: id, delta: 5, key: 'delivery-1' };
    const statuses = await Promise.all(
      Array.from({ length: 10 }, () => restock(server.url, change)),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await restock(server.url, { ...change, delta: 6 })).toBe(422);
    const stock = await database.query('SELECT stock::integer FROM products WHERE id = $1', [id]);
    expect(stock).toEqual([{ stock: 15 }]);
  });
});

describe('an order of several products', () => {
  it('takes all lines or none, whether one, two or four shards own them (I4)', async () => {
    server = await ServerProcess.start({ databaseUrl: database.url });
    for (const numbers of [
      [16, 20],
      [12, 13],
      [24, 25, 26, 27],
    ]) {
      const ids = productIds(28).filter((_, n) => numbers.includes(n));
      await makeProducts(database, { ids, stock: 5 });
      const items = ids.map((id) => [id, 1] as const);
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => new Customer().order(server.url, { items })),
      );
      expect(count(answers)).toEqual({ '201': 5, '409 out-of-stock': 15 });
    }
  });
});
