import { describe, expect, test } from 'vitest';

import type { Identity } from '../../src/domain/user.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeProduct,
  MERCHANT,
  NOW,
  OTHER_MERCHANT,
  productId,
  TestApp,
} from './fake-ports.ts';

function setUp() {
  const app = new TestApp();
  app.catalogue.rows.push(
    makeProduct(1, { name: 'Red shoe', saleStartsAt: NOW, perCustomerLimit: 2 }),
    makeProduct(2, { name: 'Blue shoe' }),
    makeProduct(3, { status: 'draft' }),
    makeProduct(4, { name: 'Hat', merchantId: OTHER_MERCHANT }),
    makeProduct(5, { status: 'draft', merchantId: OTHER_MERCHANT }),
  );
  const as = ({ userId, role }: Identity) => app.bearer(userId, role);
  return { app, as };
}

const ASKERS: Record<string, Identity> = {
  customer: { userId: CUSTOMER, role: 'customer' },
  merchant: { userId: MERCHANT, role: 'merchant' },
  'other merchant': { userId: OTHER_MERCHANT, role: 'merchant' },
  // A token may outlive its user's role: ownership alone shows nothing.
  'former merchant': { userId: MERCHANT, role: 'customer' },
  admin: { userId: ADMIN, role: 'admin' },
};

describe('GET /products/{id}', () => {
  const { app, as } = setUp();

  test('shows exactly the JSON of the contract', async () => {
    const response = await app.get(`/products/${productId(1)}`);
    expect(response.json()).toStrictEqual({
      id: productId(1),
      name: 'Red shoe',
      description: '',
      price: { amount: 1999, currency: 'USD' },
      available: 10,
      per_customer_limit: 2,
      sale_starts_at: '2030-01-02T03:04:05.678Z',
      sale_ends_at: null,
      status: 'active',
      merchant_id: MERCHANT,
      version: 1,
      created_at: '2030-01-02T03:04:05.679Z',
      updated_at: '2030-01-02T03:04:05.679Z',
    });
  });

  test.each([
    ['customer', 404],
    ['merchant', 200],
    ['other merchant', 404],
    ['former merchant', 404],
    ['admin', 200],
  ])('answers a draft to a %s with %i', async (name, status) => {
    const asker = ASKERS[name];
    const headers = asker === undefined ? {} : as(asker);
    const response = await app.get(`/products/${productId(3)}`, headers);
    expect(response.statusCode).toBe(status);
  });

  test('answers a draft to nobody in particular, and what does not exist, with 404', async () => {
    expectProblem(await app.get(`/products/${productId(3)}`), 'product-not-found');
    expectProblem(await app.get(`/products/${productId(99)}`), 'product-not-found');
  });

  test('refuses an id that is none', async () => {
    expect(expectInvalid(await app.get('/products/7'))).toEqual(['params.id']);
  });
});

describe('the ETag of a product', () => {
  const { app, as } = setUp();
  const url = `/products/${productId(1)}`;
  const known = (tag: string) => app.get(url, { 'if-none-match': tag });

  test('is weak, has version and stock, and is for who asked alone', async () => {
    const { headers } = await app.get(url);
    expect(headers.etag).toBe('W/"1-10"');
    expect(headers['cache-control']).toBe('private, no-cache');
  });

  test.each(['W/"1-10"', '"1-10"', '*', '"else", W/"1-10" , "more"'])(
    'named by If-None-Match %s is answered with 304 and nothing else',
    async (tag) => {
      const response = await known(tag);
      expect(response.statusCode).toBe(304);
      expect(response.body).toBe('');
      expect(response.headers.etag).toBe('W/"1-10"');
      expect(response.headers['cache-control']).toBe('private, no-cache');
    },
  );

  test.each(['W/"1-9"', 'W/"2-10"', '1-10', ''])('is not %s', async (tag) => {
    const response = await known(tag);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ id: productId(1) });
  });

  test('changes with the stock and with an edit', async () => {
    const { app } = setUp();
    const tagOf = async () => (await app.get(url)).headers.etag;
    app.catalogue.rows[0] = makeProduct(1, { available: 9 });
    expect(await tagOf()).toBe('W/"1-9"');
    app.catalogue.rows[0] = makeProduct(1, { available: 9, version: 2 });
    expect(await tagOf()).toBe('W/"2-9"');
  });

  test('tells nobody of a product that they may not see', async () => {
    const draft = `/products/${productId(3)}`;
    const any = { 'if-none-match': '*' };
    const response = await app.get(draft, any);
    expectProblem(response, 'product-not-found');
    expect(response.headers).not.toHaveProperty('etag');
    expect(response.headers['cache-control']).toBe('no-store');
    const merchant = as({ userId: MERCHANT, role: 'merchant' });
    expect((await app.get(draft, { ...any, ...merchant })).statusCode).toBe(304);
  });
});

describe('GET /products', () => {
  const { app, as } = setUp();

  async function listed(query: string, asker?: Identity): Promise<string[]> {
    const response = await app.get(`/products${query}`, asker === undefined ? {} : as(asker));
    expect(response.statusCode).toBe(200);
    const { items } = response.json<{ items: { id: string }[] }>();
    return items.map((product) => product.id);
  }

  test('lists what is active, newest first', async () => {
    expect(await listed('')).toEqual([productId(4), productId(2), productId(1)]);
    expect(await listed('?q=')).toHaveLength(3);
  });

  test('filters by name and merchant', async () => {
    expect(await listed('?q=SHOE&limit=1')).toEqual([productId(2)]);
    expect(await listed(`?merchant_id=${OTHER_MERCHANT.toUpperCase()}`)).toEqual([productId(4)]);
  });

  test('lists other statuses to their merchant, own ones only, and to admins', async () => {
    expect(await listed('?status=draft', ASKERS.merchant)).toEqual([productId(3)]);
    expect(await listed('?status=draft', ASKERS.admin)).toEqual([productId(5), productId(3)]);
    const own = `?status=draft&merchant_id=${MERCHANT}`;
    expect(await listed(own, ASKERS.merchant)).toEqual([productId(3)]);
  });

  test('refuses other statuses to everybody else', async () => {
    expectProblem(await app.get('/products?status=draft'), 'unauthenticated');
    const customer = app.customer;
    expectProblem(await app.get('/products?status=archived', customer), 'forbidden');
    const merchant = as({ userId: MERCHANT, role: 'merchant' });
    const theirs = `/products?status=draft&merchant_id=${OTHER_MERCHANT}`;
    expectProblem(await app.get(theirs, merchant), 'forbidden');
  });

  test.each([
    ['merchant_id=me', ['query.merchant_id']],
    ['status=sold', ['query.status']],
    ['q=%00', ['query.q']],
    [`q=${'x'.repeat(201)}`, ['query.q']],
    ['cursor=YQ', ['query.cursor']],
  ])('refuses ?%s', async (query, paths) => {
    expect(expectInvalid(await app.get(`/products?${query}`))).toEqual(paths);
  });
});
