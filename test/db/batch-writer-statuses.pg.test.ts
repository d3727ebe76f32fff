/** Status changes in a batch: the guarded update, the units it frees, the key it binds. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { CartId, OrderId, OwnerId } from '../../src/domain/ids.ts';
import type { OrderStatus, StatusDetail } from '../../src/domain/order.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, MERCHANT_ID, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  countRows,
  newOrderId,
  openSession,
  stockOf,
} from './batch-builder.ts';
import { makePayment } from './shop-rows.ts';

const STOCK = 1000;
const IDS = productIds(4);
const [one = '', two = '', three = '', scarce = ''] = IDS;
const NOW = Date.now();

let database: TestDatabase;
let builder: BatchBuilder;
let session: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
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

async function place(...lines: readonly (readonly [string, number])[]): Promise<OrderId> {
  const order = builder.order({ lines });
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

/** Without a key; paid by a payment of its own, shipped as a whole. */
async function reach(orderId: OrderId, to: OrderStatus, from: readonly OrderStatus[]) {
  const detail = await detailOf(orderId, to);
  const statusChanges = [builder.status({ orderId, from, to, ...(detail && { detail }) })];
  return writeBatch(session, builder.batch({ statusChanges }));
}

async function detailOf(orderId: OrderId, to: OrderStatus): Promise<StatusDetail | null> {
  if (to === 'SHIPPING') return { kind: 'shipment', merchantId: null, tracking: null };
  return to === 'PAID' ? makePayment(database, orderId) : null;
}

async function statusOf(id: OrderId): Promise<string | undefined> {
  const rows = await database.query<{ status: string }>('SELECT status FROM orders WHERE id = $1', [
    id,
  ]);
  return rows[0]?.status;
}

async function effectOf(key: string): Promise<unknown> {
  const rows = await database.query(
    'SELECT order_id, user_id, stock_after FROM keyed_effects WHERE id = $1',
    [key],
  );
  return rows[0];
}

async function reportOf({ ownerId, no }: Batch): Promise<unknown> {
  const rows = await database.query<{ report: unknown }>(
    'SELECT report FROM commit_batches WHERE (owner_id, no) = ($1, $2)',
    [ownerId, no],
  );
  return rows[0]?.report;
}

/** The batch is refused with this error, and not a row of it is left. */
async function expectNothing(batch: Batch, error: Record<string, string>): Promise<void> {
  const before = await countRows(database);
  await expect(writeBatch(session, batch)).rejects.toMatchObject(error);
  await session.query('ROLLBACK');
  expect(await countRows(database)).toEqual(before);
}

describe('an order that expires or is cancelled', () => {
  it('gives the units of all its lines back, each product once, and says so (I10)', async () => {
    const first = await place([one, 2], [two, 3]);
    const [second, third] = [await place([two, 5]), await place([three, 7])];
    const before = await Promise.all(IDS.map((id) => stockOf(database, id)));
    const batch = builder.batch({
      statusChanges: [
        builder.status({ orderId: third, to: 'EXPIRED', at: NOW + 1 }),
        builder.status({ orderId: first, to: 'CANCELLED', reason: 'no\tlonger\\n', author: MERCHANT_ID, at: NOW }), // prettier-ignore
        builder.status({ orderId: second, to: 'EXPIRED', at: NOW + 2 }),
      ],
    });
    const { freed, ...others } = await writeBatch(session, batch);
    expect({ ...others, freed: [] }).toEqual(NOTHING_TO_REPORT);
    const units = new Map(freed.map((each) => [each.productId as string, each.units]));
    expect(units).toEqual(new Map([[one, 2], [two, 8], [three, 7]])); // prettier-ignore
    for (const { productId, stockVersion } of freed) {
      const [product] = await database.query(
        /* sql */ `SELECT p.stock_version::integer, l.kind, l.delta::integer, l.stock_after = p.stock AS agrees
                     FROM products p JOIN stock_ledger l USING (stock_version)
                    WHERE p.id = $1 AND l.product_id = p.id`,
        [productId],
      );
      const delta = units.get(productId);
      expect(product).toEqual({ stock_version: stockVersion, kind: 'freed', delta, agrees: true });
    }
    const [a = 0, b = 0, c = 0, d = 0] = before;
    const after = await Promise.all(IDS.map((id) => stockOf(database, id)));
    expect(after).toEqual([a + 2, b + 8, c + 7, d]);
    const events = await database.query(
      /* sql */ `SELECT order_id, status, reason, author, batch_no, created_at FROM order_events
                  WHERE order_id = ANY ($1) ORDER BY created_at`,
      [[first, second, third]],
    );
    const common = { reason: null, author: null, batch_no: batch.no };
    expect(events).toEqual([
      { ...common, order_id: first, status: 'CANCELLED', reason: 'no\tlonger\\n', author: MERCHANT_ID, created_at: new Date(NOW) }, // prettier-ignore
      { ...common, order_id: third, status: 'EXPIRED', created_at: new Date(NOW + 1) },
      { ...common, order_id: second, status: 'EXPIRED', created_at: new Date(NOW + 2) },
    ]);
  });

  it('stays so whatever a later change allows: units are freed once', async () => {
    const id = await place([one, 1]);
    await reach(id, 'EXPIRED', ['WAITING_PAYMENT']);
    const stock = await stockOf(database, one);
    const report = await reach(id, 'CANCELLED', ['WAITING_PAYMENT', 'EXPIRED', 'CANCELLED']);
    expect(report).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'EXPIRED' } });
    expect(await stockOf(database, one)).toBe(stock);
  });
});

describe('a guarded change (I6)', () => {
  it('to a live status frees nothing and has nothing to report', async () => {
    const id = await place([one, 1]);
    const stock = await stockOf(database, one);
    const path: readonly OrderStatus[] = ['WAITING_PAYMENT', 'PAID', 'SHIPPING', 'COMPLETED'];
    for (const [n, to] of path.slice(1).entries()) {
      expect(await reach(id, to, [path[n] ?? to])).toEqual(NOTHING_TO_REPORT);
    }
    expect(await statusOf(id)).toBe('COMPLETED');
    expect(await stockOf(database, one)).toBe(stock);
  });

  it('that is not allowed any more is reported and hinders no other of its batch', async () => {
    const paid = await place([one, 1]);
    const unpaid = await place([one, 2]);
    await reach(paid, 'PAID', ['WAITING_PAYMENT']);
    const stock = await stockOf(database, one);
    const statusChanges = [paid, unpaid].map((orderId) =>
      builder.status({ orderId, to: 'EXPIRED' }),
    );
    const report = await writeBatch(session, builder.batch({ statusChanges }));
    expect(report.unchanged).toEqual({ [paid]: 'PAID' });
    expect(report.freed).toMatchObject([{ productId: one, units: 2 }]);
    expect(await statusOf(paid)).toBe('PAID');
    expect(await stockOf(database, one)).toBe(stock + 2);
  });

  it('of several statuses takes place in any of them', async () => {
    const id = await place([one, 1]);
    await reach(id, 'PAID', ['WAITING_PAYMENT']);
    const { unchanged } = await reach(id, 'CANCELLED', ['WAITING_PAYMENT', 'PAID']);
    expect(unchanged).toEqual({});
    expect(await statusOf(id)).toBe('CANCELLED');
  });

  it('of an order that does not exist rolls the batch back and names the order', async () => {
    const unknown = newOrderId();
    const known = await place([one, 1]);
    const statusChanges = [unknown, known].map((orderId) =>
      builder.status({ orderId, to: 'EXPIRED' }),
    );
    const batch = builder.batch({ statusChanges });
    await expectNothing(batch, { code: 'HF002', detail: `unknown order: ${unknown}` });
    expect(await statusOf(known)).toBe('WAITING_PAYMENT');
  });

  it('that is in the batch twice rolls it back (HF002)', async () => {
    const id = await place([one, 1]);
    const statusChanges = [1, 2].map(() => builder.status({ orderId: id, to: 'EXPIRED' }));
    await expectNothing(builder.batch({ statusChanges }), { code: 'HF002' });
  });
});

describe('a keyed change (I3)', () => {
  it('binds its key to the order, and the key has no effect a second time', async () => {
    const [id, other] = [await place([one, 1]), await place([one, 1])];
    const key = newOrderId();
    const change = builder.status({ orderId: id, to: 'CANCELLED', key });
    const { duplicates, unchanged } = await writeBatch(session, builder.batch({ statusChanges: [change] })); // prettier-ignore
    expect({ duplicates, unchanged }).toEqual({ duplicates: [], unchanged: {} });
    expect(await effectOf(key)).toEqual({ order_id: id, user_id: MERCHANT_ID, stock_after: null });
    // The row that claims the key for a moment is gone.
    expect(await statusOf(key)).toBeUndefined();
    for (const orderId of [id, other]) {
      const statusChanges = [builder.status({ orderId, to: 'CANCELLED', key })];
      const again = await writeBatch(session, builder.batch({ statusChanges }));
      expect(again).toEqual({ ...NOTHING_TO_REPORT, duplicates: [key] });
    }
    expect(await statusOf(other)).toBe('WAITING_PAYMENT');
  });

  it('has no effect under the key of an order or of a stock change, nor they under its key', async () => {
    const change = builder.change({ productId: one, delta: 1 });
    await writeBatch(session, builder.batch({ stockChanges: [change] }));
    const id = await place([one, 1]);
    const taken = [change.id, id];
    const others = [await place([one, 1]), await place([one, 1])];
    const statusChanges = others.map((orderId, n) =>
      builder.status({ orderId, to: 'CANCELLED', key: taken[n] ?? null }),
    );
    const report = await writeBatch(session, builder.batch({ statusChanges }));
    expect(report.duplicates.toSorted()).toEqual(taken.toSorted());
    expect(report).toMatchObject({ unchanged: {}, freed: [] });
    const key = newOrderId();
    await writeBatch(session, builder.batch({ statusChanges: [builder.status({ orderId: id, to: 'CANCELLED', key })] })); // prettier-ignore
    const orders = [builder.order({ id: key, lines: [[one, 1]] })];
    const crossed = await writeBatch(session, builder.batch({ orders }));
    expect(crossed).toEqual({ ...NOTHING_TO_REPORT, duplicates: [key] });
  });

  it('that does not take place leaves its key free', async () => {
    const id = await place([one, 1]);
    await reach(id, 'PAID', ['WAITING_PAYMENT']);
    const key = newOrderId();
    const late = builder.batch({ statusChanges: [builder.status({ orderId: id, to: 'CANCELLED', key })] }); // prettier-ignore
    const { unchanged, duplicates } = await writeBatch(session, late);
    expect({ unchanged, duplicates }).toEqual({ unchanged: { [id]: 'PAID' }, duplicates: [] });
    expect(await effectOf(key)).toBeUndefined();
    expect(await statusOf(key)).toBeUndefined();
    const orders = [builder.order({ id: key, lines: [[one, 1]] })];
    expect(await writeBatch(session, builder.batch({ orders }))).toEqual(NOTHING_TO_REPORT);
  });
});

describe('one batch of everything', () => {
  it('chains stock changes, then sales, then what is freed, of one product (I10)', async () => {
    const id = await place([three, 4]);
    const stock = await stockOf(database, three);
    const change = builder.change({ productId: three, delta: 10 });
    const batch = builder.batch({
      orders: [builder.order({ lines: [[three, 1]] }), builder.order({ lines: [[three, 2]] })],
      stockChanges: [change],
      statusChanges: [builder.status({ orderId: id, to: 'CANCELLED', key: newOrderId() })],
    });
    const report = await writeBatch(session, batch);
    const rows = await database.query<{ kind: string; delta: number; after: number }>(
      /* sql */ `SELECT kind, delta::integer, stock_after::integer AS after FROM stock_ledger
                  WHERE product_id = $1 AND batch_no = $2 ORDER BY stock_version`,
      [three, batch.no],
    );
    expect(rows).toEqual([
      { kind: 'change', delta: 10, after: stock + 10 },
      { kind: 'sale', delta: -3, after: stock + 7 },
      { kind: 'freed', delta: 4, after: stock + 11 },
    ]);
    expect(report.stockAfter).toEqual({ [change.id]: stock + 10 });
    expect(report.freed).toMatchObject([{ productId: three, units: 4 }]);
  });

  it('is refused when a sale rests on units that it frees: they count from the COMMIT (I1)', async () => {
    const id = await place([scarce, STOCK]);
    const batch = builder.batch({
      orders: [builder.order({ lines: [[scarce, 1]] })],
      statusChanges: [builder.status({ orderId: id, to: 'EXPIRED' })],
    });
    await expectNothing(batch, { code: '23514', table: 'products' });
  });
});

describe('the report', () => {
  it('stands in the row of the batch, for whoever lost the answer', async () => {
    const [expiring, paid] = [await place([one, 1]), await place([two, 1])];
    await reach(paid, 'PAID', ['WAITING_PAYMENT']);
    const bound = await place([two, 1]);
    const unknownCart = { id: randomUUID() as CartId, version: 1 };
    const batch = builder.batch({
      orders: [
        builder.order({ id: bound, lines: [[two, 1]] }),
        builder.order({ lines: [[two, 1]], cart: { ...unknownCart, key: null } }),
      ],
      stockChanges: [builder.change({ productId: one, delta: 1 })],
      statusChanges: [expiring, paid].map((orderId) => builder.status({ orderId, to: 'EXPIRED' })),
    });
    const report = await writeBatch(session, batch);
    expect(Object.values(report).map((part) => Object.keys(part).length)).toEqual([1, 1, 1, 1, 1]);
    expect(await reportOf(batch)).toEqual(report);
  });

  it('is null of a batch with nothing to report', async () => {
    const batch = builder.batch({ orders: [builder.order({ lines: [[one, 1]] })] });
    expect(await writeBatch(session, batch)).toEqual(NOTHING_TO_REPORT);
    expect(await reportOf(batch)).toBeNull();
  });
});

describe('what a status change reads', () => {
  it('are its own rows, also on a session whose plans are of the time when little was sold', async () => {
    const scans = async () => {
      await session.query('SELECT pg_stat_force_next_flush()');
      await session.query('SELECT');
      const rows = await database.query<{
        relname: string;
        seq_scan: string;
      }>(/* sql */ `SELECT relname, seq_scan FROM pg_stat_user_tables
                    WHERE relname IN ('orders', 'order_items', 'order_events') ORDER BY relname`);
      return rows;
    };
    const change = async () => {
      const [id, paid] = [await place([one, 1], [two, 1]), await place([one, 1])];
      await reach(paid, 'PAID', ['WAITING_PAYMENT']);
      const statusChanges = [id, paid].map((orderId) => builder.status({ orderId, to: 'EXPIRED' }));
      await writeBatch(session, builder.batch({ statusChanges }));
    };
    // Autovacuum would have the plans made anew, but it comes once a minute.
    await database.query(/* sql */ `
      ALTER TABLE orders SET (autovacuum_enabled = off);
      ALTER TABLE order_items SET (autovacuum_enabled = off);
      ALTER TABLE order_events SET (autovacuum_enabled = off);
      ANALYZE orders, order_items, order_events`);
    await change();
    expect(await scans()).toHaveLength(3);
    // What other sessions read is reported at any time, but not time and again.
    await until('a round without a scan', async () => {
      const before = await scans();
      await change();
      return isDeepStrictEqual(await scans(), before);
    });
  });
});

describe('a status change of a fenced owner (I5)', () => {
  it('does not take place, although it touches no product', async () => {
    const id = await place([one, 1]);
    await claim(database, 'next');
    const statusChanges = [builder.status({ orderId: id, to: 'PAID' })];
    await expectNothing(builder.batch({ statusChanges }), { code: 'HF001' });
    expect(await statusOf(id)).toBe('WAITING_PAYMENT');
  });
});
