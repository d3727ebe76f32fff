import { describe, expect, test } from 'vitest';

import { REFUSAL_CODES } from '../../src/domain/outcome.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  MERCHANT,
  NOW,
  orderId,
  productId,
  TestApp,
} from './fake-ports.ts';
import { CALLER_TRACE, REQUEST_TRACE, fakeTracing } from './fake-tracing.ts';

const P1 = productId(1);
const P2 = productId(2);
const line = { product_id: P1, quantity: 1 };
const ORDER = { items: [line] };
/** As pino numbers it. */
const DEBUG = 20;

describe('an accepted order', () => {
  test('is answered with 201, its address and exactly the JSON of the contract', async () => {
    const app = new TestApp();
    const order = makeOrder(1, { reference: 'cart 7 "é"', metadata: { a: 'b' } });
    app.gateway.placeOutcome = { type: 'accepted', replayed: false, order };
    const response = await app.post('/orders', ORDER, app.customer);
    expect(response.statusCode).toBe(201);
    expect(response.headers.location).toBe(`/orders/${order.id}`);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    expect(response.headers['x-content-type-options']).toBe('nosniff');
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
    expect(response.json()).toStrictEqual({
      id: order.id,
      status: 'WAITING_PAYMENT',
      items: [
        {
          product_id: P1,
          name: 'Product 1',
          quantity: 2,
          unit_price: { amount: 1999, currency: 'USD' },
          sequence: 7,
          shipped_at: null,
        },
      ],
      total: { amount: 3998, currency: 'USD' },
      reference: 'cart 7 "é"',
      metadata: { a: 'b' },
      payments: [],
      created_at: '2030-01-02T03:04:05.679Z',
      expires_at: '2030-01-02T03:19:05.679Z',
    });
  });

  test('writes no log line above debug', async () => {
    const app = new TestApp();
    await app.post('/orders', ORDER, app.customer);
    expect(app.log.filter(({ level }) => level !== DEBUG)).toEqual([]);
  });

  test('keeps the largest total exact', async () => {
    const app = new TestApp();
    const order = makeOrder(1, { total: 5_000_000_000_000_000 });
    app.gateway.placeOutcome = { type: 'accepted', replayed: false, order };
    const response = await app.post('/orders', ORDER, app.customer);
    expect(response.body).toContain('"amount":5000000000000000,');
  });

  test('that was made by an earlier request says so, with 201 like the first (I3)', async () => {
    const app = new TestApp();
    app.gateway.placeOutcome = { type: 'accepted', replayed: true, order: makeOrder(1) };
    const response = await app.post('/orders', ORDER, app.customer);
    expect(response.statusCode).toBe(201);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect(response.headers.location).toBe(`/orders/${orderId(1)}`);
  });
});

describe('the gateway', () => {
  test('gets the request as it was sent: customer, key, lines not summed, trace', async () => {
    const app = new TestApp({ tracing: fakeTracing });
    const body = {
      items: [line, { product_id: P2.toUpperCase(), quantity: 3 }, line],
      reference: 'r',
      metadata: { k: 'v' },
    };
    const headers = { ...app.customer, 'idempotency-key': 'k-1', traceparent: CALLER_TRACE };
    expect((await app.post('/orders', body, headers)).statusCode).toBe(201);
    expect(app.gateway.placed).toEqual([
      {
        userId: CUSTOMER,
        idempotencyKey: 'k-1',
        lines: [
          { productId: P1, quantity: 1 },
          { productId: P2, quantity: 3 },
          { productId: P1, quantity: 1 },
        ],
        reference: 'r',
        metadata: { k: 'v' },
        cart: null,
        traceparent: REQUEST_TRACE,
      },
    ]);
  });

  test.each([
    ['absent', {}],
    ['malformed', { traceparent: '00-xyz-1-01' }],
    ['of zeros', { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` }],
  ])('gets nulls for what is not there; a trace that is %s', async (_name, headers) => {
    const app = new TestApp({ tracing: fakeTracing });
    const body = { ...ORDER, reference: null, metadata: null };
    await app.post('/orders', body, { ...app.customer, ...headers });
    expect(app.gateway.placed).toMatchObject([
      { idempotencyKey: null, reference: null, metadata: null, traceparent: null },
    ]);
  });

  test('is not asked on behalf of a merchant or an admin', async () => {
    const app = new TestApp();
    for (const token of [app.bearer(MERCHANT, 'merchant'), app.bearer(ADMIN, 'admin')]) {
      expectProblem(await app.post('/orders', ORDER, token), 'forbidden');
    }
    expect(app.gateway.placed).toEqual([]);
  });

  test('that throws is an internal error: logged with the error, nothing of it answered', async () => {
    const app = new TestApp();
    app.gateway.gate = async () => {
      throw new Error('SELECT secret FROM orders');
    };
    const response = await app.post('/orders', ORDER, app.customer);
    expectProblem(response, 'internal');
    expect(response.body).not.toContain('secret');
    expect(app.log).toContainEqual(
      expect.objectContaining({
        level: 50,
        request_id: response.headers['x-request-id'],
        err: expect.objectContaining({ message: 'SELECT secret FROM orders' }),
      }),
    );
  });
});

describe('every other outcome has its answer (I8)', () => {
  async function answerTo(outcome: PlaceOrderOutcome) {
    const app = new TestApp();
    app.gateway.placeOutcome = outcome;
    return app.post('/orders', ORDER, app.customer);
  }

  test.each(REFUSAL_CODES)('refused: %s names its lines', async (code) => {
    const items = [
      { productId: P1, requested: 3, available: 2 },
      { productId: P2, requested: 1 },
    ];
    const response = await answerTo({ type: 'refused', code, items });
    expect(expectProblem(response, code).items).toEqual([
      { product_id: P1, requested: 3, available: 2 },
      { product_id: P2, requested: 1 },
    ]);
  });

  test.each([
    [NOW + 90_001, '91'],
    [NOW - 5_000, '1'],
  ])('sale-not-started says when, and when to come back', async (startsAt, seconds) => {
    const items = [{ productId: P1, requested: 1 }];
    const response = await answerTo({ type: 'refused', code: 'sale-not-started', items, startsAt });
    const body = expectProblem(response, 'sale-not-started');
    expect(body.starts_at).toBe(new Date(startsAt).toISOString());
    expect(response.headers['retry-after']).toBe(seconds);
  });

  test.each(['overloaded', 'database-unavailable', 'shutting-down'] as const)(
    'shed: %s',
    async (code) => {
      expectProblem(await answerTo({ type: 'shed', code }), code);
    },
  );

  test('unknown carries the id that settles it', async () => {
    const response = await answerTo({ type: 'unknown', orderId: orderId(9) });
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(9));
  });

  test('a key of another request', async () => {
    expectProblem(await answerTo({ type: 'key-reused' }), 'idempotency-key-reused');
  });
});
