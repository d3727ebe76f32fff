/** POST /orders/{id}/ship and POST /orders/{id}/complete. */
import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import type { OrderLine, OrderStatus } from '../../src/domain/order.ts';
import { ORDER_STATUSES } from '../../src/domain/order.ts';
import type { ChangeStatusOutcome } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  makeProduct,
  MERCHANT,
  NOW,
  orderId,
  OTHER_MERCHANT,
  paymentId,
  productId,
  TestApp,
} from './fake-ports.ts';
import { CALLER_TRACE, REQUEST_TRACE, fakeTracing } from './fake-tracing.ts';
import { widestJson } from './widest-json.ts';

const SHIP = `/orders/${orderId(1)}/ship`;
const COMPLETE = `/orders/${orderId(1)}/complete`;

function line(n: number, shippedAt: number | null = null): OrderLine {
  return {
    productId: productId(n),
    quantity: 2,
    name: `Product ${n}`,
    unitPrice: 1000 * n,
    sequence: n,
    shippedAt,
    tracking: null,
  };
}

/** Order 1: products 1 and 2 of MERCHANT, 3 of OTHER_MERCHANT. Order 2: all of MERCHANT. */
function setUp(status: OrderStatus = 'PAID') {
  const app = new TestApp({ tracing: fakeTracing });
  app.catalogue.rows.push(
    makeProduct(1),
    makeProduct(2),
    makeProduct(3, { merchantId: OTHER_MERCHANT }),
  );
  const payments = [{ id: paymentId(1), status: 'SUCCEEDED' as const, attempt: 1, createdAt: NOW }];
  const items = [line(3), line(1), line(2)];
  app.orders.rows.push(
    makeOrder(1, { status, items, payments, total: 12_000 }),
    makeOrder(2, { status, items: [line(1)] }),
  );
  return {
    app,
    admin: app.bearer(ADMIN, 'admin'),
    merchant: app.bearer(MERCHANT, 'merchant'),
    other: app.bearer(OTHER_MERCHANT, 'merchant'),
    stranger: app.bearer(CUSTOMER, 'merchant'),
  };
}

describe('shipping', () => {
  test('is asked for with all products, and for the lines of the merchant or all of them', async () => {
    const { app, admin, merchant } = setUp();
    const headers = { ...merchant, 'idempotency-key': 'k-1', traceparent: CALLER_TRACE };
    await app.post(SHIP, { tracking: 'T-1' }, headers);
    await app.post(SHIP, {}, admin);
    const common = {
      orderId: orderId(1),
      productIds: [productId(3), productId(1), productId(2)],
      from: ['PAID'],
      to: 'SHIPPING',
      reason: null,
    };
    expect(app.gateway.statusChanges).toEqual([
      {
        ...common,
        author: MERCHANT,
        idempotencyKey: 'k-1',
        detail: { kind: 'shipment', merchantId: MERCHANT, tracking: 'T-1' },
        traceparent: REQUEST_TRACE,
      },
      {
        ...common,
        author: ADMIN,
        idempotencyKey: null,
        detail: { kind: 'shipment', merchantId: null, tracking: null },
        traceparent: null,
      },
    ]);
  });

  test('shows a merchant its own lines as they are afterwards, and an admin the order', async () => {
    const { app, admin, merchant } = setUp();
    const items = [line(3), line(1, NOW), { ...line(2, NOW), tracking: 'T-1' }];
    app.gateway.onStatusChange = () => app.orders.change(1, { items });
    const own = await app.post(SHIP, { tracking: 'T-1' }, merchant);
    expect(own.statusCode).toBe(200);
    expect(own.json()).toMatchObject({
      id: orderId(1),
      status: 'PAID',
      items: [
        { product_id: productId(1), shipped_at: '2030-01-02T03:04:05.678Z' },
        { product_id: productId(2), shipped_at: '2030-01-02T03:04:05.678Z', tracking: 'T-1' },
      ],
      total: { amount: 6000, currency: 'USD' },
      payments: [],
    });
    expect(own.json<{ items: object[] }>().items[0]).not.toHaveProperty('tracking');
    const whole = await app.post(SHIP, {}, admin);
    expect(whole.json()).toMatchObject({
      items: [{ shipped_at: null }, {}, {}],
      total: { amount: 12_000 },
      payments: [{ id: paymentId(1) }],
    });
  });

  test.each(['SHIPPING', 'COMPLETED', 'CANCELLED', 'PAID'] as const)(
    'of lines that were shipped before is a success, also when the order is %s',
    async (status) => {
      const { app, merchant } = setUp(status);
      app.orders.change(1, { items: [line(3), line(1, NOW), line(2, NOW)] });
      app.gateway.statusOutcome = { type: 'not-changeable', status };
      const response = await app.post(SHIP, {}, merchant);
      expect(response.statusCode).toBe(200);
      expect(response.json()).toMatchObject({ status, items: [{}, {}] });
      expect(response.headers).not.toHaveProperty('idempotency-replayed');
    },
  );

  test.each(['WAITING_PAYMENT', 'EXPIRED', 'CANCELLED'] as const)(
    'of an order that is %s is refused',
    async (status) => {
      const { app, merchant, admin } = setUp(status);
      // The lines of another merchant do not count.
      app.orders.change(1, { items: [line(3, NOW), line(1, NOW), line(2)] });
      app.gateway.statusOutcome = { type: 'not-changeable', status };
      for (const token of [merchant, admin]) {
        const problem = expectProblem(await app.post(SHIP, {}, token), 'order-not-shippable');
        expect(problem.order_status).toBe(status);
      }
    },
  );
});

describe('completing', () => {
  const url = `/orders/${orderId(2)}/complete`;

  test('is for admins and for who sold all of it', async () => {
    const { app, admin, merchant, other } = setUp('SHIPPING');
    app.gateway.onStatusChange = () => {
      app.orders.change(1, { status: 'COMPLETED' });
      app.orders.change(2, { status: 'COMPLETED' });
    };
    expect((await app.post(COMPLETE, {}, admin)).json()).toMatchObject({ status: 'COMPLETED' });
    expect((await app.post(url, {}, merchant)).json()).toMatchObject({ status: 'COMPLETED' });
    expect(app.gateway.statusChanges).toEqual([
      {
        author: ADMIN,
        idempotencyKey: null,
        orderId: orderId(1),
        productIds: [productId(3), productId(1), productId(2)],
        from: ['SHIPPING'],
        to: 'COMPLETED',
        detail: null,
        reason: null,
        traceparent: null,
      },
      expect.objectContaining({ author: MERCHANT, orderId: orderId(2) }),
    ]);
    for (const part of [merchant, other]) {
      expectProblem(await app.post(COMPLETE, {}, part), 'forbidden');
    }
    expect(app.gateway.statusChanges).toHaveLength(2);
  });

  test.each(ORDER_STATUSES.filter((status) => status !== 'SHIPPING' && status !== 'COMPLETED'))(
    'an order that is %s is refused',
    async (status) => {
      const { app, merchant } = setUp(status);
      app.gateway.statusOutcome = { type: 'not-changeable', status };
      const problem = expectProblem(await app.post(url, {}, merchant), 'order-not-completable');
      expect(problem.order_status).toBe(status);
    },
  );
});

describe.each([
  ['shipping', SHIP],
  ['completing', COMPLETE],
])('%s', (_name, url) => {
  test('is nothing for customers, not even of their own order', async () => {
    const { app } = setUp();
    expectProblem(await app.post(url, {}, app.customer), 'forbidden');
    expectProblem(await app.post(url, {}), 'unauthenticated');
    expect(app.gateway.statusChanges).toEqual([]);
  });

  test('is answered as of no order to a merchant without a line in it, and of none at all', async () => {
    const { app, stranger, merchant, admin } = setUp();
    // The customer of the order, under an account that sells something else.
    expectProblem(await app.post(url, {}, stranger), 'order-not-found');
    const nowhere = url.replace(orderId(1), orderId(99));
    for (const token of [merchant, admin]) {
      expectProblem(await app.post(nowhere, {}, token), 'order-not-found');
    }
    app.notReady = 'taking over';
    for (const token of [merchant, admin]) {
      const unready = expectProblem(await app.post(nowhere, {}, token), 'outcome-unknown');
      expect(unready.order_id).toBe(orderId(99));
    }
    expect(app.gateway.statusChanges).toEqual([]);
  });

  test('is never answered as if nothing had happened when it cannot be read (I8)', async () => {
    const { app, admin } = setUp();
    app.gateway.onStatusChange = () => {
      app.orders.findOrder = async () => {
        throw new AppError('database-unavailable');
      };
    };
    const response = await app.post(url, {}, admin);
    expect(expectProblem(response, 'outcome-unknown').order_id).toBe(orderId(1));
  });

  test('by an earlier request with this key says so (I3)', async () => {
    const { app, admin } = setUp();
    app.gateway.statusOutcome = { type: 'changed', replayed: true };
    const response = await app.post(url, {}, admin);
    expect(response.statusCode).toBe(200);
    expect(response.headers['idempotency-replayed']).toBe('true');
  });

  test.each<[string, ChangeStatusOutcome]>([
    ['overloaded', { type: 'shed', code: 'overloaded' }],
    ['database-unavailable', { type: 'shed', code: 'database-unavailable' }],
    ['shutting-down', { type: 'shed', code: 'shutting-down' }],
    ['outcome-unknown', { type: 'unknown', orderId: null }],
    ['idempotency-key-reused', { type: 'key-reused' }],
  ])('answers %s', async (code, outcome) => {
    const { app, admin } = setUp();
    app.gateway.statusOutcome = outcome;
    expect((await app.post(url, {}, admin)).json()).toMatchObject({ code });
  });

  test('needs no body, and refuses a malformed id, key or field', async () => {
    const { app, admin } = setUp();
    const bare = await app.send({ method: 'POST', url, headers: admin });
    expect(bare.statusCode).toBe(200);
    const malformed = await app.post(url.replace(orderId(1), 'x'), {}, admin);
    expect(expectInvalid(malformed)).toEqual(['params.id']);
    const key = { ...admin, 'idempotency-key': 'a b' };
    expect(expectInvalid(await app.post(url, {}, key))).toEqual(['headers.idempotency-key']);
    expect(expectInvalid(await app.post(url, { status: 'PAID' }, admin))).toEqual(['status']);
  });
});

test.each([
  ['no characters', ''],
  ['too many', 'x'.repeat(101)],
  ['NUL', '\u0000'],
])('a tracking number of %s is refused', async (_name, tracking) => {
  const { app, admin } = setUp();
  expect(expectInvalid(await app.post(SHIP, { tracking }, admin))).toEqual(['tracking']);
});

test('the widest spelling of a tracking number is read, and nothing over 2 KiB', async () => {
  const { app, admin } = setUp();
  const headers = { ...admin, 'content-type': 'application/json' };
  const payload = widestJson({ tracking: '\u{1f600}'.repeat(100) });
  expect((await app.send({ method: 'POST', url: SHIP, payload, headers })).statusCode).toBe(200);
  const large = await app.post(SHIP, { tracking: 'x'.repeat(2_048) }, admin);
  expectProblem(large, 'body-too-large');
});
