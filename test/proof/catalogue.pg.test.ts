/** The life of a product in the whole server: made, edited while it sells, restocked, archived. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import { Customer, expectCleanAudit, MERCHANT_ID, restock } from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';
import { until } from '../support/until.ts';

const CUSTOMERS = 20;
const EDITORS = 10;

let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(
    /* sql */ `
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'merchant', 'merchant@test', '', 'merchant', now())`,
    [MERCHANT_ID],
  );
  server = await ServerProcess.start({ databaseUrl: database.url });
});

afterAll(async () => {
  await expectCleanAudit(database);
  expect(await server.stop()).toBe(0);
  await database.close();
});

interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

async function asMerchant({ method, path, body, headers = {} }: Call): Promise<Answered> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${tokenOf(MERCHANT_ID, 'merchant')}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed: unknown = text === '' ? {} : JSON.parse(text);
  if (typeof parsed !== 'object') throw new Error('the answer is no object');
  return { status: response.status, headers: response.headers, body: { ...parsed } };
}

async function create(changes: object = {}): Promise<string> {
  const price = { amount: 100, currency: 'USD' };
  const body = { name: `Product ${randomUUID()}`, price, stock: 1000, ...changes };
  const { status, body: product } = await asMerchant({ method: 'POST', path: '/products', body });
  expect(status).toBe(201);
  return String(product['id']);
}

/** Customers order one unit each, again and again, until the work is done; all that was answered. */
async function whileSelling(productId: string, work: () => Promise<void>): Promise<Answered[]> {
  let done = false;
  const customers = Array.from({ length: CUSTOMERS }, async () => {
    const customer = new Customer();
    const own: Answered[] = [];
    while (!done) own.push(await customer.order(server.url, { items: [[productId, 1]] }));
    return own;
  });
  await until('the first is sold', async () => (await sold(productId)) > 0);
  await work();
  const before = await sold(productId);
  const isOver = async () =>
    (await sold(productId)) > before || (await statusOf(productId)) !== 'active';
  await until('it sells on, or not any more', isOver);
  done = true;
  return (await Promise.all(customers)).flat();
}

async function sold(productId: string): Promise<number> {
  const rows = await database.query<{ sold: number }>(
    'SELECT sequence::integer AS sold FROM products WHERE id = $1',
    [productId],
  );
  return rows[0]?.sold ?? 0;
}

async function statusOf(productId: string): Promise<string | undefined> {
  const rows = await database.query<{ status: string }>(
    'SELECT status FROM products WHERE id = $1',
    [productId],
  );
  return rows[0]?.status;
}

/** Prices of what was sold, in the order in which it was decided (I7). */
async function pricesOf(productId: string): Promise<number[]> {
  const rows = await database.query<{ price: number }>(
    `SELECT unit_price::integer AS price FROM order_items WHERE product_id = $1 ORDER BY sequence`,
    [productId],
  );
  return rows.map(({ price }) => price);
}

describe('a product', () => {
  it('is made once per key, and can be bought at once', async () => {
    const body = { name: 'Once', price: { amount: 5, currency: 'EUR' }, stock: 2 };
    const call: Call = {
      method: 'POST',
      path: '/products',
      body,
      headers: { 'idempotency-key': randomUUID() },
    };
    const first = await asMerchant(call);
    const id = String(first.body['id']);
    const order = await new Customer().order(server.url, { items: [[id, 1]] });
    expect(order.status).toBe(201);
    const again = await asMerchant(call);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    const other = await asMerchant({ ...call, body: { ...body, stock: 3 } });
    expect(other.body['code']).toBe('idempotency-key-reused');
    const read = await asMerchant({ method: 'GET', path: `/products/${id}` });
    expect(read.headers.get('etag')).toBe('W/"1-1"');
  });

  it('changes its price between two orders and never within one (I6, I7)', async () => {
    const id = await create();
    const body = { price: { amount: 250, currency: 'USD' }, reason: 'demand' };
    const answers = await whileSelling(id, async () => {
      const edited = await asMerchant({ method: 'PATCH', path: `/products/${id}`, body });
      expect(edited.status).toBe(200);
      expect(edited.body).toMatchObject({ version: 2, price: body.price });
      const next = await new Customer().order(server.url, { items: [[id, 1]] });
      expect(next.body['total']).toEqual(body.price);
    });
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    const prices = await pricesOf(id);
    expect(new Set(prices)).toEqual(new Set([100, 250]));
    expect(prices).toEqual(prices.toSorted((a, b) => a - b));
    const edits = await database.query(
      `SELECT version::integer, changes, reason, author FROM product_edits WHERE product_id = $1`,
      [id],
    );
    expect(edits).toEqual([
      { version: 2, changes: { price: body.price }, reason: 'demand', author: MERCHANT_ID },
    ]);
  });

  it('is not sold any more once it is archived, nor shown', async () => {
    const id = await create();
    const answers = await whileSelling(id, async () => {
      const archived = await asMerchant({ method: 'DELETE', path: `/products/${id}` });
      expect(archived.status).toBe(204);
      const late = await new Customer().order(server.url, { items: [[id, 1]] });
      expect(late.body['code']).toBe('product-not-for-sale');
    });
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
    expect((await fetch(`${server.url}/products/${id}`)).status).toBe(404);
    const again = await asMerchant({ method: 'DELETE', path: `/products/${id}` });
    expect(again.status).toBe(204);
    const restored = { status: 'active' };
    await asMerchant({ method: 'PATCH', path: `/products/${id}`, body: restored });
    expect((await new Customer().order(server.url, { items: [[id, 1]] })).status).toBe(201);
  });

  it('that is sold out sells on after a restock', async () => {
    const id = await create({ stock: 1 });
    const buy = () => new Customer().order(server.url, { items: [[id, 1]] });
    expect([(await buy()).status, (await buy()).status]).toEqual([201, 409]);
    expect(await restock(server.url, { productId: id, delta: 2, key: randomUUID() })).toBe(200);
    expect([(await buy()).status, (await buy()).status]).toEqual([201, 201]);
  });

  it('is edited by one of those who read the same version; the others are told (If-Match)', async () => {
    const id = await create();
    const tag = (await asMerchant({ method: 'GET', path: `/products/${id}` })).headers.get('etag');
    // What is sold meanwhile does not stand in the way of an edit.
    await new Customer().order(server.url, { items: [[id, 1]] });
    const answers = await Promise.all(
      Array.from({ length: EDITORS }, (_, n) =>
        asMerchant({
          method: 'PATCH',
          path: `/products/${id}`,
          body: { name: `Edited by ${n}` },
          headers: { 'if-match': tag ?? '' },
        }),
      ),
    );
    const won = answers.filter(({ status }) => status === 200);
    const lost = answers.filter(({ status }) => status === 412);
    expect([won.length, lost.length]).toEqual([1, EDITORS - 1]);
    expect(lost.map(({ body }) => body['version'])).toEqual(lost.map(() => 2));
    const { body } = await asMerchant({ method: 'GET', path: `/products/${id}` });
    expect(body).toMatchObject({ name: won[0]?.body['name'], version: 2 });
  });
});

describe('the list', () => {
  it('follows what is sold and what is archived', async () => {
    const name = `Listed ${randomUUID()}`;
    const id = await create({ name });
    const path = `/products?q=${encodeURIComponent(name.slice(5, 40))}`;
    const listed = async () => {
      const { items } = (await asMerchant({ method: 'GET', path })).body;
      return (items as { available: number }[]).map(({ available }) => available);
    };
    expect(await listed()).toEqual([1000]);
    await new Customer().order(server.url, { items: [[id, 400]] });
    await until('the list shows it', async () => (await listed())[0] === 600);
    await asMerchant({ method: 'DELETE', path: `/products/${id}` });
    await until('the list hides it', async () => (await listed()).length === 0);
  });
});
