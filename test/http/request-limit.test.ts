import type { InjectOptions } from 'fastify';
import { describe, expect, test } from 'vitest';

import { expectProblem } from './expect-problem.ts';
import { ADMIN, CUSTOMER, STRANGER, TestApp } from './fake-ports.ts';

const LIMIT = 5;

function setUp(settings: ConstructorParameters<typeof TestApp>[1] = {}) {
  const app = new TestApp({}, { rateLimitPerMinute: LIMIT, ...settings });
  /** The statuses of requests that follow each other. */
  const statuses = async (options: InjectOptions, count = LIMIT + 1): Promise<number[]> => {
    const found: number[] = [];
    for (let n = 0; n < count; n += 1) found.push((await app.send(options)).statusCode);
    return found;
  };
  return { app, statuses };
}

const ORDERS = { method: 'GET', url: '/orders' } as const;
const upTo = (status: number, then = 429): number[] => [
  ...Array.from({ length: LIMIT }, () => status),
  then,
];

describe('a limit of requests per minute', () => {
  test('counts a customer, from wherever, and tells when to come back', async () => {
    const { app } = setUp();
    const from = (n: number) => ({
      ...ORDERS,
      headers: app.customer,
      remoteAddress: `192.0.2.${n}`,
    });
    for (let n = 0; n < LIMIT; n += 1) expect((await app.send(from(n))).statusCode).toBe(200);
    const refused = await app.send(from(LIMIT));
    expectProblem(refused, 'rate-limited');
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
  });

  test('counts each customer apart, and with each of its tokens', async () => {
    const { app, statuses } = setUp();
    expect(await statuses({ ...ORDERS, headers: app.customer })).toEqual(upTo(200));
    app.now += 1_000;
    expect(await statuses({ ...ORDERS, headers: app.bearer(CUSTOMER, 'admin') }, 1)).toEqual([429]);
    expect(await statuses({ ...ORDERS, headers: app.bearer(STRANGER, 'customer') })).toEqual(
      upTo(200),
    );
  });

  test('counts an address that shows no token, or one that is not valid', async () => {
    const { app, statuses } = setUp();
    const bad = { ...ORDERS, headers: { authorization: 'Bearer a.b.c' } };
    expect(await statuses(bad)).toEqual(upTo(401));
    expect(await statuses({ method: 'GET', url: '/products' }, 1)).toEqual([429]);
    expect(await statuses({ ...ORDERS, headers: app.customer }, 1)).toEqual([200]);
    expect(await statuses({ ...bad, remoteAddress: '192.0.2.2' })).toEqual(upTo(401));
  });

  test('counts what leads nowhere, before it is looked at', async () => {
    const { statuses } = setUp();
    expect(await statuses({ method: 'GET', url: '/nowhere' })).toEqual(upTo(404));
    expect(await statuses({ method: 'POST', url: '/nowhere', payload: 'x' }, 1)).toEqual([429]);
  });

  test('counts no health check and no attempt to log in, which has its own', async () => {
    const { statuses } = setUp({ loginAttemptsPerMinute: 3 * LIMIT });
    for (const url of ['/health/live', '/health/ready']) {
      expect(await statuses({ method: 'GET', url })).toEqual(upTo(200, 200));
    }
    const login = { email: 'a@b.test', password: 'x' };
    expect(await statuses({ method: 'POST', url: '/users/login', payload: login })).toEqual(
      upTo(401, 401),
    );
    expect(await statuses({ method: 'GET', url: '/products' })).toEqual(upTo(200));
  });

  test('takes the address that the proxy saw', async () => {
    const { app } = setUp({ trustProxy: true });
    const from = (address: string) => app.get('/products', { 'x-forwarded-for': address });
    for (let n = 0; n < LIMIT; n += 1) {
      expect((await from(`198.51.100.${n}, 203.0.113.9`)).statusCode).toBe(200);
    }
    expect((await from('203.0.113.9')).statusCode).toBe(429);
    expect((await from('203.0.113.10')).statusCode).toBe(200);
  });

  test('is off unless it is asked for', async () => {
    const { app, statuses } = setUp({ rateLimitPerMinute: 0 });
    const headers = app.bearer(ADMIN, 'admin');
    expect(new Set(await statuses({ ...ORDERS, headers }, 100))).toEqual(new Set([200]));
    expect((await app.app).hasDecorator('createRateLimit')).toBe(false);
  });
});
