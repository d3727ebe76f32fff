import { describe, expect, test } from 'vitest';

import type { CreateProductOutcome } from '../../src/domain/catalogue.ts';
import { AppError } from '../../src/domain/errors.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  ADMIN,
  CUSTOMER,
  makeProduct,
  MERCHANT,
  OTHER_MERCHANT,
  productId,
  TestApp,
} from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const PRICE = { amount: 1999, currency: 'USD' };
const BODY = { name: 'Red shoe', price: PRICE, stock: 10 };

function setUp() {
  const app = new TestApp();
  return {
    app,
    merchant: app.bearer(MERCHANT, 'merchant'),
    admin: app.bearer(ADMIN, 'admin'),
  };
}

describe('who may create a product', () => {
  test('a merchant, and it is theirs', async () => {
    const { app, merchant } = setUp();
    expect((await app.post('/products', BODY, merchant)).statusCode).toBe(201);
    const own = { ...BODY, merchant_id: MERCHANT.toUpperCase() };
    expect((await app.post('/products', own, merchant)).statusCode).toBe(201);
    const merchants = app.products.created.map(({ product }) => product.merchantId);
    expect(merchants).toEqual([MERCHANT, MERCHANT]);
  });

  test('an admin, for themselves or for a merchant', async () => {
    const { app, admin } = setUp();
    await app.post('/products', BODY, admin);
    await app.post('/products', { ...BODY, merchant_id: MERCHANT }, admin);
    expect(app.products.created).toMatchObject([
      { author: ADMIN, product: { merchantId: ADMIN } },
      { author: ADMIN, product: { merchantId: MERCHANT } },
    ]);
  });

  test('nobody else: the first Hedonify asked for no login', async () => {
    const { app, merchant } = setUp();
    expectProblem(await app.post('/products', BODY), 'unauthenticated');
    expectProblem(await app.post('/products', BODY, app.customer), 'forbidden');
    const former = app.bearer(MERCHANT, 'customer');
    expectProblem(await app.post('/products', BODY, former), 'forbidden');
    const theirs = { ...BODY, merchant_id: OTHER_MERCHANT };
    expectProblem(await app.post('/products', theirs, merchant), 'forbidden');
    expect(app.products.created).toEqual([]);
  });
});

describe('what is created', () => {
  test('is what was sent, under the key that was sent', async () => {
    const { app, merchant } = setUp();
    const body = {
      ...BODY,
      description: 'Runs.',
      per_customer_limit: 2,
      sale_starts_at: '2030-01-02T03:04:05.6789Z',
      sale_ends_at: '2030-01-02T03:04:06Z',
      status: 'draft',
    };
    await app.post('/products', body, { ...merchant, 'idempotency-key': 'k' });
    expect(app.products.created).toEqual([
      {
        author: MERCHANT,
        idempotencyKey: 'k',
        product: {
          merchantId: MERCHANT,
          name: 'Red shoe',
          description: 'Runs.',
          price: PRICE,
          stock: 10,
          perCustomerLimit: 2,
          saleStartsAt: Date.UTC(2030, 0, 2, 3, 4, 5, 678),
          saleEndsAt: Date.UTC(2030, 0, 2, 3, 4, 6),
          status: 'draft',
        },
      },
    ]);
  });

  test.each([{}, { per_customer_limit: null, sale_starts_at: null, sale_ends_at: null }])(
    'is on sale without bounds unless they are given (%o)',
    async (bounds) => {
      const { app, merchant } = setUp();
      await app.post('/products', { ...BODY, ...bounds }, merchant);
      expect(app.products.created).toMatchObject([
        {
          idempotencyKey: null,
          product: {
            description: '',
            perCustomerLimit: null,
            saleStartsAt: null,
            saleEndsAt: null,
            status: 'active',
          },
        },
      ]);
    },
  );

  test('is answered with its address and its tag', async () => {
    const { app, merchant } = setUp();
    const response = await app.post('/products', BODY, merchant);
    expect(response.statusCode).toBe(201);
    expect(response.headers.location).toBe(`/products/${productId(1)}`);
    expect(response.headers.etag).toBe('W/"1-10"');
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
    expect(response.json()).toMatchObject({ id: productId(1), merchant_id: MERCHANT, version: 1 });
  });
});

describe('every outcome has its answer (I8)', () => {
  async function answerTo(outcome: CreateProductOutcome) {
    const { app, merchant } = setUp();
    app.products.outcome = outcome;
    return app.post('/products', BODY, merchant);
  }

  test('a replay is 201 again and says so (I3)', async () => {
    const product = makeProduct(7);
    const response = await answerTo({ type: 'created', product, replayed: true });
    expect(response.statusCode).toBe(201);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect(response.headers.location).toBe(`/products/${productId(7)}`);
  });

  test('a merchant without an account is named', async () => {
    const refused = await answerTo({ type: 'refused', code: 'merchant-unknown' });
    expect(expectInvalid(refused)).toEqual(['merchant_id']);
  });

  test('a bound key, and a COMMIT without an answer', async () => {
    expectProblem(await answerTo({ type: 'key-reused' }), 'idempotency-key-reused');
    const { merchant } = setUp();
    const products = { createProduct: () => Promise.reject(new AppError('outcome-unknown')) };
    const app = new TestApp({ products });
    expectProblem(await app.post('/products', BODY, merchant), 'outcome-unknown');
  });
});

const untouched = setUp();

test.each([
  ['nothing', {}, ['name']],
  ['no name', { ...BODY, name: '' }, ['name']],
  ['a long name', { ...BODY, name: 'x'.repeat(201) }, ['name']],
  ['a name with NUL', { ...BODY, name: '\u0000' }, ['name']],
  ['a description with a lone surrogate', { ...BODY, description: '\ud800' }, ['description']],
  ['a long description', { ...BODY, description: 'x'.repeat(1001) }, ['description']],
  ['no price', { name: 'x', stock: 1 }, ['price']],
  ['a price below 0', { ...BODY, price: { ...PRICE, amount: -1 } }, ['price.amount']],
  ['a fraction of a cent', { ...BODY, price: { ...PRICE, amount: 0.5 } }, ['price.amount']],
  ['a price over the bound', { ...BODY, price: { ...PRICE, amount: 1e8 + 1 } }, ['price.amount']],
  [
    'a currency that is none',
    { ...BODY, price: { ...PRICE, currency: 'usd' } },
    ['price.currency'],
  ],
  ['an unknown field in the price', { ...BODY, price: { ...PRICE, tax: 1 } }, ['price.tax']],
  ['no stock', { name: 'x', price: PRICE }, ['stock']],
  ['stock below 0', { ...BODY, stock: -1 }, ['stock']],
  ['stock as text', { ...BODY, stock: '1' }, ['stock']],
  ['stock over the bound', { ...BODY, stock: 1e9 + 1 }, ['stock']],
  ['limit 0', { ...BODY, per_customer_limit: 0 }, ['per_customer_limit']],
  ['a limit over the bound', { ...BODY, per_customer_limit: 1e6 + 1 }, ['per_customer_limit']],
  ['a day that is none', { ...BODY, sale_ends_at: '2030-02-30T00:00:00Z' }, ['sale_ends_at']],
  ['local time', { ...BODY, sale_ends_at: '2030-01-01T00:00:00' }, ['sale_ends_at']],
  ['a time as a number', { ...BODY, sale_starts_at: 1 }, ['sale_starts_at']],
  ['a status to begin with that is none', { ...BODY, status: 'archived' }, ['status']],
  ['a merchant that is no UUID', { ...BODY, merchant_id: 'me' }, ['merchant_id']],
  ['an id of its own', { ...BODY, id: productId(1) }, ['id']],
  [
    'a sale that ends as it starts',
    { ...BODY, sale_starts_at: '2030-01-01T00:00:00Z', sale_ends_at: '2030-01-01T00:00:00.0009Z' },
    ['sale_ends_at'],
  ],
])('a body with %s is refused', async (_name, body, paths) => {
  const { app, merchant } = untouched;
  expect(expectInvalid(await app.post('/products', body, merchant))).toEqual(paths);
  expect(app.products.created).toEqual([]);
});

test('the bounds themselves are accepted, in their widest spelling, and nothing over 20 KiB', async () => {
  const { app, admin } = setUp();
  const wide = '\u{1f600}';
  const body = {
    name: wide.repeat(200),
    description: wide.repeat(1000),
    price: { amount: 100_000_000, currency: 'USD' },
    stock: 1_000_000_000,
    per_customer_limit: 1_000_000,
    sale_starts_at: '2030-01-01T00:00:00.0000000000000000000Z',
    sale_ends_at: '9999-12-31T23:59:59.9999999999999999999Z',
    status: 'active',
    merchant_id: CUSTOMER,
  };
  const headers = { ...admin, 'content-type': 'application/json' };
  const payload = widestJson(body);
  const response = await app.send({ method: 'POST', url: '/products', payload, headers });
  expect(response.statusCode).toBe(201);
  const large = await app.post('/products', { ...BODY, name: 'x'.repeat(20_480) }, admin);
  expectProblem(large, 'body-too-large');
});
