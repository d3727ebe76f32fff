import { describe, expect, test } from 'vitest';

import type { Cart } from '../../src/domain/cart.ts';
import { REFUSAL_CODES } from '../../src/domain/outcome.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { cartId } from './fake-carts.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  MERCHANT,
  NOW,
  orderId,
  productId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';
import { CALLER_TRACE, REQUEST_TRACE, fakeTracing } from './fake-tracing.ts';
import { widestJson } from './widest-json.ts';

const P1 = productId(1);
const P2 = productId(2);
const URL = `/carts/${cartId(1)}/checkout`;
const addedPrice = { amount: 1, currency: 'USD' };

function makeCart(n: number, changes: Partial<Cart> = {}): Cart {
  return {
    id: cartId(n),
    userId: CUSTOMER,
    version: 5,
    orderId: null,
    lines: [
      { productId: P1, quantity: 2, addedPrice },
      { productId: P2, quantity: 1, addedPrice },
    ],
    expiresAt: NOW + 1,
    ...changes,
  };
}

function setUp(changes: Partial<Cart> = {}) {
  const app = new TestApp({ tracing: fakeTracing });
  app.carts.rows.push(makeCart(1, changes), makeCart(2, { userId: STRANGER }));
  return app;
}

/** What another request did before the gateway answered. */
function meanwhile(app: TestApp, changes: Partial<Cart>): void {
  app.gateway.gate = async () => {
    app.carts.rows[0] = makeCart(1, changes);
  };
}

describe('the gateway', () => {
  test('gets the lines as committed, the version read and nothing of the price', async () => {
    const app = setUp();
    // A cache that is behind must not be what is ordered.
    app.carts.copies.push(makeCart(1, { version: 4, lines: [] }));
    const headers = { ...app.customer, 'idempotency-key': 'k-1', traceparent: CALLER_TRACE };
    const body = { reference: 'r', metadata: { k: 'v' } };
    expect((await app.post(URL, body, headers)).statusCode).toBe(201);
    expect(app.gateway.placed).toEqual([
      {
        userId: CUSTOMER,
        idempotencyKey: 'k-1',
        lines: [
          { productId: P1, quantity: 2 },
          { productId: P2, quantity: 1 },
        ],
        reference: 'r',
        metadata: { k: 'v' },
        cart: { id: cartId(1), version: 5 },
        traceparent: REQUEST_TRACE,
      },
    ]);
  });

  test.each([
    ['no body', undefined],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['nulls', '{"reference":null,"metadata":null}'],
  ])('gets no notes from %s', async (_name, payload) => {
    const app = setUp();
    const type = payload === undefined ? {} : { 'content-type': 'application/json' };
    const headers = { ...app.customer, ...type };
    const body = payload === undefined ? {} : { payload };
    const response = await app.send({ method: 'POST', url: URL, headers, ...body });
    expect(response.statusCode).toBe(201);
    expect(app.gateway.placed).toMatchObject([
      { idempotencyKey: null, reference: null, metadata: null, traceparent: null },
    ]);
  });

  test('is not asked for what cannot be an order of who asks', async () => {
    const app = setUp();
    for (const token of [app.bearer(MERCHANT, 'merchant'), app.bearer(ADMIN, 'admin')]) {
      expectProblem(await app.post(URL, {}, token), 'forbidden');
    }
    expectProblem(await app.post(URL, {}), 'unauthenticated');
    for (const n of [2, 99]) {
      const response = await app.post(`/carts/${cartId(n)}/checkout`, {}, app.customer);
      expectProblem(response, 'cart-not-found');
    }
    app.now = NOW + 1;
    expectProblem(await app.post(URL, {}, app.customer), 'cart-not-found');
    app.now = NOW;
    app.carts.rows[0] = makeCart(1, { lines: [] });
    expectProblem(await app.post(URL, {}, app.customer), 'cart-empty');
    expect(app.gateway.placed).toEqual([]);
  });
});

describe('an accepted checkout', () => {
  test('is answered as POST /orders is, and closes the copies of the cart', async () => {
    const app = setUp();
    const response = await app.post(URL, {}, app.customer);
    expect(response.statusCode).toBe(201);
    expect(response.headers.location).toBe(`/orders/${orderId(1)}`);
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
    const item = { product_id: P1, quantity: 1 };
    const ordered = await app.post('/orders', { items: [item] }, app.customer);
    expect(response.json()).toEqual(ordered.json());
    expect(app.carts.ordered).toEqual([{ cart: makeCart(1), orderId: orderId(1) }]);
  });

  test('that an earlier request made says so (I3)', async () => {
    const app = setUp();
    app.gateway.placeOutcome = { type: 'accepted', replayed: true, order: makeOrder(1) };
    const response = await app.post(URL, {}, app.customer);
    expect(response.statusCode).toBe(201);
    expect(response.headers['idempotency-replayed']).toBe('true');
  });
});

describe('a cart makes one order ever (I3)', () => {
  /** However the second request comes to know of the order. */
  async function expectReplay(app: TestApp, body: object = {}): Promise<void> {
    app.orders.rows.push(makeOrder(7, { status: 'PAID', reference: 'the first' }));
    const response = await app.post(URL, body, app.customer);
    expect(response.statusCode).toBe(201);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect(response.headers.location).toBe(`/orders/${orderId(7)}`);
    expect(response.json()).toMatchObject({
      id: orderId(7),
      status: 'WAITING_PAYMENT',
      reference: 'the first',
      payments: [],
    });
  }

  test('a repeat is answered with it as first answered, and nobody is asked', async () => {
    // Long after, too: an ordered cart does not expire.
    const app = setUp({ orderId: orderId(7), expiresAt: 0 });
    await expectReplay(app);
    expect(app.gateway.placed).toEqual([]);
  });

  test('so is another request for it, whatever its reference or key', async () => {
    const app = setUp({ orderId: orderId(7) });
    await expectReplay(app, { reference: 'the second' });
  });

  test.each(['cart-changed', 'key-reused'] as const)(
    'so is the tab that came second: %s',
    async (type) => {
      const app = setUp();
      app.gateway.placeOutcome = { type };
      meanwhile(app, { orderId: orderId(7) });
      await expectReplay(app);
    },
  );

  test('a key of something else is refused while the cart is open, which stays as it is', async () => {
    const app = setUp();
    app.gateway.placeOutcome = { type: 'key-reused' };
    expectProblem(await app.post(URL, {}, app.customer), 'idempotency-key-reused');
    expect(app.carts.changes).toEqual([]);
    expect(app.carts.ordered).toEqual([]);
  });
});

describe('a cart that was changed meanwhile', () => {
  test('is not ordered: the answer has the version that it has now', async () => {
    const app = setUp();
    app.gateway.placeOutcome = { type: 'cart-changed' };
    meanwhile(app, { version: 6 });
    expect(expectProblem(await app.post(URL, {}, app.customer), 'cart-changed').version).toBe(6);
    expect(app.carts.ordered).toEqual([]);
  });

  test('by being deleted is none', async () => {
    const app = setUp();
    app.gateway.placeOutcome = { type: 'cart-changed' };
    app.gateway.gate = async () => void app.carts.rows.shift();
    expectProblem(await app.post(URL, {}, app.customer), 'cart-not-found');
  });
});

describe('every other outcome has the answer of POST /orders, and leaves the cart as it was', () => {
  async function answerTo(outcome: PlaceOrderOutcome) {
    const app = setUp();
    app.gateway.placeOutcome = outcome;
    const response = await app.post(URL, {}, app.customer);
    expect(app.carts.ordered).toEqual([]);
    expect(app.carts.changes).toEqual([]);
    return response;
  }

  test.each(REFUSAL_CODES)('refused: %s names the lines that fail (I4)', async (code) => {
    const items = [{ productId: P2, requested: 1, available: 0 }];
    const response = await answerTo({ type: 'refused', code, items });
    expect(expectProblem(response, code).items).toEqual([
      { product_id: P2, requested: 1, available: 0 },
    ]);
  });

  test.each(['overloaded', 'database-unavailable', 'shutting-down'] as const)(
    'shed: %s',
    async (code) => {
      expectProblem(await answerTo({ type: 'shed', code }), code);
    },
  );

  test('unknown carries the id that settles it (I8)', async () => {
    const response = await answerTo({ type: 'unknown', orderId: orderId(9) });
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(9));
  });
});

const untouched = setUp();

test.each([
  ['no object', [], ['body']],
  ['lines', { items: [{ product_id: P1, quantity: 1 }] }, ['items']],
  ['a price', { total: 1 }, ['total']],
  ['a user id', { user_id: STRANGER }, ['user_id']],
  ['a long reference', { reference: 'x'.repeat(101) }, ['reference']],
  ['metadata as a list', { metadata: [] }, ['metadata']],
  ['over 2 KB of metadata', { metadata: { a: 'é'.repeat(1030) } }, ['metadata']],
])('a body with %s is refused', async (_name, body, paths) => {
  expect(expectInvalid(await untouched.post(URL, body, untouched.customer))).toEqual(paths);
  expect(untouched.gateway.placed).toEqual([]);
});

test('the widest spelling of reference and metadata is read', async () => {
  const app = setUp();
  const headers = { ...app.customer, 'content-type': 'application/json' };
  const notes = { reference: '\u{1f600}'.repeat(100), metadata: { a: 'x'.repeat(2_040) } };
  const payload = widestJson(notes);
  const response = await app.send({ method: 'POST', url: URL, payload, headers });
  expect(response.statusCode).toBe(201);
});
