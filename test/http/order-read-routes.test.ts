import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, CUSTOMER, makeOrder, NOW, orderId, STRANGER, TestApp } from './fake-ports.ts';

function setUp() {
  const app = new TestApp();
  app.orders.rows.push(
    makeOrder(1),
    makeOrder(2, { status: 'PAID' }),
    makeOrder(3),
    makeOrder(4, { userId: STRANGER }),
  );
  return app;
}

describe('GET /orders/{id}', () => {
  test('shows your own order, whatever the case of the id', async () => {
    const app = setUp();
    const response = await app.get(`/orders/${orderId(2).toUpperCase()}`, app.customer);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      id: orderId(2),
      status: 'PAID',
    });
  });

  test("answers somebody else's order as none at all", async () => {
    const app = setUp();
    const theirs = await app.get(`/orders/${orderId(4)}`, app.customer);
    const none = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(theirs, 'order-not-found');
    expectProblem(none, 'order-not-found');
  });

  test('says that your order is not settled yet, and shows it as soon as it is there', async () => {
    const app = setUp();
    app.gateway.unsettled.set(orderId(1), CUSTOMER);
    app.gateway.unsettled.set(orderId(98), CUSTOMER);
    app.gateway.unsettled.set(orderId(99), STRANGER);
    const unsettled = await app.get(`/orders/${orderId(98)}`, app.customer);
    expect(expectProblem(unsettled, 'outcome-unknown')).toMatchObject({ order_id: orderId(98) });
    const theirs = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(theirs, 'order-not-found');
    const asAdmin = await app.get(`/orders/${orderId(99)}`, app.bearer(ADMIN, 'admin'));
    expect(expectProblem(asAdmin, 'outcome-unknown')).toMatchObject({ order_id: orderId(99) });
    const there = await app.get(`/orders/${orderId(1)}`, app.customer);
    expect(there.statusCode).toBe(200);
  });

  test('says of no order that it is not there before it can know (I8)', async () => {
    const app = setUp();
    app.notReady = 'taking over';
    for (const n of [4, 99]) {
      const response = await app.get(`/orders/${orderId(n)}`, app.customer);
      expect(expectProblem(response, 'outcome-unknown')).toMatchObject({ order_id: orderId(n) });
    }
    expect((await app.get(`/orders/${orderId(1)}`, app.customer)).statusCode).toBe(200);
    app.notReady = null;
    const response = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(response, 'order-not-found');
  });

  test('a read that the service became ready during proves nothing (I8)', async () => {
    const app = setUp();
    app.notReady = 'taking over';
    app.orders.findOrder = async () => {
      app.notReady = null;
      return undefined;
    };
    const response = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(response, 'outcome-unknown');
  });

  test('nor does a read that the order was settled during (I8)', async () => {
    const app = setUp();
    app.gateway.unsettled.set(orderId(99), CUSTOMER);
    app.orders.findOrder = async () => {
      app.gateway.unsettled.clear();
      return undefined;
    };
    const response = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(response, 'outcome-unknown');
  });

  test('shows every order to an admin', async () => {
    const app = setUp();
    const response = await app.get(`/orders/${orderId(4)}`, app.bearer(ADMIN, 'admin'));
    expect(response.statusCode).toBe(200);
  });

  test.each(['x', '1', `${orderId(1)}0`, 'x'.repeat(300)])('refuses the id %s', async (id) => {
    const app = setUp();
    const [path] = expectInvalid(await app.get(`/orders/${id}`, app.customer));
    expect(path).toMatch(/^params/);
  });

  test('passes on that the database is away, and logs why', async () => {
    const app = setUp();
    app.orders.findOrder = async () => {
      throw new AppError('database-unavailable', { cause: new Error('ECONNREFUSED') });
    };
    const response = await app.get(`/orders/${orderId(1)}`, app.customer);
    expectProblem(response, 'database-unavailable');
    expect(response.body).not.toContain('ECONNREFUSED');
    expect(app.log).toContainEqual(expect.objectContaining({ level: 40, route: '/orders/:id' }));
    expect(JSON.stringify(app.log)).toContain('ECONNREFUSED');
  });
});

describe('GET /orders/{id}/events', () => {
  function withEvents() {
    const app = setUp();
    app.orders.events.set(orderId(1), [
      {
        status: 'WAITING_PAYMENT',
        from: null,
        author: { role: 'customer', userId: CUSTOMER },
        reason: null,
        createdAt: NOW,
      },
      {
        status: 'EXPIRED',
        from: 'WAITING_PAYMENT',
        author: { role: 'system', userId: null },
        reason: 'too late',
        createdAt: NOW + 1,
      },
    ]);
    return app;
  }

  test('shows what happened to your order, oldest first, and to an admin of every order', async () => {
    const app = withEvents();
    for (const token of [app.customer, app.bearer(ADMIN, 'admin')]) {
      const response = await app.get(`/orders/${orderId(1)}/events`, token);
      expect(response.statusCode).toBe(200);
      expect(response.json()).toStrictEqual({
        items: [
          {
            status: 'WAITING_PAYMENT',
            from: null,
            to: 'WAITING_PAYMENT',
            author: { role: 'customer', user_id: CUSTOMER },
            reason: null,
            created_at: '2030-01-02T03:04:05.678Z',
          },
          {
            status: 'EXPIRED',
            from: 'WAITING_PAYMENT',
            to: 'EXPIRED',
            author: { role: 'system', user_id: null },
            reason: 'too late',
            created_at: '2030-01-02T03:04:05.679Z',
          },
        ],
        next_cursor: null,
      });
    }
  });

  test('of an order that is not there for you are 404, and 503 until that is known', async () => {
    const app = withEvents();
    const stranger = app.bearer(STRANGER, 'customer');
    expectProblem(await app.get(`/orders/${orderId(1)}/events`, stranger), 'order-not-found');
    expectProblem(await app.get(`/orders/${orderId(99)}/events`, stranger), 'order-not-found');
    app.gateway.unsettled.set(orderId(99), STRANGER);
    const unsettled = await app.get(`/orders/${orderId(99)}/events`, stranger);
    expect(expectProblem(unsettled, 'outcome-unknown').order_id).toBe(orderId(99));
    app.notReady = 'starting';
    const unready = await app.get(`/orders/${orderId(98)}/events`, app.customer);
    expect(expectProblem(unready, 'outcome-unknown').order_id).toBe(orderId(98));
  });

  test('refuse a malformed id', async () => {
    const app = withEvents();
    expect(expectInvalid(await app.get('/orders/x/events', app.customer))).toEqual(['params.id']);
  });
});

describe('GET /orders', () => {
  const app = setUp();

  function idsOf(response: { json(): { items: { id: string }[] } }): string[] {
    return response.json().items.map((order) => order.id);
  }

  test('lists your own, newest first, page by page', async () => {
    const first = await app.get('/orders?limit=2', app.customer);
    expect(idsOf(first)).toEqual([orderId(3), orderId(2)]);
    const { next_cursor: cursor } = first.json<{ next_cursor: string }>();
    const second = await app.get(`/orders?limit=2&cursor=${cursor}`, app.customer);
    expect(idsOf(second)).toEqual([orderId(1)]);
    expect(second.json()).toMatchObject({ next_cursor: null });
  });

  test('filters by status', async () => {
    expect(idsOf(await app.get('/orders?status=PAID', app.customer))).toEqual([orderId(2)]);
  });

  test.each([
    ['limit=0', ['query.limit']],
    ['limit=101', ['query.limit']],
    ['limit=x', ['query.limit']],
    ['limit=', ['query.limit']],
    ['limit=1.5', ['query.limit']],
    ['limit=1&limit=2', ['query.limit']],
    ['status=paid', ['query.status']],
    ['cursor=zzz', ['query.cursor']],
    ['cursor=%00', ['query.cursor']],
    ['limit=0&status=x', ['query.limit', 'query.status']],
  ])('refuses ?%s', async (query, paths) => {
    expect(expectInvalid(await app.get(`/orders?${query}`, app.customer))).toEqual(paths);
  });
});
