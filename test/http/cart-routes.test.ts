import { describe, expect, test } from 'vitest';

import type { Cart, CartLine } from '../../src/domain/cart.ts';
import { AppError } from '../../src/domain/errors.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { cartId } from './fake-carts.ts';
import {
  ADMIN,
  CUSTOMER,
  makeProduct,
  MERCHANT,
  NOW,
  orderId,
  productId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const P1 = productId(1);
const P2 = productId(2);
const HOUR_MS = 3_600_000;
const URL = `/carts/${cartId(1)}`;

function line(n: number, quantity: number, amount = 1999): CartLine {
  return { productId: productId(n), quantity, addedPrice: { amount, currency: 'USD' } };
}

function makeCart(n: number, changes: Partial<Cart> = {}): Cart {
  return {
    id: cartId(n),
    userId: CUSTOMER,
    version: 3,
    orderId: null,
    lines: [line(1, 2), line(2, 1)],
    expiresAt: NOW + HOUR_MS,
    ...changes,
  };
}

function setUp() {
  const app = new TestApp();
  app.catalogue.rows.push(makeProduct(1), makeProduct(2));
  app.carts.rows.push(makeCart(1), makeCart(2, { userId: STRANGER }));
  app.carts.outcome = { type: 'changed', cart: makeCart(1), replayed: false };
  return app;
}

type Change = [method: 'POST' | 'PATCH' | 'DELETE', url: string, body: object | undefined];

const CHANGES: readonly [Change, Change, Change, Change] = [
  ['POST', '/carts', { items: [] }],
  ['POST', `${URL}/items`, { product_id: P1, quantity: 1 }],
  ['PATCH', `${URL}/items/${P1}`, { quantity: 1 }],
  ['DELETE', `${URL}/items/${P1}`, undefined],
];

async function change(app: TestApp, [method, url, payload]: Change) {
  const headers = app.customer;
  return app.send({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
}

describe('a cart as it is shown', () => {
  test('has exactly the JSON of the contract, at the prices and stock of now', async () => {
    const app = setUp();
    const response = await app.get(URL, app.customer);
    expect(response.statusCode).toBe(200);
    const price = { amount: 1999, currency: 'USD' };
    const item = { unit_price: price, added_price: price, price_changed: false, available: 10 };
    expect(response.json()).toStrictEqual({
      id: cartId(1),
      status: 'open',
      order_id: null,
      items: [
        { product_id: P1, name: 'Product 1', quantity: 2, ...item, problem: null },
        { product_id: P2, name: 'Product 2', quantity: 1, ...item, problem: null },
      ],
      total: { amount: 5997, currency: 'USD' },
      version: 3,
      expires_at: '2030-01-02T04:04:05.678Z',
    });
  });

  test('flags a price that changed, and adds up what the products cost now', async () => {
    const app = setUp();
    app.catalogue.rows[0] = makeProduct(1, { price: { amount: 2500, currency: 'USD' } });
    const cart = (await app.get(URL, app.customer)).json();
    expect(cart.items[0]).toMatchObject({
      unit_price: { amount: 2500, currency: 'USD' },
      added_price: { amount: 1999, currency: 'USD' },
      price_changed: true,
      problem: null,
    });
    expect(cart.items[1]).toMatchObject({ price_changed: false });
    expect(cart.total).toEqual({ amount: 6999, currency: 'USD' });
  });

  test.each([
    ['out-of-stock', { available: 1 }],
    ['product-not-for-sale', { status: 'paused' }],
    ['product-not-for-sale', { status: 'archived', available: 0 }],
    ['sale-not-started', { saleStartsAt: NOW + 1 }],
    ['sale-ended', { saleEndsAt: NOW }],
    ['limit-exceeded', { perCustomerLimit: 1 }],
    [null, { available: 2, saleStartsAt: NOW, saleEndsAt: NOW + 1, perCustomerLimit: 2 }],
  ] as const)('flags a line that could not be ordered now: %s', async (problem, changes) => {
    const app = setUp();
    app.catalogue.rows[0] = makeProduct(1, changes);
    const cart = (await app.get(URL, app.customer)).json();
    expect(cart.items[0].problem).toBe(problem);
    expect(cart.items[1].problem).toBeNull();
  });

  test('shows a line whose product is not there any more', async () => {
    const app = setUp();
    app.catalogue.rows.shift();
    const cart = (await app.get(URL, app.customer)).json();
    const price = { amount: 1999, currency: 'USD' };
    const flags = { available: 0, problem: 'product-not-found' };
    expect(cart.items[0]).toMatchObject({ product_id: P1, unit_price: price, ...flags });
  });

  test('has no total while its products are priced in different currencies, nor when empty', async () => {
    const app = setUp();
    app.catalogue.rows[0] = makeProduct(1, { price: { amount: 1999, currency: 'EUR' } });
    const mixed = (await app.get(URL, app.customer)).json();
    expect(mixed).toMatchObject({ total: null, items: [{ price_changed: true }, {}] });
    app.carts.rows[0] = makeCart(1, { lines: [] });
    const empty = (await app.get(URL, app.customer)).json();
    expect(empty).toMatchObject({ items: [], total: null });
  });

  test('keeps the largest total exact', async () => {
    const app = setUp();
    const price = { amount: 100_000_000, currency: 'USD' };
    const lines = Array.from({ length: 50 }, (_, n) => line(n + 1, 1_000_000, price.amount));
    app.catalogue.rows.splice(0);
    app.catalogue.rows.push(...lines.map((_, n) => makeProduct(n + 1, { price })));
    app.carts.rows[0] = makeCart(1, { lines });
    const response = await app.get(URL, app.customer);
    expect(response.body).toContain('"amount":5000000000000000,');
  });

  test('names its order once it is ordered, and does not expire', async () => {
    const app = setUp();
    app.carts.rows[0] = makeCart(1, { orderId: orderId(7), expiresAt: NOW - HOUR_MS });
    const cart = (await app.get(URL, app.customer)).json();
    expect(cart).toMatchObject({ status: 'ordered', order_id: orderId(7) });
  });
});

describe('a cart that is not there for who asks is none at all', () => {
  test("somebody else's, whoever asks, also as a copy in the cache", async () => {
    const app = setUp();
    app.carts.copies.push(makeCart(3, { userId: STRANGER }));
    for (const token of [app.customer, app.bearer(ADMIN, 'admin')]) {
      for (const n of [2, 3, 99]) {
        expectProblem(await app.get(`/carts/${cartId(n)}`, token), 'cart-not-found');
      }
    }
  });

  test('one that expired, also as a copy in the cache', async () => {
    const app = setUp();
    app.carts.copies.push(makeCart(3));
    app.now = NOW + HOUR_MS - 1;
    expect((await app.get(URL, app.customer)).statusCode).toBe(200);
    expect((await app.get(`/carts/${cartId(3)}`, app.customer)).statusCode).toBe(200);
    app.now = NOW + HOUR_MS;
    expectProblem(await app.get(URL, app.customer), 'cart-not-found');
    expectProblem(await app.get(`/carts/${cartId(3)}`, app.customer), 'cart-not-found');
  });

  test('anybody without a token', async () => {
    const app = setUp();
    expectProblem(await app.get(URL), 'unauthenticated');
    expectProblem(await app.get('/carts'), 'unauthenticated');
    for (const [method, url] of CHANGES) {
      expectProblem(await app.send({ method, url }), 'unauthenticated');
    }
    expect(app.carts.changes).toEqual([]);
  });
});

describe('changes', () => {
  test('are asked for on behalf of who asks, whatever the body says', async () => {
    const app = setUp();
    const headers = { ...app.customer, 'idempotency-key': 'k-1' };
    const items = [{ product_id: P2.toUpperCase(), quantity: 3 }];
    await app.post('/carts', { items }, headers);
    await app.post('/carts', {}, app.customer);
    await app.post(`${URL}/items`, { product_id: P1, quantity: 2 }, headers);
    await change(app, CHANGES[2]);
    await change(app, CHANGES[3]);
    await app.send({ method: 'DELETE', url: URL, headers: app.customer });
    const own = { userId: CUSTOMER, cartId: cartId(1) };
    expect(app.carts.changes).toEqual([
      { userId: CUSTOMER, idempotencyKey: 'k-1', lines: [{ productId: P2, quantity: 3 }] },
      { userId: CUSTOMER, idempotencyKey: null, lines: [] },
      { ...own, idempotencyKey: 'k-1', line: { productId: P1, quantity: 2 } },
      { ...own, line: { productId: P1, quantity: 1 } },
      { ...own, productId: P1 },
      own,
    ]);
  });

  test.each(CHANGES)('%s %s answers the cart as it then is', async (...it) => {
    const app = setUp();
    const response = await change(app, it);
    expect(response.statusCode).toBe(it[1] === '/carts' ? 201 : 200);
    expect(response.json()).toEqual((await app.get(URL, app.customer)).json());
    expect(response.headers.location).toBe(it[1] === '/carts' ? URL : undefined);
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
  });

  test('that an earlier request made say so (I3)', async () => {
    const app = setUp();
    app.carts.outcome = { type: 'changed', cart: makeCart(1), replayed: true };
    for (const it of [CHANGES[0], CHANGES[1]]) {
      const response = await change(app, it);
      expect(response.headers['idempotency-replayed']).toBe('true');
    }
  });

  test('that are committed never sound as if they were not, whatever fails after them (I8)', async () => {
    const app = setUp();
    app.carts.gate = async () => {
      throw new AppError('database-unavailable');
    };
    for (const it of CHANGES) {
      const response = await change(app, it);
      expectProblem(response, 'outcome-unknown');
      expect(response.headers).not.toHaveProperty('location');
    }
  });

  test.each(['cart-not-found', 'cart-closed'] as const)('are refused: %s', async (code) => {
    const app = setUp();
    app.carts.outcome = { type: 'refused', refusal: { code } };
    app.carts.deleteRefusal = { code };
    for (const it of CHANGES.slice(1)) expectProblem(await change(app, it), code);
    const deleted = await app.send({ method: 'DELETE', url: URL, headers: app.customer });
    expectProblem(deleted, code);
  });

  test('name the products that there are not', async () => {
    const app = setUp();
    const items = [{ productId: P2, requested: 3 }];
    app.carts.outcome = { type: 'refused', refusal: { code: 'product-not-found', items } };
    for (const it of CHANGES) {
      const body = expectProblem(await change(app, it), 'product-not-found');
      expect(body.items).toEqual([{ product_id: P2, requested: 3 }]);
    }
  });

  test.each([
    ['too-many-lines', 'product_id'],
    ['too-many-units', 'quantity'],
  ] as const)('past a bound of a cart are not valid: %s', async (code, path) => {
    const app = setUp();
    app.carts.outcome = { type: 'refused', refusal: { code } };
    expect(expectInvalid(await change(app, CHANGES[1]))).toEqual([path]);
  });

  test('under a key of another request are refused (I3)', async () => {
    const app = setUp();
    app.carts.outcome = { type: 'key-reused' };
    for (const it of [CHANGES[0], CHANGES[1]]) {
      expectProblem(await change(app, it), 'idempotency-key-reused');
    }
  });

  test('delete a cart without an answer to read', async () => {
    const app = setUp();
    const response = await app.send({ method: 'DELETE', url: URL, headers: app.customer });
    expect(response.statusCode).toBe(204);
    expect(response.body).toBe('');
  });

  test('begin no cart for who could not order it', async () => {
    const app = setUp();
    for (const token of [app.bearer(MERCHANT, 'merchant'), app.bearer(ADMIN, 'admin')]) {
      expectProblem(await app.post('/carts', {}, token), 'forbidden');
    }
    expect(app.carts.changes).toEqual([]);
  });
});

describe('GET /carts', () => {
  test('pages through the own carts with one read of all their products', async () => {
    const app = setUp();
    const next = { createdAtUs: `${NOW}000`, id: cartId(1) };
    app.carts.page = { items: [makeCart(4), makeCart(1, { lines: [] })], next };
    let reads = 0;
    app.carts.gate = async () => void (reads += 1);
    const first = await app.get('/carts?limit=2', app.customer);
    const body = first.json();
    expect(body.items).toMatchObject([{ id: cartId(4), items: [{}, {}] }, { id: cartId(1) }]);
    expect(reads).toBe(1);
    await app.get(`/carts?cursor=${body.next_cursor}`, app.customer);
    expect(app.carts.pages).toEqual([
      { userId: CUSTOMER, page: { limit: 2, after: null } },
      { userId: CUSTOMER, page: { limit: 20, after: next } },
    ]);
  });

  test('refuses a cursor that it did not make', async () => {
    const app = setUp();
    expect(expectInvalid(await app.get('/carts?cursor=x', app.customer))).toEqual(['query.cursor']);
  });
});

describe('what is not valid is refused before anybody is asked', () => {
  const app = setUp();
  const item = { product_id: P1, quantity: 1 };

  test.each([
    ['no object', [], ['body']],
    ['items not a list', { items: {} }, ['items']],
    ['51 lines', { items: Array.from({ length: 51 }, () => item) }, ['items']],
    ['quantity 0', { items: [{ ...item, quantity: 0 }] }, ['items[0].quantity']],
    ['quantity below 0', { items: [{ ...item, quantity: -1 }] }, ['items[0].quantity']],
    ['a price', { items: [{ ...item, unit_price: 1 }] }, ['items[0].unit_price']],
    ['a user id', { items: [item], user_id: STRANGER }, ['user_id']],
    [
      'a sum past the bound',
      { items: [item, { ...item, quantity: 1_000_000 }] },
      ['items[1].quantity'],
    ],
  ])('POST /carts with %s', async (_name, body, paths) => {
    expect(expectInvalid(await app.post('/carts', body, app.customer))).toEqual(paths);
    expect(app.carts.changes).toEqual([]);
  });

  test.each([
    ['nothing', {}, ['product_id']],
    ['no quantity', { product_id: P1 }, ['quantity']],
    ['quantity 0', { ...item, quantity: 0 }, ['quantity']],
    ['quantity below 0', { ...item, quantity: -1 }, ['quantity']],
    ['too many units', { ...item, quantity: 1_000_001 }, ['quantity']],
    ['a price', { ...item, price: 1 }, ['price']],
  ])('POST /carts/{id}/items with %s', async (_name, body, paths) => {
    expect(expectInvalid(await app.post(`${URL}/items`, body, app.customer))).toEqual(paths);
    expect(app.carts.changes).toEqual([]);
  });

  test.each([[{}], [{ quantity: 0 }], [{ quantity: '1' }], [{ quantity: 1, product_id: P1 }]])(
    'PATCH with %j',
    async (payload) => {
      const it = { method: 'PATCH', url: `${URL}/items/${P1}`, payload } as const;
      expectInvalid(await app.send({ ...it, headers: app.customer }));
      expect(app.carts.changes).toEqual([]);
    },
  );

  test.each([
    ['GET', '/carts/x', 'params.id'],
    ['DELETE', '/carts/x', 'params.id'],
    ['DELETE', `${URL}/items/x`, 'params.product_id'],
    ['DELETE', `/carts/x/items/${P1}`, 'params.id'],
  ] as const)('%s %s', async (method, url, path) => {
    expect(expectInvalid(await app.send({ method, url, headers: app.customer }))).toEqual([path]);
    expect(app.carts.changes).toEqual([]);
  });

  test('a malformed key', async () => {
    const headers = { ...app.customer, 'idempotency-key': 'a b' };
    expect(expectInvalid(await app.post('/carts', {}, headers))).toEqual([
      'headers.idempotency-key',
    ]);
  });
});

test('the widest spelling of 50 lines is read, and so is no body at all', async () => {
  const app = setUp();
  const headers = { ...app.customer, 'content-type': 'application/json' };
  const items = Array.from({ length: 50 }, (_, n) => ({
    product_id: productId(n),
    quantity: 1_000_000,
  }));
  const wide = { method: 'POST', url: '/carts', headers, payload: widestJson({ items }) } as const;
  expect((await app.send(wide)).statusCode).toBe(201);
  const bare = { method: 'POST', url: '/carts', headers: app.customer } as const;
  expect((await app.send(bare)).statusCode).toBe(201);
  expect(app.carts.changes).toMatchObject([{ lines: { length: 50 } }, { lines: [] }]);
});
