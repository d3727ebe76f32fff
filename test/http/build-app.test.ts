import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

import { describe, expect, test } from 'vitest';

import { expectInvalid, expectProblem } from './expect-problem.ts';
import { productId, TestApp } from './fake-ports.ts';

describe('X-Request-Id', () => {
  test.each(['a', '~'.repeat(128), '!"#$%'])('%j is taken and sent back', async (id) => {
    const response = await new TestApp().get('/health/live', { 'x-request-id': id });
    expect(response.headers['x-request-id']).toBe(id);
  });

  test.each(['', 'a b', 'é', 'x'.repeat(129)])('%j is replaced by a new one', async (id) => {
    const response = await new TestApp().get('/nowhere', { 'x-request-id': id });
    expect(response.headers['x-request-id']).toMatch(/^[\w-]{8,}$/);
    expectProblem(response, 'not-found');
  });

  test('is different in every answer', async () => {
    const app = new TestApp();
    const answers = await Promise.all(Array.from({ length: 50 }, () => app.get('/health/live')));
    expect(new Set(answers.map(({ headers }) => headers['x-request-id'])).size).toBe(50);
  });
});

describe('an address that leads nowhere', () => {
  test('is a not-found problem whose instance has no query', async () => {
    const response = await new TestApp().get('/nowhere?token=secret');
    expect(expectProblem(response, 'not-found').instance).toBe('/nowhere');
    expect(response.body).not.toContain('secret');
  });

  test('with the wrong method, a body of any type, or an escape that is none', async () => {
    const app = new TestApp();
    expectProblem(await app.send({ method: 'DELETE', url: '/orders' }), 'not-found');
    const headers = { 'content-type': 'text/plain' };
    const text = await app.send({ method: 'POST', url: '/nowhere', payload: 'x', headers });
    expectProblem(text, 'not-found');
    expect(expectInvalid(await app.get('/orders/%zz'))).toEqual(['url']);
  });
});

describe('health', () => {
  test('is alive whatever else is wrong', async () => {
    const app = new TestApp();
    app.notReady = 'starting';
    const response = await app.get('/health/live');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ status: 'live' });
  });

  test('is ready, or says why not', async () => {
    const app = new TestApp();
    expect((await app.get('/health/ready')).json()).toEqual({ status: 'ready' });
    for (const reason of ['shard 1 is loading', 'PostgreSQL cannot be reached']) {
      app.notReady = reason;
      const body = expectProblem(await app.get('/health/ready'), 'not-ready');
      expect(body.reason).toBe(reason);
    }
    app.notReady = null;
    expect((await app.get('/health/ready')).statusCode).toBe(200);
  });
});

test('a refusal is logged at debug with its code and route, without personal data', async () => {
  const app = new TestApp();
  await app.get('/orders?q=secret', { authorization: 'Bearer secret' });
  expect(app.log).toEqual([
    expect.objectContaining({ level: 20, code: 'unauthenticated', route: '/orders' }),
  ]);
  expect(JSON.stringify(app.log)).not.toContain('secret');
});

/** Writes bytes to a socket of the listening app and reads until it is closed. */
async function listening(test: TestApp): Promise<{ port: number; close: () => Promise<void> }> {
  const app = await test.app;
  const address = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  return { port: Number(address.port), close: () => app.close() };
}

function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
}

/** From here on orders wait for the gate; `entered` says that one does. */
function holdOrders(fake: TestApp) {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  fake.gateway.gate = () => {
    entered.resolve();
    return gate.promise;
  };
  return { gate, entered };
}

/** An order of a client that keeps its connection. */
function orderBytes(fake: TestApp): string {
  const body = JSON.stringify({ items: [{ product_id: productId(1), quantity: 1 }] });
  const head = [
    'POST /orders HTTP/1.1',
    'host: x',
    `authorization: ${fake.customer.authorization}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** How long a close may take that nothing but a bound can end, milliseconds. */
const CLOSE_MS_MAX = 4_000;

describe('on a socket', () => {
  test('bytes that are no HTTP get a problem with a request id', async () => {
    const { port, close } = await listening(new TestApp());
    const received = await exchange(port, 'HELLO\r\n\r\n');
    expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(received).toMatch(/\r\nx-request-id: [\w-]+\r\n/);
    expect(received).toContain('"code":"validation"');
    await close();
  });

  test('headers past the bound are refused with 431', async () => {
    const { port, close } = await listening(new TestApp());
    const received = await exchange(port, `GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(received).toMatch(/^HTTP\/1\.1 431 /);
    expect(received).toContain('"code":"headers-too-large"');
    await close();
  });

  test('while closing, what was accepted is answered and what comes later is told to go', async () => {
    const fake = new TestApp();
    const { port, close } = await listening(fake);
    const { gate, entered } = holdOrders(fake);
    let requests = 0;
    (await fake.app).server.on('request', () => (requests += 1));
    const socket = connect(port, '127.0.0.1');
    const ended = once(socket, 'close');
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.write(orderBytes(fake));
    await entered.promise;
    const closed = close();
    socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n');
    // It is refused at once, and its answer waits behind the answer to the first.
    await expect.poll(() => requests).toBe(2);
    gate.resolve();
    await closed;
    await ended;
    expect(received).toMatch(/^HTTP\/1\.1 201 Created\r\n/);
    expect(received).toContain('"code":"shutting-down"');
    expect(received).toMatch(/\r\nretry-after: 2\r\n/);
  });

  test('a clean stop answers what is in flight and does not wait for its client to hang up', async () => {
    const fake = new TestApp();
    const { port, close } = await listening(fake);
    const { gate, entered } = holdOrders(fake);
    const answered = exchange(port, orderBytes(fake));
    await entered.promise;
    const closed = close();
    // By then Node has closed what was idle: this connection was not.
    const { server } = await fake.app;
    await expect.poll(() => server.listening).toBe(false);
    gate.resolve();
    const start = performance.now();
    await closed;
    expect(performance.now() - start).toBeLessThan(CLOSE_MS_MAX);
    const received = await answered;
    expect(received).toMatch(/^HTTP\/1\.1 201 Created\r\n/);
    expect(received).toMatch(/\}$/);
  });

  test.each([
    ['stops half-way through its headers', 'GET / HTTP/1.1\r\nhost'],
    ['stops half-way through its body', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1'],
  ])('a client that %s holds a clean stop up for a bounded time (I9)', async (_name, bytes) => {
    const fake = new TestApp({}, { requestTimeoutMs: 100 });
    const { port, close } = await listening(fake);
    const app = await fake.app;
    const connected = once(app.server, 'connection');
    const received = exchange(port, bytes);
    const [socket]: Socket[] = await connected;
    // A connection that has sent nothing yet would be closed as an idle one.
    await expect.poll(() => socket?.bytesRead).toBe(bytes.length);
    const start = performance.now();
    await close();
    expect(performance.now() - start).toBeLessThan(CLOSE_MS_MAX);
    await received;
  });
});
