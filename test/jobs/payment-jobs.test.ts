import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Confirmation, PaymentProvider } from '../../src/domain/payment.ts';
import { PAYMENT_SCENARIOS } from '../../src/domain/payment.ts';
import { confirmPayment } from '../../src/jobs/confirm-payment.ts';
import { PaymentJobs } from '../../src/jobs/payment-jobs.ts';
import { PaymentSimulator } from '../../src/jobs/payment-simulator.ts';
import { FakeShop, orderId, paymentId } from './fake-payments.ts';

const HOUR_MS = 3_600_000;

/** Charges and refunds that a real provider would have made. */
class Ledger implements PaymentProvider {
  readonly #provider: PaymentProvider;
  readonly charged = new Set<string>();
  readonly refunded = new Set<string>();
  charges = 0;

  constructor(provider: PaymentProvider) {
    this.#provider = provider;
  }

  charge: PaymentProvider['charge'] = async (payment, signal) => {
    this.charges += 1;
    const answer = await this.#provider.charge(payment, signal);
    if (answer.type === 'final' && answer.result === 'succeeded') this.charged.add(payment.id);
    return answer;
  };

  refund: PaymentProvider['refund'] = async (payment, signal) => {
    await this.#provider.refund(payment, signal);
    this.refunded.add(payment.id);
  };
}

function setUp(shop = new FakeShop(Date.now)) {
  const deps = { gateway: shop, payments: shop };
  const told: Confirmation[] = [];
  const onConfirmation = (confirmation: Confirmation): void => {
    told.push(confirmation);
    void confirmPayment(deps, confirmation).catch(() => undefined);
  };
  const provider = new Ledger(new PaymentSimulator({ onConfirmation, clock: Date.now }));
  const line = vi.fn<() => void>();
  const logger = { debug: line, info: line, warn: line, error: line };
  const start = (): PaymentJobs => {
    const jobs = new PaymentJobs({ ...deps, provider, logger, clock: Date.now });
    jobs.start();
    return jobs;
  };
  return { shop, provider, told, start };
}

beforeEach(() => {
  vi.useFakeTimers();
  // Not one of the timers that are faked.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('no answer in time')), ms);
    return controller.signal;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('scenarios', () => {
  test('success pays the order within a moment of being asked for', async () => {
    const { shop, start } = setUp();
    const jobs = start();
    await pass(100);
    await jobs.pay({ orderId: orderId(1), scenario: 'success', delayMs: 0, key: null });
    await pass(100);
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
    expect(shop.orderStatus(1)).toBe('PAID');
    await jobs.stop();
  });

  test('failure leaves the order as it is', async () => {
    const { shop, start, provider } = setUp();
    shop.add(1, { scenario: 'failure' });
    const jobs = start();
    await pass(1000);
    expect(shop.stateOf(1)).toBe('FAILED');
    expect(shop.orderStatus(1)).toBe('WAITING_PAYMENT');
    expect(provider.charged.size).toBe(0);
    await jobs.stop();
  });

  test('timeout_then_success asks again after a pause, and it is one attempt', async () => {
    const { shop, start, provider } = setUp();
    shop.add(1, { scenario: 'timeout_then_success' });
    const jobs = start();
    await pass(900);
    expect(shop.stateOf(1)).toBe('PENDING due');
    await pass(1500);
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
    expect(provider.charges).toBe(2);
    await jobs.stop();
  });

  test('duplicate_confirmation is told twice and takes effect once', async () => {
    const { shop, start, told } = setUp();
    shop.add(1, { scenario: 'duplicate_confirmation' });
    const jobs = start();
    await pass(100);
    expect(told).toHaveLength(1);
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
    await jobs.stop();
  });

  test('a delay is how long the provider takes, and nobody waits for it meanwhile', async () => {
    const { shop, start, provider } = setUp();
    // More than may be worked on at once.
    for (let n = 1; n <= 100; n += 1) shop.add(n, { delayMs: 60_000 });
    shop.add(101);
    const jobs = start();
    await pass(59_000);
    expect(shop.stateOf(101)).toBe('SUCCEEDED');
    expect(shop.stateOf(1)).toBe('PENDING due');
    expect(provider.charges).toBe(101);
    await pass(2000);
    for (let n = 1; n <= 100; n += 1) expect(shop.stateOf(n)).toBe('SUCCEEDED');
    await jobs.stop();
  });
});

describe('refunds', () => {
  test('money that came too late goes back', async () => {
    const { shop, start, provider } = setUp();
    shop.add(1, { delayMs: 5000 });
    const jobs = start();
    await pass(1000);
    shop.setOrder(1, 'EXPIRED');
    await pass(6000);
    expect(shop.stateOf(1)).toBe('REFUNDED');
    expect([...provider.refunded]).toEqual([...provider.charged]);
    await jobs.stop();
  });

  test('the money of a paid order that is cancelled goes back', async () => {
    const { shop, start } = setUp();
    shop.add(1);
    const jobs = start();
    await pass(100);
    shop.setOrder(1, 'CANCELLED');
    await pass(1000);
    expect(shop.stateOf(1)).toBe('REFUNDED');
    await jobs.stop();
  });

  test('are asked for until they are made, less and less often (I9)', async () => {
    const { shop, start, provider } = setUp();
    const times: number[] = [];
    const refund = provider.refund;
    provider.refund = async () => {
      times.push(Date.now());
      throw new Error('come back later');
    };
    shop.add(1, { refundDue: true });
    const jobs = start();
    await pass(HOUR_MS);
    const pauses = times.slice(1).map((time, n) => time - (times[n] ?? 0));
    expect(pauses[0]).toBeLessThan(1500);
    expect(Math.min(...pauses.slice(-3))).toBeGreaterThanOrEqual(60_000);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    provider.refund = refund;
    await pass(61_000);
    expect(shop.stateOf(1)).toBe('REFUNDED');
    await jobs.stop();
  });
});

test('what an owner sheds is tried again', async () => {
  const { shop, start } = setUp();
  shop.add(1);
  shop.sheds.push({ type: 'shed', code: 'overloaded' }, { type: 'unknown', orderId: null });
  const jobs = start();
  await pass(5000);
  expect(shop.stateOf(1)).toBe('SUCCEEDED');
  expect(shop.commands).toHaveLength(3);
  await jobs.stop();
});

test('success that met a failure while the owner shed it is not forgotten', async () => {
  const { shop, start, provider } = setUp();
  shop.add(1);
  shop.sheds.push({ type: 'shed', code: 'overloaded' });
  // Said between the look after the decision and the end of the lease.
  const postpone = shop.postpone.bind(shop);
  shop.postpone = async (id, dueAt) => {
    await shop.fail(id);
    await postpone(id, dueAt);
  };
  const jobs = start();
  await pass(5000);
  expect(shop.stateOf(1)).toBe('REFUNDED');
  expect([...provider.refunded]).toEqual([paymentId(1)]);
  await jobs.stop();
});

test('a database that is away delays payments and loses none', async () => {
  const { shop, start } = setUp();
  shop.add(1);
  shop.add(2, { delayMs: 3000 });
  shop.beforeDecision = () => {
    shop.isAway = true;
    shop.beforeDecision = () => {};
  };
  const jobs = start();
  await pass(10_000);
  expect(shop.stateOf(2)).toBe('PENDING due');
  shop.isAway = false;
  await pass(40_000);
  expect(shop.stateOf(1)).toBe('SUCCEEDED');
  expect(shop.stateOf(2)).toBe('SUCCEEDED');
  await jobs.stop();
});

const story = fc.array(
  fc.record({
    scenario: fc.constantFrom(...PAYMENT_SCENARIOS),
    delayMs: fc.integer({ min: 0, max: 5000 }),
    /** What happens to the order beside the payment, and when. */
    end: fc.constantFrom('EXPIRED' as const, 'CANCELLED' as const, null),
    endMs: fc.integer({ min: 0, max: 8000 }),
    sheds: fc.integer({ min: 0, max: 3 }),
    webhook: fc.option(fc.constantFrom('succeeded' as const, 'failed' as const)),
    webhookMs: fc.integer({ min: 0, max: 8000 }),
  }),
  { minLength: 1, maxLength: 6 },
);

test('whatever comes when, and dies when: money stays exactly where an order is paid', async () => {
  await fc.assert(
    fc.asyncProperty(story, fc.integer({ min: 0, max: 6000 }), async (plot, killMs) => {
      const { shop, provider, start } = setUp();
      const deps = { gateway: shop, payments: shop };
      // As a provider does that is answered 503.
      const deliver = async (confirmation: Confirmation): Promise<void> => {
        const outcome = await confirmPayment(deps, confirmation);
        if (outcome === 'try-again') setTimeout(() => void deliver(confirmation), 1000);
      };
      for (const [n, { scenario, delayMs, sheds, ...rest }] of plot.entries()) {
        shop.add(n, { scenario, delayMs });
        shop.sheds.push(...Array.from({ length: sheds }, () => ({ type: 'shed', code: 'overloaded' }) as const)); // prettier-ignore
        setTimeout(() => {
          const status = shop.orderStatus(n);
          const { end } = rest;
          if (end === 'CANCELLED' || (end === 'EXPIRED' && status === 'WAITING_PAYMENT')) {
            shop.setOrder(n, end);
          }
        }, rest.endMs);
        setTimeout(() => {
          const { webhook } = rest;
          if (webhook === null) return;
          // A provider that says so has the money.
          if (webhook === 'succeeded') provider.charged.add(paymentId(n));
          void deliver({ paymentId: paymentId(n), result: webhook });
        }, rest.webhookMs);
      }
      const first = start();
      await pass(killMs);
      // The process is gone: nothing that it still does reaches the shop, and its leases stay.
      void first.stop();
      const second = start();
      await pass(600_000);
      for (const [n] of plot.entries()) {
        const isPaid = shop.orderStatus(n) === 'PAID';
        const state = shop.stateOf(n);
        expect(state).not.toMatch(/due|refund/);
        expect(state === 'SUCCEEDED').toBe(isPaid);
        const id = paymentId(n);
        expect(provider.refunded.has(id)).toBe(state === 'REFUNDED');
        if (provider.charged.has(id)) expect(['SUCCEEDED', 'REFUNDED']).toContain(state);
      }
      await second.stop();
      vi.clearAllTimers();
    }),
    { numRuns: 150 },
  );
});
