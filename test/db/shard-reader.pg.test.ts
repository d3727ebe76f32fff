import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
import {
  findEffects,
  findFreedBy,
  readNewestOrders,
  readProducts,
} from '../../src/db/shard-reader.ts';
import type { StoredOrder } from '../../src/db/shard-reader.ts';
import type { OwnerId, PartitionId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { BatchBuilder, claim, newOrderId, openSession, productOf, UNIT_PRICE } from './batch-builder.ts'; // prettier-ignore

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 123);
/** How long ago each order was made: by the minute, by the day, by the month, and long before. */
const AGES_MS = [0, 1, 60_000, 59 * 60_000, 2 * HOUR_MS, 9 * HOUR_MS, 65 * HOUR_MS, 30 * 24 * HOUR_MS, 90 * 24 * HOUR_MS, 700 * 24 * HOUR_MS]; // prettier-ignore
/** Partitions 0 and 1 have orders, 2 and 3 have none. */
const [inZero = '', inOne = '', inTwo = ''] = productIds(3);

let database: TestDatabase;
let session: pg.Client;
let builder: BatchBuilder;
/** Newest first. */
const ordersOf: Record<'zero' | 'one', string[]> = { zero: [], one: [] };

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [inZero, inOne, inTwo], stock: 1000 });
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
  session = await openSession(database);
});

afterAll(async () => {
  await session.end();
  await database.close();
});

function partitions(...numbers: readonly number[]): PartitionId[] {
  return numbers as PartitionId[];
}

function idsOf(orders: readonly StoredOrder[]): string[] {
  return orders.map(({ id }) => id);
}

/** As a shard would have committed it then. */
async function commitAt(ageMs: number, productId: string): Promise<string> {
  const createdAt = NOW - ageMs;
  const order = builder.order({ lines: [[productId, 1]], createdAt });
  const batch = builder.batch({ orders: [order] });
  await writeBatch(session, batch);
  await database.query(
    'UPDATE commit_batches SET committed_at = $3 WHERE (owner_id, no) = ($1, $2)',
    [batch.ownerId, batch.no, new Date(createdAt + 5)],
  );
  return order.command.id;
}

describe('the newest orders', () => {
  it('are complete and none in a database that never sold', async () => {
    const newest = await readNewestOrders(session, { partitions: partitions(0, 1), linesMax: 10 });
    expect(newest).toEqual({ orders: [], complete: true });
  });

  it('are found however far back they are, oldest first, of these partitions only', async () => {
    for (const age of AGES_MS) {
      ordersOf.zero.push(await commitAt(age, inZero));
      ordersOf.one.push(await commitAt(age, inOne));
    }
    const all = AGES_MS.length;
    for (let max = 1; max <= all + 1; max += 1) {
      const newest = await readNewestOrders(session, {
        partitions: partitions(0, 2),
        linesMax: max,
      });
      expect(idsOf(newest.orders)).toEqual(ordersOf.zero.slice(0, max).toReversed());
      expect(newest.complete).toBe(max >= all);
    }
  });

  it('of several partitions are one list', async () => {
    const both = { partitions: partitions(0, 1, 2, 3), linesMax: 3 };
    const { orders, complete } = await readNewestOrders(session, both);
    const createdAt = orders.map(({ order }) => order.createdAt);
    expect(createdAt).toEqual([NOW - 1, NOW, NOW]);
    expect(complete).toBe(false);
  });

  it('are complete for partitions that never sold, although others did', async () => {
    const newest = await readNewestOrders(session, { partitions: partitions(2, 3), linesMax: 1 });
    expect(newest).toEqual({ orders: [], complete: true });
  });

  it('are told as they were first answered, lines sorted by product', async () => {
    const order = builder.order({
      lines: [[inTwo, 2, 'Two'], [inZero, 3, 'Zero'], [inOne, 1, 'One']], // prettier-ignore
      createdAt: NOW + 1,
    });
    await writeBatch(session, builder.batch({ orders: [order] }));
    // The rows lie and are read in another order than that of the products.
    await database.query('UPDATE order_items SET quantity = quantity WHERE product_id = $1', [inZero]); // prettier-ignore
    await session.query('SET enable_indexscan = off; SET enable_bitmapscan = off');
    const { orders } = await readNewestOrders(session, { partitions: partitions(0), linesMax: 3 });
    const { id, requestHash } = order.command;
    const lines = [inZero, inOne, inTwo].map((productId) => ({ productId }));
    await session.query('RESET enable_indexscan; RESET enable_bitmapscan');
    expect(orders).toEqual([{ kind: 'order', id, requestHash, lines, order: order.order }]);
    expect(orders[0]?.order.lines.map(({ name }) => name)).toEqual(['Zero', 'One', 'Two']);
  });
});

describe('effects by id', () => {
  it('are orders with all their lines, and stock changes with the stock right after them', async () => {
    const order = builder.order({ lines: [[inOne, 1], [inTwo, 2]] }); // prettier-ignore
    const change = builder.change({ productId: inTwo, delta: 40 });
    const unkeyed = builder.change({ productId: inTwo, delta: 1, keyed: false });
    const batch = builder.batch({ orders: [order], stockChanges: [change] });
    const { stockAfter } = await writeBatch(session, batch);
    await writeBatch(session, builder.batch({ stockChanges: [unkeyed] }));
    const unbound = newOrderId();
    const ids = [unbound, change.id, unkeyed.id, order.command.id];
    const effects = await findEffects(session, ids);
    const { id, requestHash } = order.command;
    const lines = [inOne, inTwo].map((productId) => ({ productId }));
    expect(effects).toEqual([
      { kind: 'order', id, requestHash, lines, order: order.order },
      {
        kind: 'stock-change',
        id: change.id,
        requestHash: change.requestHash,
        available: stockAfter[change.id],
      },
    ]);
    expect(await findEffects(session, [])).toEqual([]);
  });

  it('are status changes that took place, known by their hash alone', async () => {
    const order = builder.order({ lines: [[inOne, 1]] });
    await writeBatch(session, builder.batch({ orders: [order] }));
    const { id: orderId } = order.command;
    const cancel = builder.status({ orderId, to: 'CANCELLED', key: newOrderId() });
    const late = builder.status({ orderId, to: 'PAID', key: newOrderId() });
    await writeBatch(session, builder.batch({ statusChanges: [cancel] }));
    await writeBatch(session, builder.batch({ statusChanges: [late] }));
    const effects = await findEffects(session, [cancel.key?.id ?? '', late.key?.id ?? '']);
    expect(effects).toEqual([{ kind: 'status-change', ...cancel.key }]);
  });
});

describe('what an owner freed', () => {
  it('is found by the products of its last batches, and of nobody else', async () => {
    const next = new BatchBuilder(((builder.ownerId as number) + 1000) as OwnerId);
    const cancelled = builder.order({ lines: [[inOne, 1]] });
    await writeBatch(session, builder.batch({ orders: [cancelled] }));
    const before = await findFreedBy(session, builder.ownerId);
    const change = builder.status({ orderId: cancelled.command.id, to: 'CANCELLED' });
    await writeBatch(session, builder.batch({ statusChanges: [change] }));
    const after = await findFreedBy(session, builder.ownerId);
    expect(new Set(after)).toEqual(new Set([...before, inOne]));
    expect(await findFreedBy(session, next.ownerId)).toEqual([]);
  });
});

describe('products', () => {
  it('are read with every fact that decides, and absent when they do not exist', async () => {
    await database.query(
      /* sql */ `UPDATE products SET sale_starts_at = $2, sale_ends_at = $3, status = 'paused'
                  WHERE id = $1`,
      [inTwo, new Date(NOW), new Date(NOW + 1)],
    );
    const [row] = await database.query<
      Record<'stock' | 'supplied' | 'stockVersion' | 'sequence', number>
    >(
      /* sql */ `SELECT stock::integer, supplied::integer, stock_version::integer AS "stockVersion",
                        sequence::integer
                   FROM products WHERE id = $1`,
      [inTwo],
    );
    const missing = productOf('ffffffff-0000-7000-8000-000000000000');
    expect(row?.sequence).toBeGreaterThan(0);
    expect(await readProducts(session, [missing, productOf(inTwo)])).toEqual([
      {
        id: inTwo,
        name: `Product ${inTwo}`,
        price: { amount: UNIT_PRICE, currency: 'USD' },
        perCustomerLimit: null,
        customerUnits: null,
        version: 1,
        status: 'paused',
        saleStartsAt: NOW,
        saleEndsAt: NOW + 1,
        ...row,
      },
    ]);
  });
});
