/** Units per customer over all live orders: decided with the stock, whatever happens around it. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  count,
  Customer,
  edit,
  expectCleanAudit,
  makeProducts,
  productIds,
} from '../support/shop.ts';

const LIMIT = 2;
const CUSTOMERS = 60;
const ORDERS_EACH = 6;

const ids = productIds(4);
const [first = '', second = '', third = ''] = ids;
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: 10_000 });
  server = await ServerProcess.start({ databaseUrl: database.url });
});

afterEach(async () => {
  await expectCleanAudit(database);
});

afterAll(async () => {
  await server.stop();
  await database.close();
});

const customers = Array.from({ length: CUSTOMERS }, () => new Customer());

/** Units in live orders by customer, of those who have any. */
async function unitsOf(productId: string): Promise<readonly number[]> {
  const rows = await database.query<{ units: number }>(
    /* sql */ `
    SELECT sum(i.quantity)::integer AS units
      FROM order_items i JOIN orders o ON o.id = i.order_id
     WHERE i.product_id = $1 AND o.status NOT IN ('EXPIRED', 'CANCELLED')
     GROUP BY o.user_id ORDER BY o.user_id`,
    [productId],
  );
  return rows.map(({ units }) => units);
}

it('nobody gets more than the limit, alone or in carts across shards', async () => {
  const changes = { per_customer_limit: LIMIT };
  expect(await edit(server.url, { productId: first, changes })).toBe(200);
  expect(await edit(server.url, { productId: second, changes })).toBe(200);
  const answers = await Promise.all(
    customers.flatMap((customer) =>
      Array.from({ length: ORDERS_EACH }, (_, n) =>
        customer.order(server.url, {
          items: n % 2 === 0 ? [[first, 1]] : [[first, 1], [second, 1], [third, 1]], // prettier-ignore
        }),
      ),
    ),
  );
  const counts = count(answers);
  expect(counts['409 limit-exceeded']).toBeGreaterThan(0);
  expect(Object.keys(counts).toSorted()).toEqual(['201', '409 limit-exceeded']);
  expect(await unitsOf(first)).toEqual(customers.map(() => LIMIT));
  for (const units of await unitsOf(second)) expect(units).toBeLessThanOrEqual(LIMIT);
});

it('holds right after kill -9, and a cancelled order gives back what it took', async () => {
  await server.kill();
  server = await ServerProcess.start({ databaseUrl: database.url });
  const again = await Promise.all(
    customers.map((customer) => customer.order(server.url, { items: [[first, 1]] })),
  );
  expect(count(again)).toEqual({ '409 limit-exceeded': CUSTOMERS });
  const [customer = new Customer()] = customers;
  const [order] = await database.query<{ id: string }>(
    `SELECT o.id FROM orders o JOIN order_items i ON i.order_id = o.id
      WHERE o.user_id = $1 AND i.product_id = $2 LIMIT 1`,
    [customer.id, first],
  );
  expect((await customer.cancel(server.url, order?.id ?? '')).status).toBe(200);
  const answers = await Promise.all(
    Array.from({ length: 3 }, () => customer.order(server.url, { items: [[first, 1]] })),
  );
  expect(count(answers)).toEqual({ '201': 1, '409 limit-exceeded': 2 });
});

it('a first limit counts what was sold before it, while selling goes on', async () => {
  const buyers = Array.from({ length: CUSTOMERS }, () => new Customer());
  let editing = true;
  const selling = buyers.map(async (customer, n) => {
    const own = [];
    for (let i = 0; i < 30 && (editing || i < 4); i += 1) {
      // Every other one in an order whose home is another shard.
      const items =
        n % 2 === 0 ? [[third, 1] as const] : [[first, 1] as const, [third, 1] as const];
      own.push(await customer.order(server.url, { items }));
    }
    return own;
  });
  await Promise.race(selling);
  const limited = await edit(server.url, {
    productId: third,
    changes: { per_customer_limit: LIMIT },
  });
  editing = false;
  expect(limited).toBe(200);
  await Promise.all(selling);
  const late = new Customer();
  const answers = [];
  for (let i = 0; i < 3; i += 1)
    answers.push(await late.order(server.url, { items: [[third, 1]] }));
  expect(count(answers)).toEqual({ '201': 2, '409 limit-exceeded': 1 });
  const before = await unitsOf(third);
  const more = await Promise.all(
    buyers.map((customer) => customer.order(server.url, { items: [[third, LIMIT]] })),
  );
  expect(Object.keys(count(more))).toEqual(['409 limit-exceeded']);
  expect(await unitsOf(third)).toEqual(before);
});
