/** A paid order on its way: merchants ship their own lines, and see nothing else of it. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { send } from '../support/send.ts';
import type { Sender } from '../support/send.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  makeProducts,
  MERCHANT_ID,
  productIds,
} from '../support/shop.ts';
import { until } from '../support/until.ts';

const STOCK = 1000;
/** Orders that both merchants ship at the same time. */
const TOGETHER = 40;
const ADMIN = { id: randomUUID(), role: 'admin' } as const;
const FIRST = { id: MERCHANT_ID, role: 'merchant' } as const;
const SECOND = { id: randomUUID(), role: 'merchant' } as const;

const ids = productIds(4);
/** Of different shards; the last two are the second merchant's. */
const [A = '', B = '', C = ''] = ids;
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: STOCK });
  await database.query(
    /* sql */ `
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'second', 'second@test', '', 'merchant', now())`,
    [SECOND.id],
  );
  await database.query('UPDATE products SET merchant_id = $1 WHERE id = ANY ($2::uuid[])', [
    SECOND.id,
    ids.slice(2),
  ]);
  server = await ServerProcess.start({ databaseUrl: database.url, env: { SHARDS: '4' } });
});
afterEach(async () => {
  await expectCleanAudit(database);
});
afterAll(async () => {
  await server.kill();
  await database.close();
});

interface Placed {
  readonly customer: Customer;
  readonly id: string;
}

async function place(products: readonly string[]): Promise<Placed> {
  const customer = new Customer();
  const items = products.map((id) => [id, 2] as const);
  const { status, body } = await customer.order(server.url, { items });
  expect(status).toBe(201);
  return { customer, id: String(body['id']) };
}

/** A POST when there is a body. */
const ask = (who: Sender, path: string, body?: object) =>
  send(`${server.url}${path}`, who, body === undefined ? {} : { body });

const ship = (order: Placed, tracking: string) =>
  send(`${server.url}/orders/${order.id}/ship`, FIRST, { body: { tracking }, key: 'ship-once' });

async function paid(products: readonly string[]): Promise<Placed> {
  const order = await place(products);
  expect((await ask(order.customer, `/orders/${order.id}/payment`, {})).status).toBe(202);
  await until('it is paid', async () => {
    const { body } = await order.customer.read(server.url, order.id);
    return body['status'] === 'PAID';
  });
  return order;
}

it('goes from paid to completed, line by line', async () => {
  const order = await paid([A, B, C]);
  const path = `/orders/${order.id}`;
  const shipped = await ship(order, 'T-1');
  expect(shipped).toMatchObject({
    status: 200,
    body: {
      status: 'PAID',
      items: [
        { product_id: A, tracking: 'T-1' },
        { product_id: B, tracking: 'T-1' },
      ],
      total: { amount: 4 * 1999 },
    },
  });
  const again = await ship(order, 'T-1');
  expect(again).toMatchObject({ status: 200, body: shipped.body });
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  const other = await ship(order, 'T-2');
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency-key-reused' } });
  const unkeyed = await ask(FIRST, `${path}/ship`, { tracking: 'T-3' });
  expect(unkeyed).toMatchObject({ status: 200, body: shipped.body });

  const early = await ask(ADMIN, `${path}/complete`, {});
  expect(early).toMatchObject({
    status: 409,
    body: { code: 'order-not-completable', order_status: 'PAID' },
  });
  expect(await ask(SECOND, `${path}/ship`, {})).toMatchObject({
    status: 200,
    body: { status: 'SHIPPING', items: [{ product_id: C }] },
  });
  const whole = await order.customer.read(server.url, order.id);
  expect(whole.body['items']).toMatchObject([
    { product_id: A, tracking: 'T-1' },
    { product_id: B, tracking: 'T-1' },
    { product_id: C, shipped_at: expect.stringMatching(/Z$/) },
  ]);
  expect(await ask(SECOND, `${path}/complete`, {})).toMatchObject({ status: 403 });
  for (const _ of [1, 2]) {
    const completed = await ask(ADMIN, `${path}/complete`, {});
    expect(completed).toMatchObject({ status: 200, body: { status: 'COMPLETED' } });
  }
  expect(await ask(FIRST, `${path}/ship`, {})).toMatchObject({ status: 200 });
  const events = await ask(order.customer, `${path}/events`);
  expect(events.body['items']).toMatchObject([
    { to: 'WAITING_PAYMENT', author: { role: 'customer', user_id: order.customer.id } },
    { from: 'WAITING_PAYMENT', to: 'PAID', author: { role: 'system' } },
    { from: 'PAID', to: 'SHIPPING', author: { role: 'merchant', user_id: SECOND.id } },
    { from: 'SHIPPING', to: 'COMPLETED', author: { role: 'admin', user_id: ADMIN.id } },
  ]);
});

it('is shipped once when both merchants and an admin ship at the same moment', async () => {
  const orders = await Promise.all(Array.from({ length: TOGETHER }, () => paid([B, C])));
  const answers = await Promise.all(
    orders.flatMap(({ id }) =>
      [FIRST, SECOND, ADMIN, FIRST].map((who, n) =>
        ask(who, `/orders/${id}/ship`, { tracking: `T-${n}` }),
      ),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  for (const { customer, id } of orders) {
    const { body } = await customer.read(server.url, id);
    expect(body['status']).toBe('SHIPPING');
    const events = await ask(customer, `/orders/${id}/events`);
    expect(events.body['items']).toHaveLength(3);
  }
});

it('is not shipped before it is paid, after it is over, or by who sold nothing of it', async () => {
  const order = await place([A, B]);
  const path = `/orders/${order.id}/ship`;
  const refused = { status: 409, body: { code: 'order-not-shippable' } };
  const none = { status: 404, body: { code: 'order-not-found' } };
  expect(await ask(FIRST, path, {})).toMatchObject(refused);
  expect(await ask(ADMIN, path, {})).toMatchObject(refused);
  expect(await ask(SECOND, path, {})).toMatchObject(none);
  await order.customer.cancel(server.url, order.id);
  expect(await ask(FIRST, path, {})).toMatchObject(refused);
});

it('an order that is shipped while it is cancelled is one of both, and its money where that says', async () => {
  const orders = await Promise.all(Array.from({ length: TOGETHER }, () => paid([A, B])));
  await Promise.all(
    orders.flatMap(({ id }, n) => {
      const commands = n % 2 === 0 ? ['ship', 'cancel'] : ['cancel', 'ship'];
      return commands.map((command) => ask(ADMIN, `/orders/${id}/${command}`, {}));
    }),
  );
  let shipped = 0;
  for (const { customer, id } of orders) {
    let state = '';
    await until('its money is where it belongs', async () => {
      const { body } = await customer.read(server.url, id);
      const [payment] = body['payments'] as readonly { status: string }[];
      state = `${String(body['status'])} ${payment?.status}`;
      return state !== 'CANCELLED SUCCEEDED';
    });
    expect(['SHIPPING SUCCEEDED', 'CANCELLED REFUNDED']).toContain(state);
    if (state.startsWith('SHIPPING')) shipped += 1;
  }
  process.stdout.write(`${TOGETHER} orders shipped and cancelled: ${shipped} were shipped\n`);
  expect(shipped).toBeGreaterThan(0);
  expect(shipped).toBeLessThan(TOGETHER);
});

it('merchants list the orders of their products, newest first, with their own lines', async () => {
  const mine = await place([C]);
  const both = await place([A, C]);
  const list = async (query: string) => {
    const { status, body } = await ask(SECOND, `/merchant/orders${query}`);
    expect(status).toBe(200);
    return body;
  };
  const page = await list('?status=WAITING_PAYMENT');
  expect(page).toMatchObject({
    items: [
      { id: both.id, items: [{ product_id: C }], total: { amount: 2 * 1999 } },
      { id: mine.id, items: [{ product_id: C }] },
    ],
    next_cursor: null,
  });
  const seen: string[] = [];
  let cursor: unknown = null;
  do {
    const after = typeof cursor === 'string' ? `&cursor=${cursor}` : '';
    const { items, next_cursor } = await list(`?limit=7${after}`);
    seen.push(...(items as { id: string }[]).map(({ id }) => id));
    cursor = next_cursor;
  } while (cursor !== null);
  const rows = await database.query<{ id: string }>(
    /* sql */ `
    SELECT id FROM orders o
     WHERE EXISTS (SELECT FROM order_items i WHERE i.order_id = o.id
                      AND i.product_id = ANY ($1::uuid[]))
     ORDER BY created_at DESC, id DESC`,
    [ids.slice(2)],
  );
  expect(seen).toEqual(rows.map(({ id }) => id));
  expect(await list(`?product_id=${A}`)).toEqual({ items: [], next_cursor: null });
});
