/**
 * docs/api.md against the whole server, from its first command to its last: nothing that the page
 * shows of an answer, a delivery or its signature is written from memory.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiWalk } from '../support/api-walk.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { expectCleanAudit } from '../support/shop.ts';
import type { Message } from '../support/walk-match.ts';
import { stepsOf } from '../support/walk-page.ts';

/** As the page calls them. */
const SHOP = 'http://127.0.0.1:3000';
const RECEIVER = 'http://127.0.0.1:9000';

interface Delivery extends Message {
  readonly headers: Readonly<Record<string, string>>;
  /** What is signed. */
  readonly text: string;
}

const page = readFileSync(resolve(import.meta.dirname, '../../docs/api.md'), 'utf8');
const deliveries: Delivery[] = [];
let receiver: Server;
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  receiver = createServer((request, response) => {
    void take(request).then(() => response.writeHead(204).end());
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  database = await createTestDatabase();
  server = await ServerProcess.start({
    databaseUrl: database.url,
    // With one shard the places in the order of service have no gaps.
    env: { SEED_DEMO: 'true', SHARDS: '1', WEBHOOK_ALLOW_PRIVATE: 'true' },
  });
});

afterAll(async () => {
  await server.stop();
  receiver.close();
  await expectCleanAudit(database);
  await database.close();
});

async function take(request: IncomingMessage): Promise<void> {
  const { method, url, httpVersion } = request;
  const body = await text(request);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
  deliveries.push({
    start: `${method} ${url} HTTP/${httpVersion}`,
    headers: Object.fromEntries(headers),
    body: JSON.parse(body),
    text: body,
  });
}

function receiverUrl(): string {
  const address = receiver.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

test('docs/api.md shows what the service answers and sends, line by line', async () => {
  const addresses = [
    [SHOP, server.url],
    [RECEIVER, receiverUrl()],
  ] as const;
  const walk = new ApiWalk({ addresses, received: () => deliveries });
  const steps = stepsOf(page);
  expect(steps.filter(({ kind }) => kind === 'command').length).toBeGreaterThan(30);
  for (const step of steps) await walk.take(step);

  const code = steps.filter((step) => step.kind === 'code').map((step) => step.text);
  await checkSignatures(code.join('\n'), walk.variable('SECRET') ?? '');
});

/** The page's own way to know who sent a delivery, on those that came. */
async function checkSignatures(code: string, secret: string): Promise<void> {
  const module = `data:text/javascript,${encodeURIComponent(code)}`;
  const { isAuthentic } = (await import(/* @vite-ignore */ module)) as {
    isAuthentic: (secret: string, headers: object, body: string) => boolean;
  };
  expect(deliveries.length).toBeGreaterThan(0);
  for (const { headers, text: body } of deliveries) {
    const late = { ...headers, 'webhook-timestamp': '1' };
    expect(isAuthentic(secret, headers, body)).toBe(true);
    expect(isAuthentic(secret, headers, body.replace('1', '2'))).toBe(false);
    expect(isAuthentic(`whsec_${btoa('another one')}`, headers, body)).toBe(false);
    expect(isAuthentic(secret, late, body)).toBe(false);
    expect(isAuthentic(secret, {}, body)).toBe(false);
  }
}
