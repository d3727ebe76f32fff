/** What POST /orders takes and what it refuses before anybody is asked. */
import { describe, expect, test } from 'vitest';

import { expectInvalid, expectProblem } from './expect-problem.ts';
import { productId, TestApp } from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const P1 = productId(1);
const P2 = productId(2);
const line = { product_id: P1, quantity: 1 };
const ORDER = { items: [line] };

const many = (n: number, value: unknown): unknown[] => Array.from({ length: n }, () => value);
const pairs = (n: number): object => Object.fromEntries(many(n, 0).map((_, i) => [`k${i}`, 'v']));

const BAD_BODIES: [string, unknown, string[]][] = [
  ['no object', [], ['body']],
  ['null', null, ['body']],
  ['no items', {}, ['items']],
  ['empty items', { items: [] }, ['items']],
  ['items not a list', { items: {} }, ['items']],
  ['51 lines', { items: many(51, line) }, ['items']],
  ['a line that is no object', { items: [line, 7] }, ['items[1]']],
  ['a line without a product', { items: [{ quantity: 1 }] }, ['items[0].product_id']],
  ['a line without a quantity', { items: [{ product_id: P1 }] }, ['items[0].quantity']],
  [
    'a product id that is no UUID',
    { items: [{ ...line, product_id: 'x' }] },
    ['items[0].product_id'],
  ],
  ['a UUID with a tail', { items: [{ ...line, product_id: `${P1}\n` }] }, ['items[0].product_id']],
  ['quantity 0', { items: [{ ...line, quantity: 0 }] }, ['items[0].quantity']],
  ['quantity below 0', { items: [{ ...line, quantity: -1 }] }, ['items[0].quantity']],
  ['quantity 1.5', { items: [{ ...line, quantity: 1.5 }] }, ['items[0].quantity']],
  ['quantity as text', { items: [{ ...line, quantity: '1' }] }, ['items[0].quantity']],
  ['quantity true', { items: [{ ...line, quantity: true }] }, ['items[0].quantity']],
  ['quantity null', { items: [{ ...line, quantity: null }] }, ['items[0].quantity']],
  ['quantity over the bound', { items: [{ ...line, quantity: 1_000_001 }] }, ['items[0].quantity']],
  [
    'lines whose sum would be negative in 32 bits',
    { items: many(2, { ...line, quantity: 2 ** 31 - 1 }) },
    ['items[0].quantity'],
  ],
  ['two mistakes: the first', { items: [{ product_id: 1, quantity: 0 }] }, ['items[0].product_id']],
  ['an unknown field', { ...ORDER, price: 1 }, ['price']],
  ['a customer: the token says who it is', { ...ORDER, user_id: P1 }, ['user_id']],
  ['an unknown field in a line', { items: [{ ...line, price: 1 }] }, ['items[0].price']],
  ['a long reference', { ...ORDER, reference: 'x'.repeat(101) }, ['reference']],
  ['a reference with NUL', { ...ORDER, reference: 'a\u0000' }, ['reference']],
  ['a reference with a lone surrogate', { ...ORDER, reference: 'a\ud800' }, ['reference']],
  ['a reference that is a number', { ...ORDER, reference: 5 }, ['reference']],
  ['metadata as a list', { ...ORDER, metadata: [] }, ['metadata']],
  ['21 pairs', { ...ORDER, metadata: pairs(21) }, ['metadata']],
  ['a value that is no string', { ...ORDER, metadata: { a: 1 } }, ['metadata.a']],
  ['a value with NUL', { ...ORDER, metadata: { a: '\u0000' } }, ['metadata.a']],
  ['a key with a lone surrogate', { ...ORDER, metadata: { 'k\udc00': 'v' } }, ['metadata.k\udc00']],
  ['a key with NUL', { ...ORDER, metadata: { 'k\u0000': 'v' } }, ['metadata.k\u0000']],
  ['over 2 KB', { ...ORDER, metadata: { a: 'é'.repeat(1030) } }, ['metadata']],
];

describe('a body that is not valid is refused with the path of the offender', () => {
  const app = new TestApp();

  test.each(BAD_BODIES)('%s', async (_name, body, paths) => {
    const headers = { ...app.customer, 'content-type': 'application/json' };
    const payload = JSON.stringify(body);
    const response = await app.send({ method: 'POST', url: '/orders', payload, headers });
    expect(expectInvalid(response)).toEqual(paths);
    expect(app.gateway.placed).toEqual([]);
  });

  test('lines of one product whose sum passes the bound: the later line, whatever its case', async () => {
    const app = new TestApp();
    const items = [
      { product_id: P1, quantity: 999_999 },
      { product_id: P2, quantity: 5 },
      { product_id: P1.toUpperCase(), quantity: 1 },
    ];
    expect((await app.post('/orders', { items }, app.customer)).statusCode).toBe(201);
    items.push({ product_id: P1, quantity: 1 });
    const response = await app.post('/orders', { items }, app.customer);
    expect(expectInvalid(response)).toEqual(['items[3].quantity']);
  });

  test('the bounds themselves are accepted', async () => {
    const app = new TestApp();
    const body = {
      items: [{ product_id: P1, quantity: 1_000_000 }, ...many(49, { ...line, product_id: P2 })],
      reference: '\u{1f600}'.repeat(100),
      metadata: { a: 'x'.repeat(2048 - '{"a":""}'.length) },
    };
    expect((await app.post('/orders', body, app.customer)).statusCode).toBe(201);
    const twenty = { ...ORDER, metadata: pairs(20) };
    expect((await app.post('/orders', twenty, app.customer)).statusCode).toBe(201);
  });

  test.each([
    ['lines', { items: many(16_000, 0) }, 'items'],
    ['fields', { ...ORDER, ...pairs(2_000) }, 'k0'],
    ['fields of a line', { items: [{ ...line, ...pairs(2_000) }] }, 'items[0].k0'],
    ['names', { ...ORDER, metadata: { 'a\u0000': '', 'b\u0000': '' } }, 'metadata.a\u0000'],
  ])('thousands of bad %s cost as much as one (I9)', async (_name, body, path) => {
    const response = await app.post('/orders', body, app.customer);
    expect(expectInvalid(response)).toEqual([path]);
  });

  test('the widest spelling of everything allowed is read', async () => {
    const app = new TestApp();
    const body = {
      items: many(50, { ...line, quantity: 1_000_000 / 50 }),
      reference: '\u{1f600}'.repeat(100),
      metadata: { a: 'x'.repeat(2048 - '{"a":""}'.length) },
    };
    const payload = widestJson(body);
    expect(payload.length).toBeGreaterThan(30_000);
    const headers = { ...app.customer, 'content-type': 'application/json' };
    const response = await app.send({ method: 'POST', url: '/orders', payload, headers });
    expect(response.statusCode).toBe(201);
    expect(app.gateway.placed).toMatchObject([
      { reference: body.reference, metadata: body.metadata },
    ]);
  });
});

const RAW: [string, string][] = [
  ['empty', ''],
  ['malformed JSON', '{"items":'],
  ['__proto__', '{"__proto__":{},"items":[]}'],
  ['constructor.prototype', '{"constructor":{"prototype":{}},"items":[]}'],
];

describe('bytes that are no order', () => {
  const app = new TestApp();

  test.each(RAW)('%s', async (_name, payload) => {
    const headers = { ...app.customer, 'content-type': 'application/json' };
    const response = await app.send({ method: 'POST', url: '/orders', payload, headers });
    expect(expectInvalid(response)).toEqual(['body']);
  });

  test('no body and no content type is validation too', async () => {
    const response = await app.send({ method: 'POST', url: '/orders', headers: app.customer });
    expect(expectInvalid(response)).toEqual(['body']);
  });

  test.each(['text/plain', 'application/xml', 'application/x-www-form-urlencoded'])(
    '%s is refused as a media type',
    async (type) => {
      const headers = { ...app.customer, 'content-type': type };
      const payload = JSON.stringify(ORDER);
      const response = await app.send({ method: 'POST', url: '/orders', payload, headers });
      expectProblem(response, 'unsupported-media-type');
    },
  );

  test('over 32 KiB is refused', async () => {
    const body = { ...ORDER, reference: 'x'.repeat(32_768) };
    expectProblem(await app.post('/orders', body, app.customer), 'body-too-large');
  });
});

describe('an Idempotency-Key', () => {
  test.each([
    ['empty', ''],
    ['with a space', 'a b'],
    ['not ASCII', 'é'],
    ['of 256 characters', 'k'.repeat(256)],
  ])('that is %s is refused', async (_name, key) => {
    const app = new TestApp();
    const headers = { ...app.customer, 'idempotency-key': key };
    const response = await app.post('/orders', ORDER, headers);
    expect(expectInvalid(response)).toEqual(['headers.idempotency-key']);
  });

  test('of 255 characters is accepted', async () => {
    const app = new TestApp();
    const key = '~'.repeat(255);
    await app.post('/orders', ORDER, { ...app.customer, 'idempotency-key': key });
    expect(app.gateway.placed).toMatchObject([{ idempotencyKey: key }]);
  });
});
