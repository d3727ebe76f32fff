import { describe, expect, test } from 'vitest';

import type { ChangeStockOutcome } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, makeProduct, MERCHANT, OTHER_MERCHANT, productId, TestApp } from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const URL = `/products/${productId(1)}/stock`;
const DRAFT_URL = `/products/${productId(2)}/stock`;
const BODY = { delta: -5, reason: 'broken' };

function setUp() {
  const app = new TestApp();
  app.catalogue.rows.push(makeProduct(1), makeProduct(2, { status: 'draft' }));
  return { app, merchant: app.bearer(MERCHANT, 'merchant') };
}

describe('who may change the stock', () => {
  test('its merchant and admins', async () => {
    const { app, merchant } = setUp();
    for (const token of [merchant, app.bearer(ADMIN, 'admin')]) {
      expect((await app.post(URL, BODY, token)).statusCode).toBe(200);
      expect((await app.post(DRAFT_URL, BODY, token)).statusCode).toBe(200);
    }
  });

  test('no customer, and no other merchant; of a draft they do not even learn', async () => {
    const { app } = setUp();
    const other = app.bearer(OTHER_MERCHANT, 'merchant');
    expectProblem(await app.post(URL, BODY, app.customer), 'forbidden');
    expectProblem(await app.post(URL, BODY, app.bearer(MERCHANT, 'customer')), 'forbidden');
    expectProblem(await app.post(URL, BODY, other), 'forbidden');
    expectProblem(await app.post(DRAFT_URL, BODY, other), 'product-not-found');
    expect(app.gateway.changed).toEqual([]);
  });

  test('nobody, where there is no product', async () => {
    const { app, merchant } = setUp();
    const response = await app.post(`/products/${productId(9)}/stock`, BODY, merchant);
    expectProblem(response, 'product-not-found');
  });
});

test('a change answers the product with the stock of the outcome', async () => {
  const { app, merchant } = setUp();
  const response = await app.post(URL, BODY, { ...merchant, 'idempotency-key': 'k' });
  expect(response.statusCode).toBe(200);
  expect(response.json()).toMatchObject({ id: productId(1), available: 15 });
  expect(response.headers.etag).toBe('W/"1-15"');
  expect(response.headers).not.toHaveProperty('idempotency-replayed');
  expect(app.gateway.changed).toEqual([
    {
      author: MERCHANT,
      idempotencyKey: 'k',
      productId: productId(1),
      delta: -5,
      reason: 'broken',
      traceparent: null,
    },
  ]);
});

test('a replay says so (I3)', async () => {
  const { app, merchant } = setUp();
  app.gateway.stockOutcome = { type: 'changed', replayed: true, available: 4 };
  const response = await app.post(URL, BODY, merchant);
  expect(response.statusCode).toBe(200);
  expect(response.headers['idempotency-replayed']).toBe('true');
  expect(response.json()).toMatchObject({ available: 4 });
});

describe('every other outcome has its answer (I8)', () => {
  async function answerTo(outcome: ChangeStockOutcome) {
    const { app, merchant } = setUp();
    app.gateway.stockOutcome = outcome;
    return app.post(URL, BODY, merchant);
  }

  test('insufficient-stock says what was there', async () => {
    const response = await answerTo({ type: 'refused', code: 'insufficient-stock', available: 3 });
    expect(expectProblem(response, 'insufficient-stock').items).toEqual([
      { product_id: productId(1), requested: 5, available: 3 },
    ]);
  });

  test('product-not-found, a bound key, a shed and an unknown outcome', async () => {
    const gone = await answerTo({ type: 'refused', code: 'product-not-found' });
    expectProblem(gone, 'product-not-found');
    expectProblem(await answerTo({ type: 'key-reused' }), 'idempotency-key-reused');
    expectProblem(await answerTo({ type: 'shed', code: 'overloaded' }), 'overloaded');
    const unknown = expectProblem(
      await answerTo({ type: 'unknown', orderId: null }),
      'outcome-unknown',
    );
    expect(unknown).not.toHaveProperty('order_id');
  });
});

const untouched = setUp();

test.each([
  ['nothing, naming the first', {}, ['delta']],
  ['two mistakes, naming the first', { delta: 0, reason: '' }, ['delta']],
  ['delta 0', { ...BODY, delta: 0 }, ['delta']],
  ['delta -0', { ...BODY, delta: -0 }, ['delta']],
  ['delta as text', { ...BODY, delta: '5' }, ['delta']],
  ['a fraction', { ...BODY, delta: 0.5 }, ['delta']],
  ['delta over the bound', { ...BODY, delta: 1_000_000_001 }, ['delta']],
  ['delta below the bound', { ...BODY, delta: -1_000_000_001 }, ['delta']],
  ['no words', { ...BODY, reason: '' }, ['reason']],
  ['too many words', { ...BODY, reason: 'x'.repeat(201) }, ['reason']],
  ['NUL', { ...BODY, reason: '\u0000' }, ['reason']],
  ['an unknown field', { ...BODY, stock: 5 }, ['stock']],
])('a body with %s is refused', async (_name, body, paths) => {
  const { app, merchant } = untouched;
  expect(expectInvalid(await app.post(URL, body, merchant))).toEqual(paths);
  expect(app.gateway.changed).toEqual([]);
});

test('the widest spelling of a change is read, and nothing over 4 KiB', async () => {
  const { app, merchant } = setUp();
  const headers = { ...merchant, 'content-type': 'application/json' };
  const payload = widestJson({ delta: -1_000_000_000, reason: '\u{1f600}'.repeat(200) });
  const response = await app.send({ method: 'POST', url: URL, payload, headers });
  expect(response.statusCode).toBe(200);
  const large = await app.post(URL, { ...BODY, reason: 'x'.repeat(4_096) }, merchant);
  expectProblem(large, 'body-too-large');
});

test('a malformed id or key is refused', async () => {
  const { app, merchant } = setUp();
  expect(expectInvalid(await app.post('/products/x/stock', BODY, merchant))).toEqual(['params.id']);
  const headers = { ...merchant, 'idempotency-key': 'a b' };
  expect(expectInvalid(await app.post(URL, BODY, headers))).toEqual(['headers.idempotency-key']);
});
