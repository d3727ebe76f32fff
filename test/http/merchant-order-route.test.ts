import { describe, expect, test } from 'vitest';

import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  makeOrder,
  makeProduct,
  MERCHANT,
  orderId,
  OTHER_MERCHANT,
  productId,
  TestApp,
} from './fake-ports.ts';

function setUp() {
  const app = new TestApp();
  app.catalogue.rows.push(
    makeProduct(1),
    makeProduct(2),
    makeProduct(3, { merchantId: OTHER_MERCHANT }),
  );
  const [template] = makeOrder(1).items;
  if (template === undefined) throw new Error('the order has no line');
  const line = (n: number) => ({ ...template, productId: productId(n) });
  app.orders.rows.push(
    makeOrder(1, { items: [line(1), line(3)], total: 7996 }),
    makeOrder(2, { items: [line(2)], status: 'PAID' }),
    makeOrder(3, { items: [line(3)] }),
  );
  const merchant = app.bearer(MERCHANT, 'merchant');
  const list = async (query: string): Promise<string[]> => {
    const response = await app.get(`/merchant/orders${query}`, merchant);
    return response.json<{ items: { id: string }[] }>().items.map(({ id }) => id);
  };
  return { app, merchant, list };
}

describe('GET /merchant/orders', () => {
  test('shows the own lines of each order, newest first', async () => {
    const { app, merchant } = setUp();
    const response = await app.get('/merchant/orders', merchant);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      items: [
        { id: orderId(2), items: [{ product_id: productId(2) }] },
        { id: orderId(1), items: [{ product_id: productId(1) }], total: { amount: 3998 } },
      ],
      next_cursor: null,
    });
  });

  test('filters by status and product, and pages', async () => {
    const { app, merchant, list } = setUp();
    expect(await list('?status=PAID')).toEqual([orderId(2)]);
    expect(await list(`?product_id=${productId(1).toUpperCase()}`)).toEqual([orderId(1)]);
    expect(await list(`?product_id=${productId(3)}`)).toEqual([]);
    const first = await app.get('/merchant/orders?limit=1', merchant);
    const { next_cursor: cursor } = first.json<{ next_cursor: string }>();
    expect(await list(`?limit=1&cursor=${cursor}`)).toEqual([orderId(1)]);
  });

  test('is for merchants', async () => {
    const { app } = setUp();
    expectProblem(await app.get('/merchant/orders', app.customer), 'forbidden');
    expectProblem(await app.get('/merchant/orders', app.bearer(ADMIN, 'admin')), 'forbidden');
    expectProblem(await app.get('/merchant/orders'), 'unauthenticated');
  });

  test('refuses what it does not understand', async () => {
    const { app, merchant } = setUp();
    for (const name of ['status', 'product_id', 'limit', 'cursor']) {
      const response = await app.get(`/merchant/orders?${name}=x`, merchant);
      expect(expectInvalid(response)).toEqual([`query.${name}`]);
    }
  });
});
