import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { ORDER_STATUSES } from '../../src/domain/order.ts';
import type { ChangeStatusOutcome } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  MERCHANT,
  NOW,
  orderId,
  paymentId,
  productId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';
import { CALLER_TRACE, REQUEST_TRACE, fakeTracing } from './fake-tracing.ts';
import { widestJson } from './widest-json.ts';

const URL = `/orders/${orderId(1)}/cancel`;

function setUp() {
  const app = new TestApp({ tracing: fakeTracing });
  const items = [2, 1].map((n) => ({
    productId: productId(n),
    quantity: 2,
    name: `Product ${n}`,
    unitPrice: 1999,
    sequence: n,
    shippedAt: null,
    tracking: null,
  }));
  app.orders.rows.push(makeOrder(1, { items }), makeOrder(4, { userId: STRANGER }));
  return { app, admin: app.bearer(ADMIN, 'admin') };
}

describe('who may cancel', () => {
  test('its customer from WAITING_PAYMENT, an admin also what is paid', async () => {
    const { app, admin } = setUp();
    expect((await app.post(URL, {}, app.customer)).statusCode).toBe(200);
    expect((await app.post(URL, {}, admin)).statusCode).toBe(200);
    expect(app.gateway.statusChanges).toMatchObject([
      { author: CUSTOMER, from: ['WAITING_PAYMENT'], to: 'CANCELLED' },
      { author: ADMIN, from: ['WAITING_PAYMENT', 'PAID'], to: 'CANCELLED' },
    ]);
  });

  test('no merchant, not even of the products, and nobody without a token', async () => {
    const { app } = setUp();
    expectProblem(await app.post(URL, {}, app.bearer(MERCHANT, 'merchant')), 'forbidden');
    expectProblem(await app.post(URL, {}), 'unauthenticated');
    expect(app.gateway.statusChanges).toEqual([]);
  });

  test("nobody else's order, which is answered as none at all", async () => {
    const { app } = setUp();
    for (const n of [4, 99]) {
      const response = await app.post(`/orders/${orderId(n)}/cancel`, {}, app.customer);
      expectProblem(response, 'order-not-found');
    }
    expect(app.gateway.statusChanges).toEqual([]);
  });

  test('nobody whose order is not settled yet, or may still be committed (I8)', async () => {
    const { app } = setUp();
    app.gateway.unsettled.set(orderId(98), CUSTOMER);
    const unsettled = await app.post(`/orders/${orderId(98)}/cancel`, {}, app.customer);
    expect(expectProblem(unsettled, 'outcome-unknown').order_id).toBe(orderId(98));
    app.notReady = 'taking over';
    const unready = await app.post(`/orders/${orderId(99)}/cancel`, {}, app.customer);
    expect(expectProblem(unready, 'outcome-unknown').order_id).toBe(orderId(99));
    expect(app.gateway.statusChanges).toEqual([]);
  });
});

describe('a cancelled order', () => {
  test('is answered as it now is, with what its payments came to', async () => {
    const { app } = setUp();
    app.gateway.onStatusChange = () => {
      const payments = [
        { id: paymentId(1), status: 'SUCCEEDED' as const, attempt: 1, createdAt: NOW },
      ];
      app.orders.change(1, { status: 'CANCELLED', payments });
    };
    const before = await app.get(`/orders/${orderId(1)}`, app.customer);
    const response = await app.post(URL, {}, app.customer);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toStrictEqual({
      ...before.json<object>(),
      status: 'CANCELLED',
      payments: [
        {
          id: paymentId(1),
          status: 'SUCCEEDED',
          attempt: 1,
          created_at: '2030-01-02T03:04:05.678Z',
        },
      ],
    });
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
  });

  test('is never answered as if nothing had happened when it cannot be read (I8)', async () => {
    const { app } = setUp();
    app.gateway.onStatusChange = () => {
      app.orders.findOrder = async () => {
        throw new AppError('database-unavailable');
      };
    };
    const response = await app.post(URL, {}, app.customer);
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(1));
  });

  test('by an earlier request with this key says so (I3)', async () => {
    const { app } = setUp();
    app.gateway.statusOutcome = { type: 'changed', replayed: true };
    const response = await app.post(URL, {}, app.customer);
    expect(response.statusCode).toBe(200);
    expect(response.headers['idempotency-replayed']).toBe('true');
  });

  test('that was one before is a success too', async () => {
    const { app } = setUp();
    app.gateway.statusOutcome = { type: 'not-changeable', status: 'CANCELLED' };
    app.gateway.onStatusChange = () => app.orders.change(1, { status: 'CANCELLED' });
    const response = await app.post(URL, {}, app.customer);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ id: orderId(1), status: 'CANCELLED' });
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
  });
});

describe('the gateway', () => {
  test('gets the order, the products of its lines, the key, the reason and the trace', async () => {
    const { app } = setUp();
    const headers = { ...app.customer, 'idempotency-key': 'k-1', traceparent: CALLER_TRACE };
    await app.post(URL, { reason: 'too late' }, headers);
    expect(app.gateway.statusChanges).toEqual([
      {
        author: CUSTOMER,
        idempotencyKey: 'k-1',
        orderId: orderId(1),
        productIds: [productId(2), productId(1)],
        from: ['WAITING_PAYMENT'],
        to: 'CANCELLED',
        detail: null,
        reason: 'too late',
        traceparent: REQUEST_TRACE,
      },
    ]);
  });

  test.each([
    ['no body', undefined],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['a reason of null', '{"reason":null}'],
  ])('gets no reason from %s', async (_name, payload) => {
    const { app } = setUp();
    const type = payload === undefined ? {} : { 'content-type': 'application/json' };
    const headers = { ...app.customer, ...type };
    const response = await app.send({
      method: 'POST',
      url: URL,
      headers,
      ...(payload === undefined ? {} : { payload }),
    });
    expect(response.statusCode).toBe(200);
    expect(app.gateway.statusChanges).toMatchObject([{ reason: null, idempotencyKey: null }]);
  });
});

describe('every other outcome has its answer (I8)', () => {
  async function answerTo(outcome: ChangeStatusOutcome) {
    const { app } = setUp();
    app.gateway.statusOutcome = outcome;
    return app.post(URL, {}, app.customer);
  }

  test.each(ORDER_STATUSES.filter((status) => status !== 'CANCELLED'))(
    'an order that is %s and stays it',
    async (status) => {
      const response = await answerTo({ type: 'not-changeable', status });
      expect(expectProblem(response, 'order-not-cancellable').order_status).toBe(status);
    },
  );

  test.each(['overloaded', 'database-unavailable', 'shutting-down'] as const)(
    'shed: %s',
    async (code) => {
      expectProblem(await answerTo({ type: 'shed', code }), code);
    },
  );

  test.each([null, orderId(1)])('unknown carries the id of the order: %s', async (id) => {
    const response = await answerTo({ type: 'unknown', orderId: id });
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(1));
  });

  test('a key of another request', async () => {
    expectProblem(await answerTo({ type: 'key-reused' }), 'idempotency-key-reused');
  });
});

const untouched = setUp();

test.each([
  ['no object', [], ['body']],
  ['no words', { reason: '' }, ['reason']],
  ['too many words', { reason: 'x'.repeat(201) }, ['reason']],
  ['NUL', { reason: '\u0000' }, ['reason']],
  ['a number', { reason: 1 }, ['reason']],
  ['an unknown field', { status: 'PAID' }, ['status']],
])('a body with %s is refused', async (_name, body, paths) => {
  const { app } = untouched;
  expect(expectInvalid(await app.post(URL, body, app.customer))).toEqual(paths);
  expect(app.gateway.statusChanges).toEqual([]);
});

test('the widest spelling of a reason is read, and nothing over 4 KiB', async () => {
  const { app } = setUp();
  const headers = { ...app.customer, 'content-type': 'application/json' };
  const payload = widestJson({ reason: '\u{1f600}'.repeat(200) });
  const response = await app.send({ method: 'POST', url: URL, payload, headers });
  expect(response.statusCode).toBe(200);
  const large = await app.post(URL, { reason: 'x'.repeat(4_096) }, app.customer);
  expectProblem(large, 'body-too-large');
});

test('a malformed id or key is refused', async () => {
  const { app } = setUp();
  const response = await app.post('/orders/x/cancel', {}, app.customer);
  expect(expectInvalid(response)).toEqual(['params.id']);
  const headers = { ...app.customer, 'idempotency-key': 'a b' };
  expect(expectInvalid(await app.post(URL, {}, headers))).toEqual(['headers.idempotency-key']);
});
