import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { PAYMENT_SCENARIOS } from '../../src/domain/payment.ts';
import type { PayOutcome } from '../../src/domain/payment.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  MERCHANT,
  orderId,
  paymentId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const URL = `/orders/${orderId(1)}/payment`;
const STARTED = { payment: { id: paymentId(1), status: 'PENDING', attempt: 1 } };

function setUp(): TestApp {
  const app = new TestApp();
  app.orders.rows.push(makeOrder(1), makeOrder(4, { userId: STRANGER }));
  return app;
}

describe('who may pay', () => {
  test('the customer of the order, whatever else that account may do', async () => {
    const app = setUp();
    for (const role of ['customer', 'merchant', 'admin'] as const) {
      const response = await app.post(URL, {}, app.bearer(CUSTOMER, role));
      expect(response.statusCode).toBe(202);
      expect(response.json()).toStrictEqual(STARTED);
    }
  });

  test('nobody else: an admin may not, and to others there is no such order', async () => {
    const app = setUp();
    expectProblem(await app.post(URL, {}, app.bearer(ADMIN, 'admin')), 'forbidden');
    expectProblem(await app.post(URL, {}, app.bearer(STRANGER, 'customer')), 'order-not-found');
    expectProblem(await app.post(URL, {}, app.bearer(MERCHANT, 'merchant')), 'order-not-found');
    expectProblem(await app.post(URL, {}), 'unauthenticated');
    const none = await app.post(`/orders/${orderId(99)}/payment`, {}, app.customer);
    expectProblem(none, 'order-not-found');
    expect(app.payments.requests).toEqual([]);
  });

  test('nobody whose order is not settled yet (I8)', async () => {
    const app = setUp();
    app.gateway.unsettled.set(orderId(98), CUSTOMER);
    const response = await app.post(`/orders/${orderId(98)}/payment`, {}, app.customer);
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(98));
  });
});

describe('a payment', () => {
  test.each([
    ['no body', undefined],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['nulls', '{"scenario":null,"delay_ms":null}'],
  ])('from %s is a success that takes no time', async (_name, payload) => {
    const app = setUp();
    const type = payload === undefined ? {} : { 'content-type': 'application/json' };
    const response = await app.send({
      method: 'POST',
      url: URL,
      headers: { ...app.customer, ...type },
      ...(payload === undefined ? {} : { payload }),
    });
    expect(response.statusCode).toBe(202);
    expect(app.payments.requests).toEqual([
      { orderId: orderId(1), scenario: 'success', delayMs: 0, key: null },
    ]);
  });

  test.each(PAYMENT_SCENARIOS)('may be a %s with a delay', async (scenario) => {
    const app = setUp();
    await app.post(URL, { scenario, delay_ms: 60_000 }, app.customer);
    expect(app.payments.requests).toMatchObject([{ scenario, delayMs: 60_000 }]);
  });

  test('binds its key to the order, the scenario and the delay (I3)', async () => {
    const app = setUp();
    const headers = { ...app.customer, 'idempotency-key': 'k-1' };
    await app.post(URL, {}, headers);
    await app.post(URL, { scenario: 'success', delay_ms: 0 }, headers);
    await app.post(URL, { scenario: 'failure' }, headers);
    await app.post(URL, { delay_ms: 1 }, headers);
    const [first, same, ...others] = app.payments.requests.map(({ key }) => key);
    expect(first).toEqual({
      userId: CUSTOMER,
      key: 'k-1',
      request: `pay ${orderId(1)} success 0`,
    });
    expect(same).toEqual(first);
    expect(new Set(others.map((key) => key?.request)).size).toBe(2);
    expect(others.map((key) => key?.request)).not.toContain(first?.request);
  });
});

describe('every outcome has its answer', () => {
  async function answerTo(outcome: PayOutcome) {
    const app = setUp();
    app.payments.outcome = outcome;
    return app.post(URL, {}, app.customer);
  }

  const payment = { id: paymentId(2), status: 'SUCCEEDED', attempt: 2 } as const;

  test('an attempt that an earlier request started says so (I3)', async () => {
    const response = await answerTo({ type: 'started', payment, replayed: true });
    expect(response.statusCode).toBe(202);
    expect(response.headers['idempotency-replayed']).toBe('true');
  });

  test('an order that is paid answers the payment that paid it', async () => {
    const response = await answerTo({ type: 'paid', payment });
    expect(response.statusCode).toBe(202);
    expect(response.json()).toStrictEqual({ payment });
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
  });

  test.each([
    ['order-expired', 'EXPIRED'],
    ['order-expired', 'WAITING_PAYMENT'],
    ['order-not-payable', 'CANCELLED'],
    ['payment-in-progress', 'WAITING_PAYMENT'],
  ] as const)('%s, and the order is %s', async (code, status) => {
    const response = await answerTo({ type: 'refused', code, status });
    expect(expectProblem(response, code).order_status).toBe(status);
  });

  test('a key of another request', async () => {
    expectProblem(await answerTo({ type: 'key-reused' }), 'idempotency-key-reused');
  });

  test('a COMMIT without an answer, with the id of the order (I8)', async () => {
    const app = setUp();
    app.payments.failure = new AppError('outcome-unknown');
    const response = await app.post(URL, {}, app.customer);
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(1));
    app.payments.failure = new AppError('database-unavailable');
    expectProblem(await app.post(URL, {}, app.customer), 'database-unavailable');
  });
});

const untouched = setUp();

test.each([
  ['no object', [], ['body']],
  ['an unknown scenario', { scenario: 'luck' }, ['scenario']],
  ['a negative delay', { delay_ms: -1 }, ['delay_ms']],
  ['more than a minute', { delay_ms: 60_001 }, ['delay_ms']],
  ['half a millisecond', { delay_ms: 0.5 }, ['delay_ms']],
  ['text for a number', { delay_ms: '1' }, ['delay_ms']],
  ['an amount', { amount: 1 }, ['amount']],
])('a body with %s is refused', async (_name, body, paths) => {
  expect(expectInvalid(await untouched.post(URL, body, untouched.customer))).toEqual(paths);
  expect(untouched.payments.requests).toEqual([]);
});

test('the widest spelling of a body is read, and nothing over 1 KiB', async () => {
  const app = setUp();
  const headers = { ...app.customer, 'content-type': 'application/json' };
  const payload = widestJson({ scenario: 'duplicate_confirmation', delay_ms: 60_000 });
  const response = await app.send({ method: 'POST', url: URL, payload, headers });
  expect(response.statusCode).toBe(202);
  const large = `{"delay_ms":1${' '.repeat(1024)}}`;
  const refused = await app.send({ method: 'POST', url: URL, payload: large, headers });
  expectProblem(refused, 'body-too-large');
});

test('a malformed id or key is refused', async () => {
  const app = setUp();
  const response = await app.post('/orders/x/payment', {}, app.customer);
  expect(expectInvalid(response)).toEqual(['params.id']);
  const headers = { ...app.customer, 'idempotency-key': 'a b' };
  expect(expectInvalid(await app.post(URL, {}, headers))).toEqual(['headers.idempotency-key']);
});
