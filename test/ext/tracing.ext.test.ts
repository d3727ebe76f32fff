/** A trace through the whole server, as a collector receives it. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import type { ReceivedSpan } from '../support/otlp-receiver.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { RedisServer } from './redis-server.ts';

const CUSTOMER = '00000000-0000-7000-8000-0000000000c1';
const STOCK = 1_000;
const IDS = productIds(2);
const [HOT = '', SOLD_OUT = ''] = IDS;
/** Orders sent at once, so that they share batches. */
const RUSH = 100;
/** Two seconds for the spans, and what a stop takes anyway. */
const STOP_MS_MAX = 6_000;

let database: TestDatabase;
let redis: RedisServer;
let receiver: OtlpReceiver;
let server: ServerProcess;
const log: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [HOT], stock: STOCK });
  await makeProducts(database, { ids: [SOLD_OUT], stock: 0 });
  redis = await RedisServer.start();
  receiver = await OtlpReceiver.start();
  server = await ServerProcess.start({
    databaseUrl: database.url,
    env: {
      SHARDS: '2',
      REDIS_URL: redis.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_TRACES_SAMPLER: 'parentbased_always_off',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      OTEL_SERVICE_NAME: 'shop-of-the-test',
    },
    onLine: (line) => log.push(line),
  });
});

afterAll(async () => {
  await server.kill();
  await receiver.stop();
  await redis.stop();
  await database.close();
});

beforeEach(() => {
  receiver.spans.length = 0;
});

interface Trace {
  readonly id: string;
  readonly traceparent: string;
}

function newTrace(isSampled = true): Trace {
  const id = randomBytes(16).toString('hex');
  const spanId = randomBytes(8).toString('hex');
  return { id, traceparent: `00-${id}-${spanId}-${isSampled ? '01' : '00'}` };
}

interface Call {
  readonly trace?: Trace;
  readonly body?: object;
}

async function call(path: string, { trace, body }: Call): Promise<number> {
  const response = await fetch(`${server.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${tokenOf(CUSTOMER)}`,
      ...(trace === undefined ? {} : { traceparent: trace.traceparent }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  await response.arrayBuffer();
  return response.status;
}

const order = (product_id: string) => ({ items: [{ product_id, quantity: 1 }] });

/** The spans of a trace by name. */
function inTrace({ id }: Trace, name: string): readonly ReceivedSpan[] {
  return receiver.named(name).filter(({ traceId }) => traceId === id);
}

async function one(trace: Trace, name: string): Promise<ReceivedSpan> {
  await until(`span ${name}`, () => inTrace(trace, name).length > 0);
  const [span, ...others] = inTrace(trace, name);
  expect(others).toEqual([]);
  if (span === undefined) throw new Error(`no span ${name}`);
  return span;
}

/** Everything before it has arrived too: spans leave in the order in which they end. */
async function flushed(): Promise<void> {
  const last = newTrace();
  await call('/products', { trace: last });
  await one(last, 'GET /products');
}

describe('an order in a sampled trace', () => {
  test('is a request, a decision and a commit, linked to its batch and back', async () => {
    const trace = newTrace();
    expect(await call('/orders', { trace, body: order(HOT) })).toBe(201);
    const request = await one(trace, 'POST /orders');
    const decision = await one(trace, 'decide order');
    const commit = await one(trace, 'commit order');
    await until('the batch', () => receiver.named('commit batch').length > 0);
    const [batch] = receiver.named('commit batch');
    if (batch === undefined) throw new Error('no batch');

    expect(request).toMatchObject({
      kind: 'server',
      resource: { 'service.name': 'shop-of-the-test' },
    });
    expect(decision.parentSpanId).toBe(request.spanId);
    expect(commit.parentSpanId).toBe(request.spanId);
    expect(commit.links).toEqual([{ traceId: batch.traceId, spanId: batch.spanId }]);
    expect(batch.links).toEqual([{ traceId: trace.id, spanId: request.spanId }]);
    expect(batch.traceId).not.toBe(trace.id);
    expect(receiver.childrenOf(batch).map(({ name }) => name)).toEqual(['copy', 'merge', 'commit']);

    // In this order, to the millisecond of their clocks.
    expect(Math.floor(request.start)).toBeLessThanOrEqual(decision.start);
    expect(decision.end).toBe(commit.start);
    expect(commit.start).toBeLessThanOrEqual(batch.start);
    expect(commit.end).toBe(batch.end);
    expect(commit.end).toBeLessThanOrEqual(Math.ceil(request.end) + 1);
  });

  test('shares its batch with others: the batch links to the traced ones, and each of them to it', async () => {
    const traces = Array.from({ length: RUSH }, (_, n) => newTrace(n % 10 === 0));
    const answers = traces.map((trace) => call('/orders', { trace, body: order(HOT) }));
    expect(new Set(await Promise.all(answers))).toEqual(new Set([201]));
    const sampled = traces.filter((_, n) => n % 10 === 0);
    for (const trace of sampled) {
      const request = await one(trace, 'POST /orders');
      const commit = await one(trace, 'commit order');
      const [link] = commit.links;
      await until('its batch', () => receiver.spans.some(({ spanId }) => spanId === link?.spanId));
      const batch = receiver.spans.find(({ spanId }) => spanId === link?.spanId);
      expect(batch?.links).toContainEqual({ traceId: trace.id, spanId: request.spanId });
    }
    const known = new Set(sampled.map(({ id }) => id));
    const requests = receiver.spans.filter(({ kind }) => kind === 'server');
    expect(requests.filter(({ traceId }) => !known.has(traceId))).toEqual([]);
  });

  test('that is refused has a decision that says so, and no batch', async () => {
    const trace = newTrace();
    expect(await call('/orders', { trace, body: order(SOLD_OUT) })).toBe(409);
    const decision = await one(trace, 'decide order');
    expect(decision.attributes).toEqual({
      'hedonify.outcome': 'refused',
      'hedonify.code': 'out-of-stock',
    });
    expect(decision.parentSpanId).toBe((await one(trace, 'POST /orders')).spanId);
    await flushed();
    expect(receiver.named('commit batch')).toEqual([]);
  });

  test('is in the log by its trace', async () => {
    const trace = newTrace();
    await call('/orders', { trace, body: order(HOT) });
    const { spanId } = await one(trace, 'POST /orders');
    await until('its line', () => log.some((line) => line.includes(trace.id)));
    const line: unknown = JSON.parse(log.find((it) => it.includes(trace.id)) ?? '');
    expect(line).toMatchObject({ msg: 'request', status: 201, span_id: spanId });
  });
});

describe('a read in a sampled trace', () => {
  test('has its statements as client spans, with their text and without what was asked', async () => {
    const trace = newTrace();
    expect(await call('/orders', { trace })).toBe(200);
    const request = await one(trace, 'GET /orders');
    await flushed();
    const ours = receiver.spans.filter(({ traceId }) => traceId === trace.id);
    const statements = ours.filter(({ attributes }) => 'db.query.text' in attributes);
    expect(statements.length).toBeGreaterThan(0);
    for (const { kind, attributes } of statements) {
      expect(kind).toBe('client');
      expect(attributes['db.system.name']).toBe('postgresql');
    }
    const children = receiver.childrenOf(request);
    expect(children.length).toBeGreaterThan(0);
    expect(JSON.stringify(ours)).not.toContain(CUSTOMER);
  });

  test('has its commands to Redis, without key and value', async () => {
    const trace = newTrace();
    await until('the catalogue is cached', async () => {
      await call('/products?limit=7', {});
      return (await redis.client.keys('hedonify:cache:*')).length > 0;
    });
    expect(await call('/products?limit=7', { trace })).toBe(200);
    const request = await one(trace, 'GET /products');
    await flushed();
    const commands = receiver
      .childrenOf(request)
      .filter(({ attributes }) => attributes['db.system.name'] === 'redis');
    expect(commands.map(({ name }) => name)).toContain('get');
    expect(JSON.stringify(commands)).not.toContain('hedonify:cache');
  });
});

test.each([
  ['unsampled', newTrace(false)],
  ['without a trace', undefined],
])('a request that is %s sends nothing', async (_what, trace) => {
  for (const [path, body] of [
    ['/orders', order(HOT)],
    ['/orders', order(SOLD_OUT)],
    ['/orders', undefined],
    ['/products', undefined],
  ] as const) {
    await call(path, { ...(trace && { trace }), ...(body && { body }) });
  }
  await flushed();
  const roots = receiver.spans.filter(({ kind }) => kind === 'server');
  expect(roots).toHaveLength(1);
  const [traceId] = roots.map((span) => span.traceId);
  expect(receiver.spans.filter((span) => span.traceId !== traceId)).toEqual([]);
});

test('a collector that hangs does not hold up the orders or the end of the process (I9)', async () => {
  receiver.mode = 'hang';
  expect(await call('/orders', { trace: newTrace(), body: order(HOT) })).toBe(201);
  const begin = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - begin).toBeLessThan(STOP_MS_MAX);
});
