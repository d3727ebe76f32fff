import { once } from 'node:events';
import { request as post } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { context, trace } from '@opentelemetry/api';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BatchRecord, TracedOrder } from '../../src/domain/inspection.ts';
import { BATCH_ORDERS_MAX } from '../../src/telemetry/order-spans.ts';
import { startTracing } from '../../src/telemetry/tracing.ts';
import type { Tracing } from '../../src/telemetry/tracing.ts';
import { TestApp, makeOrder, orderId } from '../http/fake-ports.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import type { ReceivedSpan } from '../support/otlp-receiver.ts';
import { until } from '../support/until.ts';

const SAMPLED = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const TRACE_ID = SAMPLED.split('-')[1] ?? '';
const UNSAMPLED = SAMPLED.replace(/1$/, '0');
const T0 = Date.parse('2030-01-02T03:04:05.000Z');
const P1 = '00000000-0000-7000-8002-000000000001';
const ORDER = { items: [{ product_id: P1, quantity: 1 }] };

let receiver: OtlpReceiver;
let tracing: Tracing;
const log: Record<string, unknown>[] = [];

beforeAll(async () => {
  // Read by the SDK: spans leave soon after they end.
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '10';
  process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'x-tenant=shop';
  process.env['OTEL_RESOURCE_ATTRIBUTES'] = 'deployment.environment.name=test';
  receiver = await OtlpReceiver.start();
  tracing = await startTracing({
    endpoint: receiver.url,
    sampler: 'parentbased_always_off',
    ratio: 0,
    serviceVersion: '1.2.3',
    logger: pino({ level: 'info' }, { write: (line) => void log.push(JSON.parse(line)) }),
  });
});

beforeEach(() => {
  receiver.spans.length = 0;
  receiver.mode = 'take';
});

afterAll(async () => {
  await tracing.stop();
  await receiver.stop();
});

async function received(name: string, count = 1): Promise<readonly ReceivedSpan[]> {
  await until(`span ${name}`, () => receiver.named(name).length >= count);
  return receiver.named(name);
}

async function one(name: string): Promise<ReceivedSpan> {
  const [span] = await received(name);
  if (span === undefined) throw new Error(`no span ${name}`);
  return span;
}

/** An app whose gateway is watched, as the server wires it. */
function makeApp(): TestApp {
  const app = new TestApp({ tracing });
  const { gateway } = app;
  return new TestApp({ tracing, gateway: tracing.watch(gateway) });
}

describe('a request that is traced', () => {
  test('is a server span under its caller, with what HTTP says of it and nothing of its query', async () => {
    const app = new TestApp({ tracing });
    const headers = {
      traceparent: SAMPLED,
      tracestate: 'shop=1',
      'user-agent': 'till/7',
      'x-request-id': 'r-1',
    };
    await app.get('/products?q=secret-wish', headers);
    const span = await one('GET /products');
    expect(span).toMatchObject({
      traceId: TRACE_ID,
      parentSpanId: '00f067aa0ba902b7',
      kind: 'server',
      isError: false,
      scope: 'hedonify',
    });
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'http.route': '/products',
      'http.response.status_code': 200,
      'url.path': '/products',
      'url.scheme': 'http',
      'network.protocol.version': '1.1',
      'user_agent.original': 'till/7',
      'hedonify.request.id': 'r-1',
    });
    expect(span.end).toBeGreaterThanOrEqual(span.start);
    expect(JSON.stringify(receiver.spans)).not.toContain('secret-wish');
  });

  test('is sent to the traces of the collector, with the headers and the resource that the environment says', async () => {
    const app = new TestApp({ tracing });
    await app.get('/products', { traceparent: SAMPLED });
    const { resource } = await one('GET /products');
    expect(resource).toMatchObject({
      'service.name': 'hedonify',
      'service.version': '1.2.3',
      'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'deployment.environment.name': 'test',
    });
    expect(receiver.requests.at(-1)).toMatchObject({
      url: '/v1/traces',
      headers: { 'content-type': 'application/x-protobuf', 'x-tenant': 'shop' },
    });
  });

  test('carries the code of an answer of 5xx as its error, and of a refusal none', async () => {
    const app = new TestApp({ tracing });
    app.gateway.placeOutcome = { type: 'shed', code: 'overloaded' };
    const headers = { ...app.customer, traceparent: SAMPLED };
    await app.post('/orders', ORDER, headers);
    const failed = await one('POST /orders');
    expect(failed.isError).toBe(true);
    expect(failed.attributes).toMatchObject({
      'error.type': 'overloaded',
      'http.response.status_code': 503,
    });

    await app.get('/nowhere/at/all', headers);
    const refused = await one('GET');
    expect(refused.isError).toBe(false);
    expect(refused.attributes).toMatchObject({ 'http.response.status_code': 404 });
    expect(Object.keys(refused.attributes)).not.toContain('http.route');
  });

  test.each([
    ['unsampled by its caller', { traceparent: UNSAMPLED }],
    ['without a caller that is traced', {}],
    ['malformed in its trace', { traceparent: `${SAMPLED}x` }],
    ['a health check', { traceparent: SAMPLED }],
  ])('is not one that is %s', async (what, headers) => {
    const app = new TestApp({ tracing });
    const url = what === 'a health check' ? '/health/live' : '/users/me';
    await app.get(url, { ...app.customer, ...headers });
    await app.get('/products', { traceparent: SAMPLED });
    await one('GET /products');
    expect(receiver.spans).toHaveLength(1);
  });

  test('ends also when its client hangs up before the answer', async () => {
    const app = new TestApp({ tracing });
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    app.gateway.gate = () => {
      entered.resolve();
      return gate.promise;
    };
    const server = await app.app;
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    const hangUp = new AbortController();
    const answer = fetch(`${url}/orders`, {
      method: 'POST',
      headers: {
        ...app.customer,
        traceparent: SAMPLED,
        'content-type': 'application/json',
      },
      body: JSON.stringify(ORDER),
      signal: hangUp.signal,
    });
    await entered.promise;
    hangUp.abort();
    await expect(answer).rejects.toThrow('aborted');
    const span = await one('POST /orders');
    expect(span.attributes).toMatchObject({ 'error.type': 'client-gone' });
    gate.resolve();
    await server.close();
  });
});

describe('the context of a traced request', () => {
  const child = (): void => trace.getTracer('pg').startSpan('query', {}, context.active()).end();

  test('reaches what its handler does after its body has arrived and after it has waited', async () => {
    const app = new TestApp({ tracing });
    app.gateway.gate = async () => {
      await turn();
      child();
    };
    const server = await app.app;
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    // The body is under way for longer than the headers, as it may be on a real network.
    const send = async (traces: Record<string, string>): Promise<void> => {
      const headers = { ...app.customer, ...traces, 'content-type': 'application/json' };
      const request = post(`${url}/orders`, { method: 'POST', headers });
      const arrived = once(server.server, 'request');
      request.flushHeaders();
      await arrived;
      request.end(JSON.stringify(ORDER));
      await once(request, 'response');
    };
    await send({});
    await send({ traceparent: SAMPLED });
    await send({});
    const span = await one('POST /orders');
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 201 });
    const queries = await received('query');
    expect(queries.map(({ parentSpanId }) => parentSpanId)).toEqual([span.spanId]);
    await server.close();
  });

  test('records nothing any more when it is over: what it left behind is not part of it', async () => {
    const app = new TestApp({ tracing });
    const late = Promise.withResolvers<void>();
    const isOver = Promise.withResolvers<void>();
    app.gateway.gate = async () => {
      void isOver.promise.then(child).then(late.resolve);
    };
    await app.post('/orders', ORDER, { ...app.customer, traceparent: SAMPLED });
    await one('POST /orders');
    isOver.resolve();
    await late.promise;
    await app.get('/products', { traceparent: SAMPLED });
    await one('GET /products');
    expect(receiver.named('query')).toEqual([]);
  });
});

describe('what a traced order asks', () => {
  test.each([
    [
      { type: 'shed', code: 'overloaded' } as const,
      { 'hedonify.outcome': 'shed', 'hedonify.code': 'overloaded', 'error.type': 'overloaded' },
    ],
    [
      { type: 'unknown', orderId: orderId(1) } as const,
      { 'hedonify.outcome': 'unknown', 'error.type': 'unknown' },
    ],
    [
      { type: 'refused', code: 'out-of-stock', items: [] } as const,
      { 'hedonify.outcome': 'refused', 'hedonify.code': 'out-of-stock' },
    ],
    [
      { type: 'accepted', replayed: true, order: makeOrder(1) } as const,
      { 'hedonify.outcome': 'replayed' },
    ],
  ])('is a span under its request when no batch tells of it: %o', async (outcome, attributes) => {
    const inner = new TestApp();
    inner.gateway.placeOutcome = outcome;
    const app = new TestApp({ tracing, gateway: tracing.watch(inner.gateway) });
    await app.post('/orders', ORDER, { ...app.customer, traceparent: SAMPLED });
    const request = await one('POST /orders');
    const decision = await one('decide order');
    expect(decision).toMatchObject({ traceId: TRACE_ID, parentSpanId: request.spanId });
    expect(decision.attributes).toEqual(attributes);
    expect(decision.isError).toBe('error.type' in attributes);
  });

  test('is left to its batch when it was accepted', async () => {
    const app = makeApp();
    await app.post('/orders', ORDER, { ...app.customer, traceparent: SAMPLED });
    await one('POST /orders');
    expect(receiver.named('decide order')).toEqual([]);
  });

  test('is the promise of the gateway itself when the request is not traced', async () => {
    const { gateway } = new TestApp();
    const answer = gateway.changeStatus.bind(gateway);
    const promise = Promise.resolve({ type: 'changed', replayed: false } as const);
    gateway.changeStatus = () => promise;
    const change = { traceparent: null } as Parameters<typeof answer>[0];
    expect(tracing.watch(gateway).changeStatus(change)).toBe(promise);
  });
});

function traced(n: number, changes: Partial<TracedOrder> = {}): TracedOrder {
  const spanId = n.toString(16).padStart(16, '0');
  return {
    traceparent: `00-${TRACE_ID}-${spanId}-01`,
    orderId: orderId(n),
    receivedAt: T0,
    decidedAt: T0 + 1,
    ...changes,
  };
}

function record(changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    shard: 2,
    ownerId: 7 as BatchRecord['ownerId'],
    no: 41,
    sentAt: T0 + 5,
    orders: 3,
    changes: 1,
    waitMs: 4,
    copyMs: 1,
    mergeMs: 2,
    commitMs: 3.5,
    totalMs: 6.5,
    outcome: 'committed',
    cause: null,
    traced: [traced(1), traced(2, { receivedAt: T0 + 2, decidedAt: T0 + 3 })],
    ...changes,
  };
}

describe('a batch with traced orders', () => {
  test('has a trace of its own with its phases, and links to the requests of its orders', async () => {
    tracing.batch(record());
    const batch = await one('commit batch');
    expect(batch.traceId).not.toBe(TRACE_ID);
    expect(batch).toMatchObject({
      parentSpanId: '',
      start: T0 + 5,
      end: T0 + 11.5,
      isError: false,
    });
    expect(batch.links).toEqual([
      { traceId: TRACE_ID, spanId: '0000000000000001' },
      { traceId: TRACE_ID, spanId: '0000000000000002' },
    ]);
    expect(batch.attributes).toEqual({
      'hedonify.shard': 2,
      'hedonify.owner.id': 7,
      'hedonify.batch.no': 41,
      'hedonify.batch.orders': 3,
      'hedonify.batch.changes': 1,
      'hedonify.batch.traced': 2,
      'hedonify.batch.wait_ms': 4,
      'hedonify.outcome': 'committed',
    });
    const phases = receiver.childrenOf(batch).map(({ name, start, end }) => [name, start, end]);
    expect(phases).toEqual([
      ['copy', T0 + 5, T0 + 6],
      ['merge', T0 + 6, T0 + 8],
      ['commit', T0 + 8, T0 + 11.5],
    ]);
  });

  test('gives each of its orders a decision and a commit under its request, linked to the batch', async () => {
    tracing.batch(record());
    const batch = await one('commit batch');
    const [first, second] = await received('decide order', 2);
    expect(first).toMatchObject({
      traceId: TRACE_ID,
      parentSpanId: '0000000000000001',
      start: T0,
      end: T0 + 1,
      attributes: { 'hedonify.outcome': 'accepted', 'hedonify.order.id': orderId(1) },
    });
    expect(second).toMatchObject({ parentSpanId: '0000000000000002', start: T0 + 2, end: T0 + 3 });
    const commits = await received('commit order', 2);
    expect(commits.map(({ start, end }) => [start, end])).toEqual([
      [T0 + 1, T0 + 11.5],
      [T0 + 3, T0 + 11.5],
    ]);
    for (const { links } of commits) {
      expect(links).toEqual([{ traceId: batch.traceId, spanId: batch.spanId }]);
    }
  });

  test('that was aborted says why; its orders are decided once, in the batch that commits them', async () => {
    const phases = { copyMs: null, mergeMs: null, commitMs: null };
    tracing.batch(record({ ...phases, outcome: 'aborted', cause: 'passing' }));
    tracing.batch(record({ no: 42 }));
    const [aborted, committed] = await received('commit batch', 2);
    expect(aborted).toMatchObject({
      isError: true,
      attributes: { 'hedonify.cause': 'passing', 'error.type': 'passing' },
    });
    expect(committed).toMatchObject({ isError: false });
    await received('commit order', 4);
    expect(receiver.named('decide order')).toHaveLength(2);
    expect(receiver.named('copy')).toHaveLength(1);
  });

  test('is not traced when none of its orders is', async () => {
    tracing.batch(record({ traced: [] }));
    tracing.batch(record({ no: 42 }));
    const batches = await received('commit batch');
    expect(batches.map(({ attributes }) => attributes['hedonify.batch.no'])).toEqual([42]);
  });

  test(`gives spans and links to ${BATCH_ORDERS_MAX} orders at most, and counts them all (I9)`, async () => {
    const orders = Array.from({ length: BATCH_ORDERS_MAX + 50 }, (_, n) => traced(n + 1));
    tracing.batch(record({ traced: orders }));
    const batch = await one('commit batch');
    expect(batch.links).toHaveLength(BATCH_ORDERS_MAX);
    expect(batch.attributes['hedonify.batch.traced']).toBe(BATCH_ORDERS_MAX + 50);
    await received('commit order', BATCH_ORDERS_MAX);
    expect(receiver.named('commit order')).toHaveLength(BATCH_ORDERS_MAX);
  });
});

describe('a collector that is away', () => {
  const lines = (): unknown[] => log.map(({ msg }) => msg);

  test('is one line in the log, and one more when it is back; requests do not notice', async () => {
    const app = new TestApp({ tracing });
    log.length = 0;
    receiver.mode = 'fail';
    const exports = receiver.requests.length;
    for (let n = 1; n <= 3; n += 1) {
      const answer = await app.get('/products', { traceparent: SAMPLED });
      expect(answer.statusCode).toBe(200);
      await until('an export', () => receiver.requests.length >= exports + n);
    }
    await until('the line', () => lines().length > 0);
    expect(lines()).toEqual(['traces are not delivered']);
    receiver.mode = 'take';
    await app.get('/products', { traceparent: SAMPLED });
    await until('the second line', () => lines().length > 1);
    expect(log[1]).toMatchObject({ msg: 'traces are delivered again' });
    expect(log[1]?.['spans_lost']).toBeGreaterThanOrEqual(3);
  });
});
