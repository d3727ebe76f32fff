import { describe, expect, test, vi } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { createRequestObserver } from '../../src/http/request-metrics.ts';
import { BoundCounter, BoundHistogram } from '../../src/telemetry/bound-series.ts';
import type { RequestMetrics } from '../../src/telemetry/metrics.ts';
import { makeOrder, orderId, productId, TestApp } from './fake-ports.ts';

type Order = Parameters<RequestMetrics['orders']>[0];
type Answer = Parameters<RequestMetrics['requests']>[0];

class Observed implements RequestMetrics {
  readonly zeros: Order[] = [];
  readonly counted: Order[] = [];
  readonly answers: (readonly [seconds: number, labels: Answer])[] = [];
  readonly app: TestApp;

  constructor() {
    this.app = new TestApp({ answerObservers: [createRequestObserver(this)] });
  }

  requests(labels: Answer): BoundHistogram {
    const series = new BoundHistogram([]);
    vi.spyOn(series, 'record').mockImplementation((seconds) => {
      this.answers.push([seconds, labels]);
    });
    return series;
  }

  orders(labels: Order): BoundCounter {
    this.zeros.push(labels);
    const series = new BoundCounter();
    vi.spyOn(series, 'increment').mockImplementation(() => {
      this.counted.push(labels);
    });
    return series;
  }

  /** Method, route and status of each answer. */
  get seen(): string[] {
    return this.answers.map(([, labels]) => Object.values(labels).join(' '));
  }

  order(payload: object = { items: [{ product_id: productId(1), quantity: 1 }] }) {
    return this.app.post('/orders', payload, this.app.customer);
  }
}

const refused = (code: 'out-of-stock' | 'sale-ended'): PlaceOrderOutcome => ({
  type: 'refused',
  code,
  items: [],
});

describe('an order counts as', () => {
  const cases: readonly (readonly [PlaceOrderOutcome, string])[] = [
    [{ type: 'accepted', replayed: false, order: makeOrder(1) }, 'accepted '],
    [{ type: 'accepted', replayed: true, order: makeOrder(1) }, 'replayed '],
    [refused('out-of-stock'), 'refused out-of-stock'],
    [refused('sale-ended'), 'refused sale-ended'],
    [{ type: 'shed', code: 'overloaded' }, 'shed overloaded'],
    [{ type: 'shed', code: 'database-unavailable' }, 'shed database-unavailable'],
    [{ type: 'shed', code: 'shutting-down' }, 'shed shutting-down'],
    [{ type: 'unknown', orderId: orderId(1) }, 'unknown outcome-unknown'],
    [{ type: 'key-reused' }, 'rejected idempotency-key-reused'],
  ];

  test.each(cases)('%o: %s', async (outcome, expected) => {
    const observed = new Observed();
    observed.app.gateway.placeOutcome = outcome;
    await observed.order();
    expect(observed.counted.map(({ outcome: o, code }) => `${o} ${code}`)).toEqual([expected]);
  });

  test('rejected when it was never asked for: by validation, without a token, by a role', async () => {
    const observed = new Observed();
    await observed.order({ items: [] });
    await observed.app.post('/orders', {});
    const merchant = observed.app.bearer(makeOrder(1).userId, 'merchant');
    await observed.app.post('/orders', { items: [{ product_id: productId(1), quantity: 1 }] }, merchant); // prettier-ignore
    expect(observed.counted).toEqual([
      { outcome: 'rejected', code: 'validation' },
      { outcome: 'rejected', code: 'unauthenticated' },
      { outcome: 'rejected', code: 'forbidden' },
    ]);
  });

  test('unknown after a defect, which may have come before or after the COMMIT', async () => {
    const observed = new Observed();
    observed.app.gateway.gate = () => Promise.reject(new Error('a defect'));
    await observed.order();
    observed.app.gateway.gate = () => Promise.reject(new AppError('database-unavailable'));
    await observed.order();
    expect(observed.counted).toEqual([
      { outcome: 'unknown', code: 'internal' },
      { outcome: 'shed', code: 'database-unavailable' },
    ]);
  });

  test('one when it is a checkout, and none when it is anything else', async () => {
    const observed = new Observed();
    const cart = '/carts/00000000-0000-7000-8003-000000000001';
    await observed.app.post(`${cart}/checkout`, {}, observed.app.customer);
    await observed.app.post(`${cart}/items`, {}, observed.app.customer);
    await observed.app.get('/orders', observed.app.customer);
    expect(observed.counted).toEqual([{ outcome: 'rejected', code: 'cart-not-found' }]);
  });

  test('zero before the first one, for every outcome that asks for attention', () => {
    const zeros = new Observed().zeros.map(({ outcome, code }) => `${outcome} ${code}`);
    expect(zeros).toEqual(
      expect.arrayContaining(['accepted ', 'replayed ', 'refused out-of-stock', 'shed overloaded', 'unknown outcome-unknown', 'unknown internal']), // prettier-ignore
    );
    expect(new Set(zeros).size).toBe(zeros.length);
  });
});

describe('an answer', () => {
  test('is timed by method, pattern of its route and status', async () => {
    const observed = new Observed();
    const { app } = observed;
    await app.get(`/orders/${orderId(1)}`, app.customer);
    await app.get(`/orders/${orderId(2)}`, app.customer);
    await app.send({ method: 'HEAD', url: '/health/live' });
    expect(observed.seen).toEqual([
      'GET /orders/:id 404',
      'GET /orders/:id 404',
      'HEAD /health/live 200',
    ]);
    for (const [seconds] of observed.answers) {
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(5);
    }
    const [first, second] = observed.answers.map(([, labels]) => labels);
    expect(second).toBe(first);
  });

  test('has one route and few methods whatever a stranger asks for (I9)', async () => {
    const observed = new Observed();
    for (let n = 0; n < 20; n += 1) await observed.app.get(`/no/such/${n}`);
    await observed.app.send({ method: 'PUT', url: '/orders' });
    await observed.app.send({ method: 'PROPFIND' as 'GET', url: '/orders' });
    expect(new Set(observed.seen)).toEqual(
      new Set(['GET unmatched 404', 'PUT unmatched 404', '_OTHER unmatched 404']), // prettier-ignore
    );
  });
});
