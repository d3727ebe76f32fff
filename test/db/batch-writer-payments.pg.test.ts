/** Payments and shipments: what a status change rests on, and what it does beside it. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import type { Committed } from '../../src/domain/batch.ts';
import type { OrderId, OwnerId, PaymentId } from '../../src/domain/ids.ts';
import type { OrderStatus, StatusDetail } from '../../src/domain/order.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, MERCHANT_ID, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  newOrderId,
  openPlain,
  openSession,
  stockOf,
  userOf,
  waitingForLock,
} from './batch-builder.ts';
import { makePayment, paymentOf } from './shop-rows.ts';

const STOCK = 1000;
const IDS = productIds(4);
/** The first two are MERCHANT_ID's, the others of another merchant. */
const [one = '', two = '', foreign = '', alsoForeign = ''] = IDS;
const OTHER_MERCHANT = '00000000-0000-7000-8000-00000000cafe';
const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 7);

let database: TestDatabase;
let builder: BatchBuilder;
let rival: BatchBuilder;
let session: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  await database.query(
    /* sql */ `INSERT INTO users (id, username, email, password_hash, role, created_at)
               VALUES ($1, 'other', 'other@test', '', 'merchant', now())`,
    [OTHER_MERCHANT],
  );
  await database.query('UPDATE products SET merchant_id = $1 WHERE id = ANY ($2)', [
    OTHER_MERCHANT,
    [foreign, alsoForeign],
  ]);
  const { owners } = await claim(database, 'node', 2);
  const sequences = new Map<string, number>();
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId), sequences);
  rival = new BatchBuilder(owners[1] ?? (0 as OwnerId), sequences);
});

beforeEach(async () => {
  session = await openSession(database);
});

afterEach(async () => {
  await session.end();
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

async function place(...products: readonly string[]): Promise<OrderId> {
  const order = builder.order({ lines: products.map((id) => [id, 2] as const) });
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

interface Change {
  readonly to: OrderStatus;
  readonly from?: readonly OrderStatus[];
  readonly detail?: StatusDetail;
  readonly key?: OrderId;
}

async function change(orderId: OrderId, options: Change): Promise<Committed> {
  const statusChanges = [builder.status({ ...options, orderId, at: NOW })];
  return writeBatch(session, builder.batch({ statusChanges }));
}

async function statusOf(id: OrderId): Promise<string | undefined> {
  const sql = 'SELECT status FROM orders WHERE id = $1';
  return (await database.query<{ status: string }>(sql, [id]))[0]?.status;
}

async function setPayment(id: PaymentId, status: string): Promise<void> {
  const sql = 'UPDATE payments SET status = $2, refund_due = false, due_at = NULL WHERE id = $1';
  await database.query(sql, [id, status]);
}

async function placePaid(...products: readonly string[]): Promise<OrderId> {
  const id = await place(...products);
  await change(id, { to: 'PAID', detail: await makePayment(database, id) });
  return id;
}

const SUCCEEDED = { status: 'SUCCEEDED', refund_due: false, due: false, leased: false, tries: 0 };

describe('an order that is paid', () => {
  it('has its payment SUCCEEDED and no job any more, in the same batch', async () => {
    const [id, bystander] = [await place(one), await place(one)];
    const detail = await makePayment(database, id);
    const other = await makePayment(database, bystander);
    await database.query('UPDATE payments SET leased = true WHERE id = $1', [detail.paymentId]);
    expect(await change(id, { to: 'PAID', detail })).toEqual(NOTHING_TO_REPORT);
    expect(await statusOf(id)).toBe('PAID');
    expect(await paymentOf(database, detail.paymentId)).toEqual(SUCCEEDED);
    const [row] = await database.query('SELECT updated_at FROM payments WHERE id = $1', [detail.paymentId]); // prettier-ignore
    expect(row).toEqual({ updated_at: new Date(NOW) });
    expect(await paymentOf(database, other.paymentId)).toMatchObject({ status: 'PENDING', due: true }); // prettier-ignore
  });

  it.each(['FAILED', 'REFUNDED'])('is not when its payment is %s already', async (status) => {
    const id = await place(one);
    const detail = await makePayment(database, id);
    await setPayment(detail.paymentId, status);
    const report = await change(id, { to: 'PAID', detail });
    expect(report).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'WAITING_PAYMENT' } });
    expect(await statusOf(id)).toBe('WAITING_PAYMENT');
    expect(await paymentOf(database, detail.paymentId)).toMatchObject({ status });
  });

  it('is not when the money of its payment is on its way back already', async () => {
    const id = await place(one);
    const detail = await makePayment(database, id);
    await database.query('UPDATE payments SET refund_due = true WHERE id = $1', [detail.paymentId]);
    const report = await change(id, { to: 'PAID', detail });
    expect(report.unchanged).toEqual({ [id]: 'WAITING_PAYMENT' });
    const refund = { status: 'PENDING', refund_due: true, due: true };
    expect(await paymentOf(database, detail.paymentId)).toMatchObject(refund);
  });

  it('is not by the payment of another order, nor by one that is not there', async () => {
    const [id, other] = [await place(one), await place(one)];
    const detail = await makePayment(database, other);
    const unknown = { kind: 'payment', paymentId: randomUUID() as PaymentId } as const;
    for (const wrong of [detail, unknown]) {
      const report = await change(id, { to: 'PAID', detail: wrong });
      expect(report.unchanged).toEqual({ [id]: 'WAITING_PAYMENT' });
    }
    expect(await paymentOf(database, detail.paymentId)).toMatchObject({ status: 'PENDING' });
  });

  it('is once: a confirmation that comes twice leaves the first as it is', async () => {
    const id = await place(one);
    const detail = await makePayment(database, id);
    await change(id, { to: 'PAID', detail });
    const again = await change(id, { to: 'PAID', detail });
    expect(again).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'PAID' } });
    expect(await paymentOf(database, detail.paymentId)).toEqual(SUCCEEDED);
  });

  it('is not when it expired or was cancelled before, and the payment stays a job', async () => {
    for (const to of ['EXPIRED', 'CANCELLED'] as const) {
      const id = await place(one);
      const detail = await makePayment(database, id);
      await change(id, { to });
      const report = await change(id, { to: 'PAID', detail });
      expect(report).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: to } });
      const payment = await paymentOf(database, detail.paymentId);
      expect(payment).toMatchObject({ status: 'PENDING', due: true, refund_due: false });
    }
  });

  it('is paid beside others in one batch, each by its own payment', async () => {
    const ids = [await place(one), await place(two), await place(one, two)];
    const details: StatusDetail[] = [];
    for (const id of ids) details.push(await makePayment(database, id));
    const failing = `UPDATE payments SET status = 'FAILED', due_at = NULL WHERE order_id = $1`;
    await database.query(failing, [ids[1]]);
    const statusChanges = ids.map((orderId, n) => {
      const detail = details[n];
      return builder.status({ orderId, to: 'PAID', ...(detail && { detail }) });
    });
    const expiring = await place(one);
    const batch = builder.batch({
      statusChanges: [...statusChanges, builder.status({ orderId: expiring, to: 'EXPIRED' })],
      orders: [builder.order({ lines: [[one, 1]] })],
    });
    const { unchanged, freed } = await writeBatch(session, batch);
    expect(unchanged).toEqual({ [ids[1] ?? '']: 'WAITING_PAYMENT' });
    expect(freed).toMatchObject([{ productId: one, units: 2 }]);
    const paid = await Promise.all(ids.map((id) => statusOf(id)));
    expect(paid).toEqual(['PAID', 'WAITING_PAYMENT', 'PAID']);
  });
});

describe('a payment row that somebody else changes meanwhile', () => {
  let provider: pg.Client;
  beforeEach(async () => {
    provider = await openPlain(database);
  });
  afterEach(async () => {
    await provider.end();
  });

  /** The job fails the payment while its confirmation is on the way. */
  async function race(end: 'COMMIT' | 'ROLLBACK'): Promise<[OrderId, PaymentId, Committed]> {
    const id = await place(one);
    const detail = await makePayment(database, id);
    await provider.query('BEGIN');
    const failing = `UPDATE payments SET status = 'FAILED', due_at = NULL WHERE id = $1`;
    await provider.query(failing, [detail.paymentId]);
    const paying = change(id, { to: 'PAID', detail });
    await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
    await provider.query(end);
    return [id, detail.paymentId, await paying];
  }

  it('wins when it commits first: the order stays as it is', async () => {
    const [id, payment, report] = await race('COMMIT');
    expect(report.unchanged).toEqual({ [id]: 'WAITING_PAYMENT' });
    expect(await statusOf(id)).toBe('WAITING_PAYMENT');
    expect(await paymentOf(database, payment)).toMatchObject({ status: 'FAILED' });
  });

  it('does not win when it rolls back', async () => {
    const [id, payment, report] = await race('ROLLBACK');
    expect(report).toEqual(NOTHING_TO_REPORT);
    expect(await statusOf(id)).toBe('PAID');
    expect(await paymentOf(database, payment)).toEqual(SUCCEEDED);
  });

  it('finds it SUCCEEDED when the batch commits first', async () => {
    const id = await place(one);
    const detail = await makePayment(database, id);
    const blocker = await openPlain(database);
    try {
      await blocker.query('BEGIN');
      await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [two]);
      const batch = builder.batch({
        orders: [builder.order({ lines: [[two, 1]] })],
        statusChanges: [builder.status({ orderId: id, to: 'PAID', detail })],
      });
      const paying = writeBatch(session, batch);
      await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
      const failing = provider.query(
        `UPDATE payments SET status = 'FAILED' WHERE id = $1 AND status = 'PENDING' RETURNING id`,
        [detail.paymentId],
      );
      await until('both wait', async () => (await waitingForLock(database, 'blocker')) === 1);
      await blocker.query('COMMIT');
      await paying;
      expect((await failing).rows).toEqual([]);
    } finally {
      await blocker.end();
    }
    expect(await paymentOf(database, detail.paymentId)).toEqual(SUCCEEDED);
  });

  it('and expiry have one winner, and it is paid or its units are free (I1, 60 rounds)', async () => {
    const second = await openSession(database, 'second');
    try {
      for (let round = 0; round < 60; round += 1) {
        const id = await place(one);
        const stock = await stockOf(database, one);
        const detail = await makePayment(database, id);
        const expiry = rival.batch({ statusChanges: [rival.status({ orderId: id, to: 'EXPIRED' })] }); // prettier-ignore
        const [paid, expired] = await Promise.all([
          change(id, { to: 'PAID', detail }),
          writeBatch(second, expiry),
        ]);
        const status = await statusOf(id);
        const payment = await paymentOf(database, detail.paymentId);
        if (status === 'PAID') expect(expired.unchanged).toEqual({ [id]: 'PAID' });
        else expect(paid.unchanged).toEqual({ [id]: 'EXPIRED' });
        expect(payment?.status).toBe(status === 'PAID' ? 'SUCCEEDED' : 'PENDING');
        expect(await stockOf(database, one)).toBe(status === 'PAID' ? stock : stock + 2);
      }
    } finally {
      await second.end();
    }
  });
});

describe('a cancellation', () => {
  const cancel = { to: 'CANCELLED', from: ['WAITING_PAYMENT', 'PAID'] } as const;

  it('of a paid order makes its payment due for a refund, in the same batch', async () => {
    const [id, bystander] = [await place(one), await placePaid(one)];
    const failed = await makePayment(database, id);
    await setPayment(failed.paymentId, 'FAILED');
    const detail = await makePayment(database, id);
    await change(id, { to: 'PAID', detail });
    await database.query('UPDATE payments SET tries = 3 WHERE id = $1', [detail.paymentId]);
    const { freed } = await change(id, cancel);
    expect(freed).toMatchObject([{ productId: one, units: 2 }]);
    const refund = { status: 'SUCCEEDED', refund_due: true, due: true, leased: false, tries: 0 };
    expect(await paymentOf(database, detail.paymentId)).toEqual(refund);
    const untouched = { status: 'FAILED', refund_due: false, due: false };
    expect(await paymentOf(database, failed.paymentId)).toMatchObject(untouched);
    const others = await database.query('SELECT FROM payments WHERE order_id = $1 AND refund_due', [
      bystander,
    ]);
    expect(others).toEqual([]);
    await setPayment(detail.paymentId, 'REFUNDED');
  });

  it('of an order that is not paid leaves a pending payment a job, without a refund', async () => {
    const id = await place(one);
    const detail = await makePayment(database, id);
    await change(id, cancel);
    const payment = await paymentOf(database, detail.paymentId);
    expect(payment).toMatchObject({ status: 'PENDING', refund_due: false, due: true });
  });
});

interface Line {
  readonly shipped_at: Date | null;
  readonly tracking: string | null;
}

describe('a shipment', () => {
  const from = ['PAID'] as const;
  const shipment = (merchantId: string | null, tracking: string | null = null): StatusDetail => ({
    kind: 'shipment',
    merchantId: merchantId === null ? null : userOf(merchantId),
    tracking,
  });
  const ship = (id: OrderId, detail: StatusDetail, key?: OrderId) =>
    change(id, { to: 'SHIPPING', from, detail, ...(key && { key }) });
  const linesOf = async (id: OrderId) => {
    const rows = await database.query<Line & { product_id: string }>(
      'SELECT product_id, shipped_at, tracking FROM order_items WHERE order_id = $1',
      [id],
    );
    return new Map(rows.map(({ product_id, ...line }) => [product_id, line]));
  };
  const isBound = async (key: OrderId) =>
    (await database.query('SELECT FROM keyed_effects WHERE id = $1', [key])).length === 1;
  const SHIPPED: Line = { shipped_at: new Date(NOW), tracking: null };
  const NOT_SHIPPED: Line = { shipped_at: null, tracking: null };

  it('of all lines moves the order on, and every line carries the tracking', async () => {
    const id = await placePaid(one, foreign);
    const tracking = 'a\tnumber\\N "1"';
    expect(await ship(id, shipment(null, tracking))).toEqual(NOTHING_TO_REPORT);
    expect(await statusOf(id)).toBe('SHIPPING');
    const line: Line = { shipped_at: new Date(NOW), tracking };
    expect(await linesOf(id)).toEqual(new Map([[one, line], [foreign, line]])); // prettier-ignore
  });

  it('of a merchant marks its own lines, and the last merchant moves the order on', async () => {
    const id = await placePaid(one, two, foreign);
    const keys = [newOrderId(), newOrderId()] as const;
    const report = await ship(id, shipment(MERCHANT_ID), keys[0]);
    expect(report).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'PAID' } });
    expect(await statusOf(id)).toBe('PAID');
    expect(await linesOf(id)).toEqual(new Map([[one, SHIPPED], [two, SHIPPED], [foreign, NOT_SHIPPED]])); // prettier-ignore
    // It took effect, so its key is bound.
    expect(await isBound(keys[0])).toBe(true);
    expect(await ship(id, shipment(OTHER_MERCHANT), keys[1])).toEqual(NOTHING_TO_REPORT);
    expect(await isBound(keys[1])).toBe(true);
    expect(await statusOf(id)).toBe('SHIPPING');
    const events = await database.query(
      'SELECT status, author FROM order_events WHERE order_id = $1 ORDER BY status',
      [id],
    );
    const shipped = { status: 'SHIPPING', author: MERCHANT_ID };
    expect(events).toEqual([{ status: 'PAID', author: null }, shipped]);
  });

  it('of a part keeps the order from being cancelled: shipped units are not sold again (I10)', async () => {
    const id = await placePaid(one, foreign);
    await ship(id, shipment(MERCHANT_ID));
    const report = await change(id, { to: 'CANCELLED', from: ['PAID'] });
    expect(report).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'PAID' } });
    expect(await statusOf(id)).toBe('PAID');
  });

  it('that is sent again changes no line, and its new key stays free', async () => {
    const id = await placePaid(one, foreign);
    await ship(id, shipment(MERCHANT_ID, 'first'));
    const key = newOrderId();
    const again = await ship(id, shipment(MERCHANT_ID, 'second'), key);
    expect(again).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'PAID' } });
    expect((await linesOf(id)).get(one)).toMatchObject({ tracking: 'first' });
    expect(await isBound(key)).toBe(false);
    const orders = [builder.order({ id: key, lines: [[one, 1]] })];
    expect(await writeBatch(session, builder.batch({ orders }))).toEqual(NOTHING_TO_REPORT);
  });

  it('under a key that is bound is a duplicate, and marks nothing', async () => {
    const [id, other] = [await placePaid(one, foreign), await placePaid(one, foreign)];
    const key = newOrderId();
    await ship(id, shipment(MERCHANT_ID), key);
    for (const orderId of [id, other]) {
      const again = await ship(orderId, shipment(null), key);
      expect(again).toEqual({ ...NOTHING_TO_REPORT, duplicates: [key] });
    }
    expect((await linesOf(id)).get(foreign)).toEqual(NOT_SHIPPED);
    expect((await linesOf(other)).get(one)).toEqual(NOT_SHIPPED);
  });

  it('of a merchant without a line in the order does nothing', async () => {
    const id = await placePaid(one);
    const key = newOrderId();
    const report = await ship(id, shipment(OTHER_MERCHANT), key);
    expect(report.unchanged).toEqual({ [id]: 'PAID' });
    expect((await linesOf(id)).get(one)).toEqual(NOT_SHIPPED);
    expect(await isBound(key)).toBe(false);
  });

  it('of an order that is not PAID marks no line', async () => {
    const waiting = await place(one);
    const expired = await place(one);
    await change(expired, { to: 'EXPIRED' });
    const cancelled = await placePaid(one);
    await change(cancelled, { to: 'CANCELLED', from });
    const shipped = await placePaid(one);
    await ship(shipped, shipment(null, 'first'));
    const key = newOrderId();
    for (const id of [waiting, expired, cancelled, shipped]) {
      const report = await ship(id, shipment(null, 'late'), key);
      expect(report.unchanged).toEqual({ [id]: await statusOf(id) });
      expect((await linesOf(id)).get(one)?.tracking).not.toBe('late');
    }
    expect(await isBound(key)).toBe(false);
    expect(await change(shipped, { to: 'COMPLETED', from: ['SHIPPING'] })).toEqual(NOTHING_TO_REPORT); // prettier-ignore
  });

  it('and a cancellation at once have one winner (60 rounds)', async () => {
    const second = await openSession(database, 'second');
    try {
      for (let round = 0; round < 60; round += 1) {
        const id = await placePaid(one, foreign);
        const statusChanges = [rival.status({ orderId: id, from, to: 'CANCELLED' })];
        await Promise.all([
          ship(id, shipment(null)),
          writeBatch(second, rival.batch({ statusChanges })),
        ]);
        const lines = [...(await linesOf(id)).values()];
        const shipped = (await statusOf(id)) === 'SHIPPING';
        expect(lines).toEqual(lines.map(() => (shipped ? SHIPPED : NOT_SHIPPED)));
      }
    } finally {
      await second.end();
    }
  });
});
