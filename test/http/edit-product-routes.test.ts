import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import type { EditProductOutcome } from '../../src/domain/outcome.ts';
import type { EditProduct } from '../../src/domain/ports.ts';
import type { Product } from '../../src/domain/product.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, makeProduct, MERCHANT, OTHER_MERCHANT, productId, TestApp } from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const ACTIVE = `/products/${productId(1)}`;
const DRAFT = `/products/${productId(2)}`;
const BODY = { name: 'Blue shoe', reason: 'a mistake' };
const NOON = Date.UTC(2030, 0, 1, 12);
const MORNING = Date.UTC(2030, 0, 1, 6);
const text = (time: number): string => new Date(time).toISOString();

/** Its owner carries every edit out, like the real one. */
function setUp(product: Partial<Product> = {}) {
  const app = new TestApp();
  app.catalogue.rows.push(makeProduct(1, product), makeProduct(2, { status: 'draft' }));
  app.gateway.editOutcome = (edit) => carryOut(app, edit);
  const merchant = app.bearer(MERCHANT, 'merchant');
  const patch = (body: object, headers: Record<string, string> = {}, url = ACTIVE) =>
    app.send({ method: 'PATCH', url, payload: body, headers: { ...merchant, ...headers } });
  const archive = (headers: Record<string, string> = {}, url = ACTIVE) =>
    app.send({ method: 'DELETE', url, headers: { ...merchant, ...headers } });
  return { app, merchant, patch, archive };
}

function carryOut(app: TestApp, edit: EditProduct): EditProductOutcome {
  const { rows } = app.catalogue;
  const index = rows.findIndex(({ id }) => id === edit.productId);
  const product = rows[index];
  if (product === undefined) return { type: 'refused', code: 'product-not-found' };
  const version = product.version + 1;
  if (edit.ifVersion !== null && edit.ifVersion !== product.version) {
    return { type: 'version-differs', version: product.version };
  }
  rows[index] = { ...product, ...edit.changes, version };
  return { type: 'edited', version };
}

describe('who may edit and archive a product', () => {
  test('its merchant and admins', async () => {
    const { app, patch, archive } = setUp();
    const admin = app.bearer(ADMIN, 'admin');
    for (const url of [ACTIVE, DRAFT]) {
      expect((await patch(BODY, {}, url)).statusCode).toBe(200);
      expect((await patch(BODY, admin, url)).statusCode).toBe(200);
      expect((await archive(admin, url)).statusCode).toBe(204);
    }
  });

  test('no customer, and no other merchant; of a draft they do not even learn', async () => {
    const { app, patch, archive } = setUp();
    const other = app.bearer(OTHER_MERCHANT, 'merchant');
    const former = app.bearer(MERCHANT, 'customer');
    for (const act of [
      (headers: Record<string, string>, url: string) => patch(BODY, headers, url),
      archive,
    ]) {
      expectProblem(await act(app.customer, ACTIVE), 'forbidden');
      expectProblem(await act(former, ACTIVE), 'forbidden');
      expectProblem(await act(other, ACTIVE), 'forbidden');
      expectProblem(await act(other, DRAFT), 'product-not-found');
      expectProblem(await act({}, `/products/${productId(9)}`), 'product-not-found');
    }
    expect(app.gateway.edits).toEqual([]);
  });

  test('nobody without a login', async () => {
    const { app } = setUp();
    for (const method of ['PATCH', 'DELETE'] as const) {
      const payload = method === 'PATCH' ? { payload: BODY } : {};
      const response = await app.send({ method, url: ACTIVE, ...payload });
      expectProblem(response, 'unauthenticated');
    }
  });
});

describe('PATCH /products/{id}', () => {
  test('tells the owner what changes, and who wants it and why', async () => {
    const { app, patch } = setUp();
    const body = {
      ...BODY,
      description: '',
      price: { amount: 5, currency: 'EUR' },
      per_customer_limit: 3,
      sale_starts_at: text(MORNING),
      sale_ends_at: text(NOON),
      status: 'paused',
    };
    expect((await patch(body)).statusCode).toBe(200);
    expect(app.gateway.edits).toEqual([
      {
        author: MERCHANT,
        productId: productId(1),
        ifVersion: null,
        changes: {
          name: 'Blue shoe',
          description: '',
          price: { amount: 5, currency: 'EUR' },
          perCustomerLimit: 3,
          saleStartsAt: MORNING,
          saleEndsAt: NOON,
          status: 'paused',
        },
        reason: 'a mistake',
        traceparent: null,
      },
    ]);
  });

  test('leaves out what is absent, and null takes a bound away', async () => {
    const { app, patch } = setUp();
    await patch({ per_customer_limit: null, sale_ends_at: null });
    expect(app.gateway.edits).toMatchObject([
      { changes: { perCustomerLimit: null, saleEndsAt: null }, reason: null },
    ]);
    expect(Object.keys(app.gateway.edits[0]?.changes ?? {})).toHaveLength(2);
  });

  test('answers the product after the change, with its tag', async () => {
    const { patch } = setUp();
    const response = await patch(BODY);
    expect(response.headers.etag).toBe('W/"2-10"');
    expect(response.json()).toMatchObject({ name: 'Blue shoe', version: 2, available: 10 });
  });

  test('that changes nothing is refused', async () => {
    const { app, patch } = setUp();
    expect(expectInvalid(await patch({}))).toEqual(['body']);
    expect(expectInvalid(await patch({ reason: 'none' }))).toEqual(['body']);
    expect(app.gateway.edits).toEqual([]);
  });
});

describe('If-Match', () => {
  test.each(['"1"', 'W/"1-10"', 'W/"1-3"', '"7", "1"'])(
    '%s names version 1, whatever the stock is by now',
    async (tag) => {
      const { app, patch } = setUp();
      expect((await patch(BODY, { 'if-match': tag })).statusCode).toBe(200);
      expect(app.gateway.edits).toMatchObject([{ ifVersion: 1 }]);
    },
  );

  test('* is whichever version', async () => {
    const { app, patch } = setUp();
    expect((await patch(BODY, { 'if-match': '*' })).statusCode).toBe(200);
    expect(app.gateway.edits).toMatchObject([{ ifVersion: null }]);
  });

  test.each(['"2"', 'W/"2-10"', '"10"'])('%s is another version: 412', async (tag) => {
    const { app, patch, archive } = setUp();
    const refused = expectProblem(await patch(BODY, { 'if-match': tag }), 'precondition-failed');
    expect(refused.version).toBe(1);
    expectProblem(await archive({ 'if-match': tag }), 'precondition-failed');
    expect(app.gateway.edits).toEqual([]);
  });

  test('of a version that passed after it was read is 412 with the one there is now', async () => {
    const { app, patch, archive } = setUp();
    app.gateway.editOutcome = () => ({ type: 'version-differs', version: 5 });
    for (const response of [
      await patch(BODY, { 'if-match': '"1"' }),
      await archive({ 'if-match': '"1"' }),
    ]) {
      expect(expectProblem(response, 'precondition-failed').version).toBe(5);
    }
    expect(app.gateway.edits).toHaveLength(2);
  });

  test.each(['1', '""', '"a"', '"1', '"1";', '"-1"', '"1" "2"', '*, "1"', 'w/"1"', '"1",'])(
    '%s is malformed',
    async (tag) => {
      const { app, patch, archive } = setUp();
      const headers = { 'if-match': tag };
      expect(expectInvalid(await patch(BODY, headers))).toEqual(['headers.if-match']);
      expect(expectInvalid(await archive(headers))).toEqual(['headers.if-match']);
      expect(app.gateway.edits).toEqual([]);
    },
  );
});

describe('the sale window', () => {
  test.each([
    [{ sale_ends_at: text(MORNING) }, 'sale_ends_at'],
    [{ sale_ends_at: text(NOON) }, 'sale_ends_at'],
    [{ sale_starts_at: text(NOON), sale_ends_at: text(MORNING) }, 'sale_ends_at'],
  ])('%o would end before noon, when it starts', async (body, path) => {
    const { app, patch } = setUp({ saleStartsAt: NOON });
    expect(expectInvalid(await patch(body))).toEqual([path]);
    expect(app.gateway.edits).toEqual([]);
  });

  test('cannot start after the end that it has', async () => {
    const { patch } = setUp({ saleEndsAt: MORNING });
    expect(expectInvalid(await patch({ sale_starts_at: text(NOON) }))).toEqual(['sale_starts_at']);
  });

  test('may move as a whole, or lose the bound that is in the way', async () => {
    const { patch } = setUp({ saleStartsAt: NOON });
    const moved = { sale_starts_at: null, sale_ends_at: text(MORNING) };
    expect((await patch(moved)).statusCode).toBe(200);
    expect((await patch({ sale_ends_at: null })).statusCode).toBe(200);
  });

  test('is checked again when the product changed after it was read: of two edits one loses', async () => {
    const { app, patch } = setUp();
    app.gateway.editOutcome = (edit) => {
      app.gateway.editOutcome = (again) => carryOut(app, again);
      const changes = { saleStartsAt: NOON };
      carryOut(app, { ...edit, changes, ifVersion: null });
      return carryOut(app, edit);
    };
    const response = await patch({ sale_ends_at: text(MORNING) });
    expect(expectInvalid(response)).toEqual(['sale_ends_at']);
    expect(app.catalogue.rows[0]).toMatchObject({ saleStartsAt: NOON, saleEndsAt: null });
  });

  test('of a product that changes all the time is given up on after three tries (I9)', async () => {
    const { app, patch } = setUp();
    app.gateway.editOutcome = () => ({ type: 'version-differs', version: 9 });
    expectProblem(await patch({ sale_ends_at: text(NOON) }), 'overloaded');
    expect(app.gateway.edits).toHaveLength(3);
  });
});

describe('DELETE /products/{id}', () => {
  test('archives, and does so once', async () => {
    const { app, archive } = setUp();
    const response = await archive();
    expect(response.statusCode).toBe(204);
    expect(response.body).toBe('');
    expect((await archive()).statusCode).toBe(204);
    expect(app.gateway.edits).toEqual([
      {
        author: MERCHANT,
        productId: productId(1),
        ifVersion: null,
        changes: { status: 'archived' },
        reason: null,
        traceparent: null,
      },
    ]);
  });

  test('whose answer was lost may be repeated for the same version', async () => {
    const { app, archive } = setUp();
    const headers = { 'if-match': '"1"' };
    expect((await archive(headers)).statusCode).toBe(204);
    expect((await archive(headers)).statusCode).toBe(204);
    expect(app.gateway.edits).toMatchObject([{ ifVersion: 1 }]);
  });
});

describe('every other outcome has its answer (I8)', () => {
  test.each([
    [{ type: 'refused', code: 'product-not-found' }, 'product-not-found'],
    [{ type: 'shed', code: 'shutting-down' }, 'shutting-down'],
    [{ type: 'unknown', orderId: null }, 'outcome-unknown'],
  ] as const)('%o', async (outcome, code) => {
    const { app, patch, archive } = setUp();
    app.gateway.editOutcome = () => outcome;
    expectProblem(await patch(BODY), code);
    expectProblem(await archive(), code);
  });

  test('a read that fails after the commit does not say that nothing happened', async () => {
    const product = makeProduct(1);
    let reads = 0;
    const findProduct = async (): Promise<Product> => {
      reads += 1;
      if (reads === 1) return product;
      throw new AppError('database-unavailable', { cause: new Error('gone') });
    };
    const listProducts = () => Promise.reject(new Error('nobody lists'));
    const app = new TestApp({ catalogue: { findProduct, listProducts } });
    const headers = app.bearer(MERCHANT, 'merchant');
    const response = await app.send({ method: 'PATCH', url: ACTIVE, payload: BODY, headers });
    expectProblem(response, 'outcome-unknown');
    expect(app.gateway.edits).toHaveLength(1);
  });
});

const untouched = setUp();

test.each([
  ['no name', { name: '' }, ['name']],
  ['null as a name', { name: null }, ['name']],
  ['null as a price', { price: null }, ['price']],
  ['half a price', { price: { amount: 1 } }, ['price.currency']],
  ['limit 0', { per_customer_limit: 0 }, ['per_customer_limit']],
  ['a status that is none', { status: 'sold' }, ['status']],
  ['stock, which has a route of its own', { stock: 5 }, ['stock']],
  ['another merchant', { merchant_id: OTHER_MERCHANT }, ['merchant_id']],
  ['a time that is none', { sale_starts_at: 'soon' }, ['sale_starts_at']],
  ['no words', { name: 'x', reason: '' }, ['reason']],
])('a body with %s is refused', async (_name, body, paths) => {
  const { app, patch } = untouched;
  expect(expectInvalid(await patch(body))).toEqual(paths);
  expect(app.gateway.edits).toEqual([]);
});

test('the widest spelling of an edit is read', async () => {
  const { app, merchant } = setUp();
  const wide = '\u{1f600}';
  const body = {
    name: wide.repeat(200),
    description: wide.repeat(1000),
    reason: wide.repeat(200),
    price: { amount: 100_000_000, currency: 'USD' },
    per_customer_limit: 1_000_000,
    sale_starts_at: '2030-01-01T00:00:00.0000000000000000000Z',
    sale_ends_at: '9999-12-31T23:59:59.9999999999999999999Z',
    status: 'archived',
  };
  const headers = { ...merchant, 'content-type': 'application/json' };
  const payload = widestJson(body);
  const response = await app.send({ method: 'PATCH', url: ACTIVE, payload, headers });
  expect(response.statusCode).toBe(200);
});
