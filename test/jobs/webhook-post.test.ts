import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createSendPost } from '../../src/jobs/webhook-post.ts';
import type { Resolve } from '../../src/jobs/webhook-target.ts';
import { WebhookTarget } from '../../src/jobs/webhook-target.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

const portOf = (address: AddressInfo | string | null): number => {
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
};

/** A receiver; resolves with its port. */
async function receive(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return portOf(server.address());
}

/** A receiver that is no HTTP server. */
async function receiveTcp(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return portOf(server.address());
}

const lenient = new WebhookTarget({ allowPrivate: true });
const send = createSendPost({ target: lenient });
const quick = createSendPost({ target: lenient, totalMsMax: 200 });
const post = (port: number, host = '127.0.0.1') => ({
  url: `http://${host}:${port}/hooks?a=1`,
  headers: { 'x-test': 'yes' },
  body: '{"price":"5 €"}',
});

describe('a post', () => {
  test('arrives whole, and its answer is the status', async () => {
    const seen: unknown[] = [];
    const port = await receive((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        seen.push([request.method, request.url, request.headers['x-test'], body]);
        response.writeHead(204).end();
      });
    });
    expect(await send(post(port))).toEqual({ httpStatus: 204, failure: null });
    expect(seen).toEqual([['POST', '/hooks?a=1', 'yes', '{"price":"5 €"}']]);
  });

  test('does not follow a redirect', async () => {
    let requests = 0;
    const port = await receive((_request, response) => {
      requests += 1;
      response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
    });
    expect(await send(post(port))).toEqual({ httpStatus: 307, failure: null });
    expect(requests).toBe(1);
  });

  test('has the answer of a receiver that never stops talking (I9)', async () => {
    let sent = 0;
    const port = await receive((_request, response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(65_536);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      };
      response.on('drain', more);
      response.on('error', () => undefined);
      more();
    });
    expect(await send(post(port))).toEqual({ httpStatus: 200, failure: null });
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  test('has the answer of a receiver that begins one and never ends it', async () => {
    const port = await receive((_request, response) => void response.writeHead(200).write('...'));
    expect(await quick(post(port))).toEqual({ httpStatus: 200, failure: null });
  });

  test.each([
    ['is silent', () => undefined],
    ['never ends its headers', (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\nx: ')],
  ])('gives up a receiver that %s', async (_, onConnection) => {
    const port = await receiveTcp(onConnection);
    const answer = { httpStatus: null, failure: 'no answer within 200 ms' };
    expect(await quick(post(port))).toEqual(answer);
  });

  test.each([
    ['hangs up', (socket: Socket) => void socket.end(), /^ECONNRESET$/],
    ['speaks something else', (socket: Socket) => void socket.end('SSH-2.0\r\n'), /^HPE_/],
    [
      'has headers without end',
      (socket: Socket) => void socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`),
      /^HPE_HEADER_OVERFLOW$/,
    ],
  ])('fails at a receiver that %s', async (_, onConnection, failure) => {
    const port = await receiveTcp((socket) => socket.once('data', () => onConnection(socket)));
    const answer = await send(post(port));
    expect(answer.httpStatus).toBeNull();
    expect(answer.failure).toMatch(failure);
  });

  test('fails where nobody listens', async () => {
    const port = await receive(() => undefined);
    await closers.pop()?.();
    expect(await send(post(port))).toEqual({ httpStatus: null, failure: 'ECONNREFUSED' });
  });
});

describe('a post to an address that is not public', () => {
  /** What names lead to, one answer after the other. */
  const answers = (...all: string[]): { resolve: Resolve; asked: () => number } => {
    let asked = 0;
    const resolve: Resolve = async () => {
      const address = all[Math.min(asked, all.length - 1)] ?? '';
      asked += 1;
      return [{ address, family: 4 }];
    };
    return { resolve, asked: () => asked };
  };

  test('is refused when the URL names it', async () => {
    let requests = 0;
    const port = await receive((_request, response) => {
      requests += 1;
      response.end();
    });
    const strict = createSendPost({ target: new WebhookTarget({ allowPrivate: false }) });
    const failure = 'the address must not lead to a private or local address';
    expect(await strict(post(port))).toEqual({ httpStatus: null, failure });
    expect(await strict(post(port, 'localhost'))).toEqual({ httpStatus: null, failure });
    expect(requests).toBe(0);
  });

  test('is refused when its name leads there, today', async () => {
    let connections = 0;
    const port = await receiveTcp((socket) => {
      connections += 1;
      socket.end();
    });
    const { resolve, asked } = answers('127.0.0.1');
    const target = new WebhookTarget({ allowPrivate: false, resolve });
    const failure = 'shop.example must not lead to a private or local address';
    const answer = await createSendPost({ target })(post(port, 'shop.example'));
    expect(answer).toEqual({ httpStatus: null, failure });
    expect([connections, asked()]).toEqual([0, 1]);
  });

  test('connects to the address that was checked: nobody asks the name server again', async () => {
    const port = await receive((_request, response) => void response.writeHead(204).end());
    const { resolve, asked } = answers('127.0.0.1', '192.0.2.1');
    const target = new WebhookTarget({ allowPrivate: true, resolve });
    const answer = await createSendPost({ target })(post(port, 'shop.example'));
    expect(answer).toEqual({ httpStatus: 204, failure: null });
    expect(asked()).toBe(1);
  });
});
