import { describe, expect, test } from 'vitest';

import { expectProblem } from './expect-problem.ts';
import { TestApp } from './fake-ports.ts';

const TOKEN = 'a-token-of-the-tests';
const open = (): TestApp => new TestApp();
const guarded = (): TestApp => new TestApp({}, { metricsToken: TOKEN });

describe('GET /metrics', () => {
  test("answers with Prometheus's text, which nobody keeps", async () => {
    const response = await open().get('/metrics');
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(response.body).toBe('hedonify_ready 1\n');
  });

  test('answers HEAD without the text', async () => {
    const response = await open().send({ method: 'HEAD', url: '/metrics' });
    expect(response.statusCode).toBe(200);
    expect(response.body).toBe('');
  });

  test('is not counted by RATE_LIMIT_PER_MINUTE', async () => {
    const app = new TestApp({}, { rateLimitPerMinute: 1 });
    for (let n = 0; n < 3; n += 1) expect((await app.get('/metrics')).statusCode).toBe(200);
  });
});

describe('without METRICS_TOKEN', () => {
  test.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1'])(
    'this machine is answered: %s',
    async (remoteAddress) => {
      const response = await open().send({ url: '/metrics', remoteAddress });
      expect(response.statusCode).toBe(200);
    },
  );

  test.each(['10.0.0.1', '128.0.0.1', '::', 'fe80::1', '::ffff:10.0.0.1', '2001:db8::1'])(
    'another one is not: %s',
    async (remoteAddress) => {
      expectProblem(await open().send({ url: '/metrics', remoteAddress }), 'forbidden');
    },
  );

  test.each([false, true])(
    'nobody becomes local by what a header says (TRUST_PROXY %s)',
    async (trustProxy) => {
      const app = new TestApp({}, { trustProxy });
      const response = await app.send({
        url: '/metrics',
        remoteAddress: '10.0.0.1',
        headers: { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', host: 'localhost' },
      });
      expectProblem(response, 'forbidden');
    },
  );

  test.each([
    { 'x-forwarded-for': '203.0.113.9' },
    { 'x-forwarded-for': '127.0.0.1' },
    { 'x-forwarded-for': '' },
    { forwarded: 'for=203.0.113.9' },
    { 'x-real-ip': '203.0.113.9' },
    { via: '1.1 proxy' },
  ])('what a proxy on this machine passed on is not local: %o', async (headers) => {
    for (const trustProxy of [false, true]) {
      const app = new TestApp({}, { trustProxy });
      expectProblem(await app.send({ url: '/metrics', headers }), 'forbidden');
    }
  });
});

describe('with METRICS_TOKEN', () => {
  test.each([`Bearer ${TOKEN}`, `bearer  ${TOKEN}`])(
    'whoever has it is answered, from anywhere: %s',
    async (authorization) => {
      const response = await guarded().send({
        url: '/metrics',
        remoteAddress: '10.0.0.1',
        headers: { authorization, 'x-forwarded-for': '203.0.113.9' },
      });
      expect(response.statusCode).toBe(200);
    },
  );

  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
  ])('nobody else is, on this machine neither: %s', async (authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await guarded().get('/metrics', headers);
    expectProblem(response, 'unauthenticated');
    expect(response.headers['www-authenticate']).toMatch(/^Bearer/);
  });

  test('an access token is none', async () => {
    const app = guarded();
    expectProblem(await app.get('/metrics', app.customer), 'unauthenticated');
  });
});
