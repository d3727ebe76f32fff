/** GET /admin/events over real sockets; what is in an event is tested in admin-feed.test.ts. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { createAccessTokens } from '../../src/http/access-tokens.ts';
import { LISTENERS_MAX } from '../../src/http/admin-feed.ts';
import { until } from '../support/until.ts';
import { makeActor } from './fake-engine.ts';
import { ADMIN, productId, SECRET, TestApp } from './fake-ports.ts';

/** How long a close may take that nothing but a bound can end, milliseconds. */
const CLOSE_MS_MAX = 4_000;
/** More than the buffers of two sockets can hold. */
const NAME_CHARS = 30_000_000;

let app: TestApp;
let url: string;

beforeEach(async () => {
  app = new TestApp();
  url = await (await app.app).listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  vi.useRealTimers();
  await (await app.app).close();
});

/** From now on seconds pass for the app when a test says so. */
function holdTime(): () => Promise<unknown> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => vi.advanceTimersByTimeAsync(1_000);
}

async function listen(query = '', headers = app.admin) {
  const leaving = new AbortController();
  const { signal } = leaving;
  const response = await fetch(`${url}/admin/events${query}`, { headers, signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) throw new Error('no body');
  const next = async () => {
    const { value } = await reader.read();
    return value;
  };
  return { response, next, leave: () => leaving.abort() };
}

test('events arrive over a socket, the first one at once', async () => {
  const second = holdTime();
  app.inspector.actorRows.push(makeActor(productId(1)));
  const { response, next } = await listen(`?sort=depth&limit=3&product_id=${productId(1)}`);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-request-id': expect.any(String),
  });
  const event = await next();
  expect(event).toMatch(/^event: state\ndata: \{.*\}\n\n$/);
  expect(event).toContain(`"actor":{"product_id":"${productId(1)}"`);
  expect(app.inspector.asked).toEqual([{ sort: 'depth', limit: 3 }]);
  await second();
  expect(await next()).toMatch(/^event: state\n/);
});

test('there is room for 20, and again when one leaves (I9)', async () => {
  const all = await Promise.all(Array.from({ length: LISTENERS_MAX }, () => listen()));
  await Promise.all(all.map(({ next }) => next()));
  expect(app.inspector.asked).toHaveLength(1);
  const refused = await fetch(`${url}/admin/events`, { headers: app.admin });
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(await refused.json()).toMatchObject({ code: 'overloaded' });
  all[0]?.leave();
  await until('room', async () => {
    const { response, leave } = await listen();
    leave();
    return response.status === 200;
  });
});

test('a stream ends when its token expires', async () => {
  const second = holdTime();
  const tokens = createAccessTokens({ secret: SECRET, ttlSeconds: 2, clock: () => app.now });
  const { token } = tokens.issue({ userId: ADMIN, role: 'admin' });
  const { next } = await listen('', { authorization: `Bearer ${token}` });
  expect(await next()).toBeDefined();
  await second();
  expect(await next()).toBeDefined();
  app.now += 2_000;
  await second();
  expect(await next()).toBeUndefined();
});

test('a stop does not wait for those who listen, and ends their streams', async () => {
  const { next } = await listen();
  await next();
  const start = performance.now();
  const closed = (await app.app).close();
  expect(await next()).toBeUndefined();
  await closed;
  expect(performance.now() - start).toBeLessThan(CLOSE_MS_MAX);
});

test('who does not read is sent no more than one event, and does not hold a stop up (I9)', async () => {
  const { server } = await app.app;
  app.inspector.actorRows.push(makeActor(productId(1), { name: 'x'.repeat(NAME_CHARS) }));
  const accepted = once(server, 'connection');
  const client = connect(Number(new URL(url).port), '127.0.0.1').pause();
  const { authorization } = app.admin;
  client.write(`GET /admin/events HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n\r\n`);
  const [socket]: Socket[] = await accepted;
  if (socket === undefined) throw new Error('no connection');
  const second = holdTime();
  const held = () => socket.writableLength;
  while (held() === 0) await second();
  await second();
  const before = held();
  const asked = app.inspector.asked.length;
  await second();
  await second();
  expect(app.inspector.asked.length).toBeGreaterThan(asked);
  expect(held()).toBeLessThanOrEqual(before);
  vi.useRealTimers();
  const start = performance.now();
  await (await app.app).close();
  expect(performance.now() - start).toBeLessThan(CLOSE_MS_MAX);
  client.destroy();
});

test('HEAD opens no stream', async () => {
  const response = await fetch(`${url}/admin/events`, { method: 'HEAD', headers: app.admin });
  expect(response.status).toBe(404);
  expect(app.inspector.asked).toEqual([]);
});
