import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPaymentStore } from '../../src/db/payment-store.ts';
import { createPool } from '../../src/db/pool.ts';
import { parseOrderId, parseUserId } from '../../src/domain/ids.ts';
import type { OrderId, PaymentId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus, PaymentStatus } from '../../src/domain/order.ts';
import { PAYMENT_ATTEMPTS_MAX } from '../../src/domain/payment.ts';
import type { PaymentStore, PayOrder, PayOutcome } from '../../src/domain/payment.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const PRODUCTS = ['a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002'];
const LEASE_MS = 30_000;

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let payments: PaymentStore;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 8,
    statementTimeoutMs: 5000,
    applicationName: 'payment-store-under-test',
    onError: () => undefined,
  });
  payments = createPaymentStore(pool);
});
beforeEach(async () => {
  await database.query('TRUNCATE payments, keyed_effects, orders, order_items');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there is none');
  return value;
}

const CUSTOMER: UserId = known(parseUserId('20000000-0000-4000-8000-000000000001'));

async function makeOrder(status: OrderStatus = 'WAITING_PAYMENT', holdMs = 60_000) {
  const id: OrderId = known(parseOrderId(randomUUID()));
  await database.query(
    /* sql */ `
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, created_at, expires_at)
    VALUES ($1, $2, '\\x00', 1, 1, 1, $3, 'USD', 4250, now(), now() + $4 * interval '1 ms')`,
    [id, CUSTOMER, status, holdMs],
  );
  await database.query(
    /* sql */ `
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT $1, id, 1, 2125, 1, 'P' FROM unnest($2::uuid[]) AS id`,
    [id, PRODUCTS],
  );
  return id;
}

const payOf = (orderId: OrderId, changes: Partial<PayOrder> = {}): PayOrder => ({
  orderId,
  scenario: 'success',
  delayMs: 0,
  key: null,
  ...changes,
});

const keyed = (orderId: OrderId, key: string, request = `pay ${orderId}`): PayOrder =>
  payOf(orderId, { key: { userId: CUSTOMER, key, request } });

async function started(request: PayOrder): Promise<PaymentId> {
  const outcome = await payments.pay(request);
  if (outcome.type !== 'started') throw new Error(`the payment was ${JSON.stringify(outcome)}`);
  return outcome.payment.id;
}

/** As a batch would. */
async function set(id: PaymentId, status: PaymentStatus, refundDue = false): Promise<void> {
  await database.query(
    /* sql */ `UPDATE payments SET status = $2, refund_due = $3, leased = false,
                      due_at = CASE WHEN $3 THEN now() END WHERE id = $1`,
    [id, status, refundDue],
  );
}

interface Row {
  readonly status: PaymentStatus;
  readonly refundDue: boolean;
  readonly due: boolean;
  readonly leased: boolean;
  readonly tries: number;
}

async function rowOf(id: PaymentId): Promise<Row> {
  const rows = await database.query<Row>(
    /* sql */ `SELECT status, refund_due AS "refundDue", due_at IS NOT NULL AS due, leased, tries
                 FROM payments WHERE id = $1`,
    [id],
  );
  return known(rows[0]);
}

describe('pay', () => {
  test('starts the first attempt, which is a job at once', async () => {
    const orderId = await makeOrder();
    const outcome = await payments.pay(payOf(orderId, { scenario: 'failure', delayMs: 7 }));
    expect(outcome).toMatchObject({
      type: 'started',
      replayed: false,
      payment: { status: 'PENDING', attempt: 1 },
    });
    const [job] = await payments.lease(10);
    expect(job).toMatchObject({
      orderId,
      attempt: 1,
      status: 'PENDING',
      scenario: 'failure',
      delayMs: 7,
      refundDue: false,
      tries: 1,
      amount: 4250,
      currency: 'USD',
    });
    expect(job?.productIds.toSorted()).toEqual(PRODUCTS);
    expect(Math.abs(Date.now() - known(job).createdAt)).toBeLessThan(60_000);
    expect(await payments.findPayment(known(job).id)).toEqual(job);
  });

  test('one at a time, and another attempt after one that failed', async () => {
    const orderId = await makeOrder();
    const first = await started(payOf(orderId));
    const refused = { type: 'refused', code: 'payment-in-progress', status: 'WAITING_PAYMENT' };
    expect(await payments.pay(payOf(orderId))).toEqual(refused);
    await payments.fail(first);
    expect(await payments.pay(payOf(orderId))).toMatchObject({ payment: { attempt: 2 } });
  });

  test('twenty at the same moment start one', async () => {
    const orderId = await makeOrder();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => payments.pay(payOf(orderId))),
    );
    expect(outcomes.filter(({ type }) => type === 'started')).toHaveLength(1);
    expect(outcomes.filter(({ type }) => type === 'refused')).toHaveLength(19);
    expect(await database.query('SELECT FROM payments')).toHaveLength(1);
  });

  test.each<[OrderStatus, number, string]>([
    ['WAITING_PAYMENT', -1, 'order-expired'],
    ['EXPIRED', -1, 'order-expired'],
    ['CANCELLED', 60_000, 'order-not-payable'],
    // Paid by something that is no payment: nothing to show for it.
    ['PAID', 60_000, 'order-not-payable'],
  ])('an order that is %s with %d ms left is refused with %s', async (status, ms, code) => {
    const orderId = await makeOrder(status, ms);
    expect(await payments.pay(payOf(orderId))).toEqual({ type: 'refused', code, status });
    expect(await database.query('SELECT FROM payments')).toEqual([]);
  });

  test.each<OrderStatus>(['PAID', 'SHIPPING', 'COMPLETED'])(
    'of an order that is %s answers the payment that paid it',
    async (status) => {
      const orderId = await makeOrder();
      await payments.fail(await started(payOf(orderId)));
      const id = await started(payOf(orderId));
      await set(id, 'SUCCEEDED');
      await database.query('UPDATE orders SET status = $1', [status]);
      expect(await payments.pay(keyed(orderId, 'new'))).toEqual({
        type: 'paid',
        payment: { id, status: 'SUCCEEDED', attempt: 2 },
      });
    },
  );

  test('attempts of one order have a bound (I9)', async () => {
    const orderId = await makeOrder();
    for (let n = 0; n < PAYMENT_ATTEMPTS_MAX; n += 1) {
      await payments.fail(await started(payOf(orderId)));
    }
    const refused = { type: 'refused', code: 'order-not-payable', status: 'WAITING_PAYMENT' };
    expect(await payments.pay(payOf(orderId))).toEqual(refused);
  });

  test('the same key answers the first attempt again, whatever became of it (I3)', async () => {
    const orderId = await makeOrder();
    const first = await payments.pay(keyed(orderId, 'k'));
    expect(first).toMatchObject({ type: 'started', replayed: false });
    expect(await payments.pay(keyed(orderId, 'k'))).toEqual({ ...first, replayed: true });
    if (first.type === 'started') await payments.fail(first.payment.id);
    expect(await payments.pay(keyed(orderId, 'k'))).toEqual({ ...first, replayed: true });
    expect(await payments.pay(keyed(orderId, 'k', 'pay another'))).toEqual({ type: 'key-reused' });
    expect(await database.query('SELECT FROM payments')).toHaveLength(1);
  });

  test('a double click under one key is one attempt with one answer (I3)', async () => {
    for (let round = 0; round < 10; round += 1) {
      const orderId = await makeOrder();
      const clicks = Array.from({ length: 4 }, () => payments.pay(keyed(orderId, `k${round}`)));
      const outcomes: PayOutcome[] = await Promise.all(clicks);
      const answered = outcomes.map((it) => (it.type === 'started' ? it.payment.id : it.type));
      expect(new Set(answered).size).toBe(1);
      expect(outcomes.filter((it) => it.type === 'started' && !it.replayed)).toHaveLength(1);
    }
  });

  test('a refusal binds no key (I3)', async () => {
    const orderId = await makeOrder();
    const first = await started(payOf(orderId));
    expect(await payments.pay(keyed(orderId, 'k'))).toMatchObject({ type: 'refused' });
    await payments.fail(first);
    expect(await payments.pay(keyed(orderId, 'k'))).toMatchObject({ payment: { attempt: 2 } });
  });
});

describe('lease', () => {
  test('takes what is due, the longest due first, once per lease', async () => {
    const ids: PaymentId[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await started(payOf(await makeOrder())));
    const at = Date.now();
    for (const [n, id] of ids.entries()) {
      await database.query(
        /* sql */ `UPDATE payments SET due_at = to_timestamp($2::double precision / 1000)
                    WHERE id = $1`,
        [id, n === 3 ? at + 60_000 : at - 1000 * n],
      );
    }
    const jobs = await payments.lease(2);
    expect(jobs.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    expect((await payments.lease(10)).map(({ id }) => id)).toEqual([ids[0]]);
    expect(await payments.lease(10)).toEqual([]);
  });

  test('a lease ends by itself, and the next try is counted', async () => {
    const id = await started(payOf(await makeOrder()));
    await payments.lease(1);
    await database.query(`UPDATE payments SET due_at = due_at - interval '${LEASE_MS} ms'`);
    expect(await payments.lease(1)).toMatchObject([{ id, tries: 2 }]);
  });

  test('two processes never get the same job', async () => {
    for (let n = 0; n < 40; n += 1) await started(payOf(await makeOrder()));
    const leases = await Promise.all(Array.from({ length: 8 }, () => payments.lease(8)));
    const ids = leases.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toHaveLength(40);
  });

  test('reclaim makes due what a dead process had leased, and nothing else', async () => {
    const leased = await started(payOf(await makeOrder()));
    await payments.lease(1);
    const later = await started(payOf(await makeOrder()));
    await payments.lease(1);
    await payments.postpone(later, Date.now() + 60_000);
    await payments.reclaim();
    expect((await payments.lease(10)).map(({ id }) => id)).toEqual([leased]);
  });

  test('does not wait for a payment that a batch is changing', async () => {
    const locked = await started(payOf(await makeOrder()));
    const free = await started(payOf(await makeOrder()));
    const client = await database.pool.connect();
    await client.query('BEGIN');
    await client.query('SELECT FROM payments WHERE id = $1 FOR NO KEY UPDATE', [locked]);
    expect((await payments.lease(10)).map(({ id }) => id)).toEqual([free]);
    await client.query('ROLLBACK');
    client.release();
  });
});

describe('changes of a payment', () => {
  const all: readonly (readonly [PaymentStatus, boolean])[] = [
    ['PENDING', false],
    ['PENDING', true],
    ['SUCCEEDED', false],
    ['SUCCEEDED', true],
    ['FAILED', false],
    ['FAILED', true],
    ['REFUNDED', false],
  ];

  type Change = 'fail' | 'requireRefund' | 'markRefunded' | 'settle';
  const steps: readonly (readonly [Change, string, Partial<Row>])[] = [
    ['fail', 'PENDING,false', { status: 'FAILED' }],
    ['requireRefund', 'PENDING,false', { refundDue: true, due: true, leased: false, tries: 0 }],
    ['requireRefund', 'FAILED,false', { refundDue: true, due: true, leased: false, tries: 0 }],
    [
      'markRefunded',
      'PENDING,true',
      { status: 'REFUNDED', refundDue: false, due: false, leased: false },
    ],
    [
      'markRefunded',
      'SUCCEEDED,true',
      { status: 'REFUNDED', refundDue: false, due: false, leased: false },
    ],
    [
      'markRefunded',
      'FAILED,true',
      { status: 'REFUNDED', refundDue: false, due: false, leased: false },
    ],
    ['settle', 'SUCCEEDED,false', { due: false, leased: false }],
    ['settle', 'FAILED,false', { due: false, leased: false }],
    ['settle', 'REFUNDED,false', { due: false, leased: false }],
  ];
  const changes: readonly Change[] = ['fail', 'requireRefund', 'markRefunded', 'settle'];
  const table = changes.flatMap((change) => all.map(([status, due]) => [change, status, due] as const)); // prettier-ignore

  test.each(table)('%s of one that is %s, refund due %s', async (change, status, refundDue) => {
    const id = await started(payOf(await makeOrder()));
    await payments.lease(1);
    await set(id, status, refundDue);
    await database.query('UPDATE payments SET leased = true, due_at = now(), tries = 3');
    const before = await rowOf(id);
    await payments[change](id);
    const step = steps.find(([name, from]) => name === change && from === `${status},${refundDue}`);
    expect(await rowOf(id)).toMatchObject({ ...before, ...step?.[2] });
  });

  test('postpone ends the lease, and a batch that came first is not undone', async () => {
    const id = await started(payOf(await makeOrder()));
    await payments.lease(1);
    // The order was paid and cancelled while the provider was asked.
    await set(id, 'SUCCEEDED', true);
    await payments.postpone(id, Date.now() + 60_000);
    await payments.settle(id);
    expect(await payments.lease(1)).toMatchObject([{ id, refundDue: true, status: 'SUCCEEDED' }]);
  });

  test('the job of one that is said to have failed goes on: the money may have come', async () => {
    const id = await started(payOf(await makeOrder()));
    await payments.fail(id);
    expect(await payments.lease(1)).toMatchObject([{ id, status: 'FAILED' }]);
    await payments.postpone(id, Date.now() - 1);
    expect(await payments.lease(1)).toMatchObject([{ id, status: 'FAILED' }]);
    await payments.settle(id);
    await payments.reclaim();
    expect(await payments.lease(1)).toEqual([]);
  });

  test('a payment that nobody knows is none', async () => {
    const id = randomUUID() as PaymentId;
    expect(await payments.findPayment(id)).toBeUndefined();
    await payments.fail(id);
    await payments.requireRefund(id);
    expect(await database.query('SELECT FROM payments')).toEqual([]);
  });
});
