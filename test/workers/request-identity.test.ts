import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import { parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { ChangeStock, PlaceOrder } from '../../src/domain/ports.ts';
import { effectId } from '../../src/db/effect-id.ts';
import {
  canonicalLines,
  canonicalMetadata,
  freshId,
  orderHash,
  stockChangeHash,
} from '../../src/workers/request-identity.ts';

const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function user(text: string): UserId {
  const id = parseUserId(text);
  if (id === undefined) throw new Error(`${text} is no user id`);
  return id;
}

function product(text: string): ProductId {
  const id = parseProductId(text);
  if (id === undefined) throw new Error(`${text} is no product id`);
  return id;
}

const users = fc.uuid().map(user);
/** As an Idempotency-Key may be: 1 to 255 visible ASCII characters, UUIDs among them. */
const keys = fc.oneof(
  fc.uuid({ version: 7 }),
  fc.uuid(),
  fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 255,
  }),
);
/** Few products, so that lines meet. */
const products = fc.integer({ min: 0, max: 3 }).map((n) => product(`${'0'.repeat(8)}-0000-7000-8000-00000000000${n}`)); // prettier-ignore
const lines = fc.array(
  fc.record({ productId: products, quantity: fc.integer({ min: 1, max: 1000 }) }),
  { minLength: 1, maxLength: 8 },
);
const metadata = fc.option(
  fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), { maxKeys: 4 }),
);
const references = fc.option(fc.string({ maxLength: 3 }));

type Request = Pick<PlaceOrder, 'userId' | 'lines' | 'reference' | 'metadata'>;
const requests = fc.record<Request>({
  userId: fc.constantFrom(user(`${'1'.repeat(8)}-0000-4000-8000-000000000000`), user(`${'2'.repeat(8)}-0000-4000-8000-000000000000`)), // prettier-ignore
  lines,
  reference: references,
  metadata,
});

function canonical(request: Request) {
  return {
    userId: request.userId,
    lines: canonicalLines(request.lines),
    reference: request.reference,
    metadata: canonicalMetadata(request.metadata),
  };
}

function hashOf(request: Request): string {
  return orderHash(canonical(request));
}

describe('the id of an effect (I3)', () => {
  it('stays what it was when the first order was taken: another function would unbind every key', () => {
    const customer = user('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70');
    expect(effectId(customer, 'order-1')).toBe('81cd5a58-f65f-87bd-918c-ceb98b388d02');
    expect(effectId(customer, '01981b6e-7a3c-7def-8123-456789abcdef')).toBe(
      '01981b6e-7a3c-831d-b810-b10f3ae6ae75',
    );
  });

  it('is a UUIDv8 and a function of customer and key alone', () => {
    fc.assert(
      fc.property(users, keys, (customer, key) => {
        const id = effectId(customer, key);
        expect(id).toMatch(UUID_V8);
        expect(effectId(customer, key)).toBe(id);
      }),
    );
  });

  it('is another for another customer or another key', () => {
    fc.assert(
      fc.property(fc.tuple(users, users), fc.tuple(keys, keys), ([a, b], [k, l]) => {
        expect(effectId(a, k) === effectId(b, l)).toBe(a === b && k === l);
        expect(effectId(a, k) === effectId(b, k)).toBe(a === b);
        expect(effectId(a, k) === effectId(a, l)).toBe(k === l);
      }),
    );
  });

  it('does not run customer and key together', () => {
    const customer = '0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70';
    const last = customer.slice(0, -1);
    expect(effectId(user(customer), 'a')).not.toBe(effectId(user(`${last}1`), '0a'));
  });

  it('keeps the 48 bits of time of a key that is a UUIDv7, so that index inserts stay local', () => {
    fc.assert(
      fc.property(users, fc.uuid({ version: 7 }), fc.boolean(), (customer, key, upper) => {
        const id = effectId(customer, upper ? key.toUpperCase() : key);
        expect(id.slice(0, 13)).toBe(key.slice(0, 13));
        expect(id).toMatch(UUID_V8);
      }),
    );
  });

  it('takes no bits from any other key', () => {
    fc.assert(
      fc.property(users, fc.uuid({ version: [1, 2, 3, 4, 5, 6, 8] }), (customer, key) => {
        expect(effectId(customer, key).slice(0, 13)).not.toBe(key.slice(0, 13));
      }),
    );
  });

  it('of a request without a key is a UUIDv7 of the moment and never the same twice', () => {
    const now = 0x0198_1b6e_7a3c;
    const ids = Array.from({ length: 1000 }, () => freshId(now));
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) {
      expect(id).toMatch(UUID_V7);
      expect(id.slice(0, 13)).toBe('01981b6e-7a3c');
    }
    expect(freshId(5)).toMatch(/^00000000-0005-7/);
  });
});

describe('the canonical request', () => {
  it('has one line per product with the sum of its units, sorted by product', () => {
    fc.assert(
      fc.property(lines, (sent) => {
        const found = canonicalLines(sent);
        const ids = found.map(({ productId }) => productId);
        expect(ids).toEqual([...new Set(sent.map(({ productId }) => productId))].toSorted());
        for (const { productId, quantity } of found) {
          const units = sent.filter((line) => line.productId === productId);
          expect(quantity).toBe(units.reduce((sum, line) => sum + line.quantity, 0));
        }
      }),
    );
  });

  it('holds every pair of the metadata, whatever its name', () => {
    fc.assert(
      fc.property(metadata, (sent) => {
        const text = canonicalMetadata(sent);
        if (text === null || sent === null) {
          expect(text).toBe(sent);
          return;
        }
        // Not read back: JSON.parse itself misreads escaped keys (nodejs/node#63785).
        const pairs = Object.entries(sent).map((pair) => pair.map((side) => JSON.stringify(side)));
        const texts = pairs.map((pair) => pair.join(':'));
        for (const pair of texts) expect(text).toContain(pair);
        expect(text).toHaveLength(`{${texts.join()}}`.length);
      }),
      { examples: [[JSON.parse('{"__proto__":"x","10":"a","9":"b","":""}')]] },
    );
  });
});

describe('the hash of an order', () => {
  it('is 32 hex digits and does not see the order of lines, nor of metadata, nor how units are split', () => {
    const shuffled = requests.chain((request) =>
      fc.record({
        request: fc.constant(request),
        lines: fc.shuffledSubarray([...request.lines], { minLength: request.lines.length }),
        pairs: fc.shuffledSubarray(Object.entries(request.metadata ?? {}), {
          minLength: Object.keys(request.metadata ?? {}).length,
        }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ request, lines: other, pairs }) => {
        const split = other.flatMap(({ productId, quantity }) =>
          quantity === 1
            ? [{ productId, quantity }]
            : [
                { productId, quantity: 1 },
                { productId, quantity: quantity - 1 },
              ],
        );
        const same = {
          ...request,
          lines: split,
          metadata: request.metadata === null ? null : Object.fromEntries(pairs),
        };
        expect(hashOf(same)).toBe(hashOf(request));
        expect(hashOf(request)).toMatch(/^[0-9a-f]{32}$/);
      }),
    );
  });

  it('is equal exactly when the canonical requests are', () => {
    fc.assert(
      fc.property(requests, requests, (a, b) => {
        const equal = JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
        expect(hashOf(a) === hashOf(b)).toBe(equal);
      }),
      { numRuns: 500 },
    );
  });

  const base: Request = {
    userId: user('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70'),
    lines: [{ productId: product('00000000-0000-7000-8000-000000000001'), quantity: 1 }],
    reference: null,
    metadata: null,
  };
  const others: readonly (readonly [string, Partial<Request>])[] = [
    ['another customer', { userId: user('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c71') }],
    ['another quantity', { lines: base.lines.map((line) => ({ ...line, quantity: 2 })) }],
    ['another product', { lines: [{ productId: product('00000000-0000-7000-8000-000000000002'), quantity: 1 }] }], // prettier-ignore
    ['one more product', { lines: [...base.lines, { productId: product('00000000-0000-7000-8000-000000000002'), quantity: 1 }] }], // prettier-ignore
    ['an empty reference', { reference: '' }],
    ['a reference', { reference: 'a' }],
    ['a reference that says null', { reference: 'null' }],
    ['empty metadata', { metadata: {} }],
    ['a pair', { metadata: { a: '' } }],
    ['the pair turned round', { metadata: { '': 'a' } }],
  ];

  it.each(others)('differs with %s', (_, other) => {
    expect(hashOf({ ...base, ...other })).not.toBe(hashOf(base));
  });

  it('differs between any two of these', () => {
    const hashes = others.map(([, other]) => hashOf({ ...base, ...other }));
    expect(new Set(hashes).size).toBe(others.length);
  });
});

describe('the hash of a stock change', () => {
  const base: ChangeStock = {
    author: user('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70'),
    idempotencyKey: 'k',
    productId: product('00000000-0000-7000-8000-000000000001'),
    delta: 1,
    reason: 'delivery',
    traceparent: null,
  };

  it('differs with author, product, delta and reason', () => {
    const others: readonly ChangeStock[] = [
      base,
      { ...base, author: user('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c71') },
      { ...base, productId: product('00000000-0000-7000-8000-000000000002') },
      { ...base, delta: -1 },
      { ...base, reason: 'Delivery' },
    ];
    expect(new Set(others.map(stockChangeHash)).size).toBe(others.length);
  });

  it('does not depend on the key or the trace', () => {
    const again = { ...base, idempotencyKey: 'l', traceparent: '00-1-2-01' };
    expect(stockChangeHash(again)).toBe(stockChangeHash(base));
  });

  it('is never that of an order', () => {
    const lines = [{ productId: base.productId, quantity: 1 }];
    const order = { userId: base.author, lines, reference: null, metadata: null };
    expect(stockChangeHash(base)).not.toBe(orderHash(order));
  });
});
