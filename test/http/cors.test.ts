import { describe, expect, test } from 'vitest';

import { expectProblem } from './expect-problem.ts';
import { productId, TestApp } from './fake-ports.ts';

const SHOP = 'https://shop.example';
const OTHER = 'http://localhost:5173';
const PREFLIGHT = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type,idempotency-key',
};

const open = () => new TestApp({}, { corsOrigins: [SHOP, OTHER] });

function preflight(app: TestApp, origin: string, url = '/orders') {
  return app.send({ method: 'OPTIONS', url, headers: { origin, ...PREFLIGHT } });
}

describe('a page of an allowed origin', () => {
  test.each([SHOP, OTHER])('at %s may send what a client sends', async (origin) => {
    const { statusCode, headers } = await preflight(open(), origin);
    expect(statusCode).toBe(204);
    expect(headers['access-control-allow-origin']).toBe(origin);
    const allowed = String(headers['access-control-allow-headers']).toLowerCase().split(', ');
    expect(allowed).toEqual(
      expect.arrayContaining(['authorization', 'content-type', 'idempotency-key', 'if-match']),
    );
    expect(String(headers['access-control-allow-methods']).split(', ')).toEqual(
      expect.arrayContaining(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
    );
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
  });

  test('may read every answer, errors included, and the headers that a client needs', async () => {
    const app = open();
    for (const url of ['/health/live', '/orders', '/nowhere', `/products/${productId(1)}`]) {
      const { headers } = await app.get(url, { origin: SHOP });
      expect(headers['access-control-allow-origin'], url).toBe(SHOP);
      expect(headers['vary']).toMatch(/origin/i);
      expect(String(headers['access-control-expose-headers']).split(', ').toSorted()).toEqual([
        'ETag',
        'Idempotency-Replayed',
        'Location',
        'Retry-After',
        'X-Request-Id',
      ]);
    }
  });

  test('is asked nothing before a preflight, and it is not counted', async () => {
    const app = new TestApp({}, { corsOrigins: [SHOP], rateLimitPerMinute: 1 });
    for (let n = 0; n < 3; n += 1) expect((await preflight(app, SHOP)).statusCode).toBe(204);
    expect((await app.get('/products', { origin: SHOP })).statusCode).toBe(200);
    const refused = await app.get('/products', { origin: SHOP });
    expectProblem(refused, 'rate-limited');
    expect(refused.headers['access-control-allow-origin']).toBe(SHOP);
  });
});

test.each(['https://shop.example.evil', 'https://evil.example', 'http://shop.example', 'null'])(
  'a page of %s may not read anything',
  async (origin) => {
    const app = open();
    expect((await preflight(app, origin)).headers).not.toHaveProperty(
      'access-control-allow-origin',
    );
    const { headers } = await app.get('/health/live', { origin });
    expect(headers).not.toHaveProperty('access-control-allow-origin');
  },
);

test('without CORS_ORIGINS no answer speaks of origins, and OPTIONS leads nowhere', async () => {
  const app = new TestApp();
  expectProblem(await preflight(app, SHOP), 'not-found');
  const { headers } = await app.get('/health/live', { origin: SHOP });
  const names = Object.keys(headers).filter((name) => name.startsWith('access-control'));
  expect(names).toEqual([]);
});
