import { describe, expect, test } from 'vitest';

import { expectProblem } from './expect-problem.ts';
import { makeProduct, productId, TestApp } from './fake-ports.ts';

const BAD = { authorization: 'Bearer a.b.c' };

describe('a route that needs an identity', () => {
  test.each([
    ['POST', '/orders'],
    ['GET', '/orders'],
    ['GET', '/orders/not-an-id'],
    ['GET', '/users/me'],
    ['GET', '/users/not-an-id'],
    ['PUT', '/users/not-an-id/role'],
    ['POST', '/products/not-an-id/stock'],
  ] as const)('%s %s is 401 before anything else is looked at', async (method, url) => {
    const app = new TestApp();
    const payload = method !== 'GET' ? { payload: { nonsense: true } } : {};
    expectProblem(await app.send({ method, url, ...payload }), 'unauthenticated');
    expectProblem(await app.send({ method, url, headers: BAD, ...payload }), 'unauthenticated');
  });

  test('reads no body of a stranger, of whatever size and type', async () => {
    const app = new TestApp();
    const headers = { 'content-type': 'text/plain' };
    const payload = 'x'.repeat(100_000);
    const response = await app.send({ method: 'POST', url: '/orders', payload, headers });
    expectProblem(response, 'unauthenticated');
  });

  test('ends with the token', async () => {
    const app = new TestApp();
    const token = app.customer;
    expect((await app.get('/orders', token)).statusCode).toBe(200);
    app.now += 3_600_000;
    expectProblem(await app.get('/orders', token), 'unauthenticated');
  });
});

test('where an identity is optional, a token that is not valid is refused all the same', async () => {
  const app = new TestApp();
  app.catalogue.rows.push(makeProduct(1));
  for (const url of ['/products', `/products/${productId(1)}`]) {
    expect((await app.get(url)).statusCode).toBe(200);
    expectProblem(await app.get(url, BAD), 'unauthenticated');
  }
});
