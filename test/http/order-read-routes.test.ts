import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, makeOrder, orderId, STRANGER, TestApp } from './fake-ports.ts';

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
    app.gateway.unsettled.set(orderId(1), app.orders.rows[0]?.userId ?? STRANGER);
    app.gateway.unsettled.set(orderId(98), app.orders.rows[0]?.userId ?? STRANGER);
    app.gateway.unsettled.set(orderId(99), STRANGER);
    const unsettled = await app.get(`/orders/${orderId(98)}`, app.customer);
    expect(expectProblem(unsettled, 'outcome-unknown')).toMatchObject({ order_id: orderId(98) });
    const theirs = await app.get(`/orders/${orderId(99)}`, app.customer);
    expectProblem(theirs, 'order-not-found');
    const there = await app.get(`/orders/${orderId(1)}`, app.customer);
    expect(there.statusCode).toBe(200);
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
