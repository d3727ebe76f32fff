import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { ERROR_LINES_MAX, SAMPLE_LINES_MAX, SAMPLE_REQUESTS } from '../../src/http/request-log.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { TestApp, productId } from './fake-ports.ts';
import type { LogLine } from './fake-ports.ts';
import { CALLER_TRACE, REQUEST_TRACE, fakeTracing } from './fake-tracing.ts';

const ORDER = { items: [{ product_id: productId(1), quantity: 1 }] };
const [, TRACE_ID, SPAN_ID] = REQUEST_TRACE.split('-');
const CALLER_SPAN_ID = CALLER_TRACE.split('-')[2];

/** With the service's own logger, and its levels by name. */
function makeApp(level: 'info' | 'debug' = 'info', changes: { tracing?: typeof fakeTracing } = {}) {
  const lines: LogLine[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const app = new TestApp({ logger: createLogger({ level, destination }), ...changes });
  const told = (message: string) => lines.filter(({ msg }) => msg === message);
  return { app, lines, told };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the line about a request', () => {
  test('says what was asked and answered, by the route and not the address', async () => {
    const { app, told } = makeApp('debug');
    await app.get('/products/nonsense?q=wish', { 'x-request-id': 'r-1' });
    expect(told('request')).toEqual([
      {
        level: 'debug',
        time: expect.any(String),
        service: 'hedonify',
        request_id: 'r-1',
        method: 'GET',
        route: '/products/:id',
        status: 400,
        code: 'validation',
        ms: expect.any(Number),
        msg: 'request',
      },
    ]);
  });

  test('is written for each request at the level debug, and for an order that was accepted at no other', async () => {
    const quiet = makeApp();
    const loud = makeApp('debug');
    for (const { app } of [quiet, loud]) {
      await app.post('/orders', ORDER, app.customer);
      await app.get('/nowhere');
    }
    expect(quiet.lines).toEqual([]);
    expect(loud.told('request')).toMatchObject([
      { route: '/orders', status: 201 },
      { status: 404, code: 'not-found' },
    ]);
  });

  test('is written for every request that is traced, with its span', async () => {
    const { app, told } = makeApp('info', { tracing: fakeTracing });
    await app.post('/orders', ORDER, { ...app.customer, traceparent: CALLER_TRACE });
    await app.post('/orders', ORDER, app.customer);
    expect(told('request')).toMatchObject([
      { level: 'info', status: 201, trace_id: TRACE_ID, span_id: SPAN_ID },
    ]);
  });

  test(`is written for one request in ${SAMPLE_REQUESTS} while tracing is off`, async () => {
    const { app, told } = makeApp();
    for (let n = 1; n < SAMPLE_REQUESTS; n += 1) await app.get('/health/live');
    expect(told('request')).toEqual([]);
    await app.get('/health/live');
    expect(told('request')).toHaveLength(1);
  });

  test(`is written ${SAMPLE_LINES_MAX} times a second at most, whatever clients ask for (I9)`, async () => {
    const { app, told } = makeApp('info', { tracing: fakeTracing });
    const send = () => app.get('/nowhere', { traceparent: CALLER_TRACE });
    for (let n = 0; n < SAMPLE_LINES_MAX + 5; n += 1) await send();
    expect(told('request')).toHaveLength(SAMPLE_LINES_MAX);
    vi.advanceTimersByTime(1_000);
    await send();
    expect(told('request')).toHaveLength(SAMPLE_LINES_MAX + 1);
  });

  test('names the span of the caller where there is none of ours', async () => {
    const { app, told } = makeApp('debug');
    await app.get('/products', { traceparent: CALLER_TRACE });
    expect(told('request')).toMatchObject([{ trace_id: TRACE_ID, span_id: CALLER_SPAN_ID }]);
  });
});

describe('an answer of 5xx', () => {
  test('has one line with its code, whatever the sample', async () => {
    const { app, lines } = makeApp();
    app.gateway.placeOutcome = { type: 'shed', code: 'database-unavailable' };
    await app.post('/orders', ORDER, app.customer);
    expect(lines).toMatchObject([
      { level: 'warn', msg: 'request', status: 503, code: 'database-unavailable' },
    ]);
  });

  test('has the error instead, and once, when there is one; with the trace', async () => {
    const { app, lines } = makeApp('debug');
    const headers = { traceparent: CALLER_TRACE };
    app.catalogue.listProducts = () => Promise.reject(new Error('a defect'));
    await app.get('/products', headers);
    const cause = new Error('connection lost');
    const away = new AppError('database-unavailable', { cause });
    app.catalogue.listProducts = () => Promise.reject(away);
    await app.get('/products', headers);
    const place = { route: '/products', method: 'GET', trace_id: TRACE_ID };
    expect(lines).toMatchObject([
      { level: 'error', msg: 'request failed', err: { message: 'a defect' }, ...place },
      { level: 'warn', msg: 'request not served', code: 'database-unavailable', ...place },
    ]);
  });

  test(`has a line ${ERROR_LINES_MAX} times a second, and then is counted by its code (I9)`, async () => {
    const { app, lines, told } = makeApp();
    app.gateway.placeOutcome = { type: 'shed', code: 'overloaded' };
    for (let n = 0; n < ERROR_LINES_MAX + 3; n += 1) await app.post('/orders', ORDER, app.customer);
    app.gateway.placeOutcome = { type: 'unknown', orderId: null };
    await app.post('/orders', ORDER, app.customer);
    const away = new AppError('database-unavailable', { cause: new Error('connection lost') });
    app.catalogue.listProducts = () => Promise.reject(away);
    await app.get('/products');
    expect(lines).toHaveLength(ERROR_LINES_MAX);

    vi.advanceTimersByTime(1_000);
    const requests = { overloaded: 3, 'outcome-unknown': 1, 'database-unavailable': 1 };
    expect(lines.at(-1)).toMatchObject({
      level: 'warn',
      msg: 'requests left out of the log',
      requests,
    });
    await app.post('/orders', ORDER, app.customer);
    vi.advanceTimersByTime(1_000);
    expect(told('request')).toHaveLength(ERROR_LINES_MAX + 1);
    expect(told('requests left out of the log')).toHaveLength(1);
  });

  test('is counted to the last one when the service stops before the second is over', async () => {
    const { app, told } = makeApp();
    app.gateway.placeOutcome = { type: 'shed', code: 'overloaded' };
    for (let n = 0; n < ERROR_LINES_MAX + 1; n += 1) await app.post('/orders', ORDER, app.customer);
    await (await app.app).close();
    expect(told('requests left out of the log')).toMatchObject([{ requests: { overloaded: 1 } }]);
  });
});

test('nothing that a customer sends is in the log, wherever it is sent, at the lowest level', async () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'trace', destination });
  const app = new TestApp({ logger, tracing: fakeTracing });
  const secret = (place: string): string => `hush-${place}-hush`;
  const headers = {
    authorization: `Bearer ${secret('token')}`,
    cookie: `session=${secret('cookie')}`,
    'idempotency-key': secret('key'),
    'proxy-authorization': secret('proxy'),
    'user-agent': secret('agent'),
    'x-forwarded-for': secret('address'),
    traceparent: CALLER_TRACE,
    tracestate: `shop=${secret('state')}`,
  };
  const body = { email: secret('email'), password: secret('password'), token: secret('field') };
  for (const own of [{}, app.customer]) {
    await app.post('/users/login', body, { ...headers, ...own });
    await app.post('/orders', { ...ORDER, reference: secret('reference') }, { ...headers, ...own });
    await app.post(`/orders/${secret('id')}/cancel`, body, { ...headers, ...own });
    await app.get(`/products?q=${secret('query')}`, { ...headers, ...own });
    await app.get(`/${secret('path')}`, { ...headers, ...own });
  }
  app.catalogue.listProducts = () => Promise.reject(new Error('a defect'));
  await app.get(`/products?q=${secret('query')}`, { ...headers, ...app.customer });

  const text = lines.join('');
  expect(lines).toHaveLength(11);
  expect(text).toContain('"msg":"request failed"');
  expect(text).not.toContain('hush');
  // The tokens of the customer are real ones.
  expect(text).not.toContain(app.customer.authorization.split('.')[1]);
});
