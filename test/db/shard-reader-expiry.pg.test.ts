import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
import { moveWatermark, readExpiring } from '../../src/db/shard-reader.ts';
import type { ExpiringOrder } from '../../src/domain/batch.ts';
import type { OrderId, OwnerId, PartitionId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { BatchBuilder, claim, openSession } from './batch-builder.ts';

const MINUTE_MS = 60_000;
/** What the builder gives an order to be paid, and `claim` records as the longest. */
const HOLD_MS = 15 * MINUTE_MS;
const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 123);
const [inZero = '', inOne = '', inTwo = ''] = productIds(3);
const ALL = 1000;

let database: TestDatabase;
let session: pg.Client;
let builder: BatchBuilder;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [inZero, inOne, inTwo], stock: 100_000 });
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
  session = await openSession(database);
});

beforeEach(async () => {
  await database.query(`
    TRUNCATE orders, order_items; UPDATE expiry_watermarks SET expired_until = '-infinity'`);
});

afterAll(async () => {
  await session.end();
  await database.close();
});

function partitions(...numbers: readonly number[]): PartitionId[] {
  return numbers as PartitionId[];
}

/** An order that expires then. */
async function place(expiresAt: number, ...products: readonly string[]): Promise<OrderId> {
  const lines = products.map((id, i) => [id, 1 + i] as const);
  const order = builder.order({ lines, createdAt: expiresAt - HOLD_MS });
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

async function watermarks(): Promise<(number | null)[]> {
  const rows = await database.query<{
    at: string | null;
  }>(/* sql */ `SELECT CASE WHEN isfinite(expired_until)
                           THEN extract(epoch FROM expired_until) * 1000 END AS at
                 FROM expiry_watermarks WHERE partition < 3 ORDER BY partition`);
  return rows.map(({ at }) => (at === null ? null : Number(at)));
}

const idsOf = (orders: readonly ExpiringOrder[]) => orders.map(({ orderId }) => orderId);

describe('unpaid orders', () => {
  it('come by expiry, with all of their lines, from their home alone', async () => {
    const late = await place(NOW + 2, inOne);
    const early = await place(NOW, inTwo, inOne, inZero);
    const middle = await place(NOW + 1, inZero);
    const elsewhere = await place(NOW, inTwo);
    const query = { partitions: partitions(0, 1), after: null, max: ALL };
    const { orders, complete } = await readExpiring(session, query);
    const told = orders.map(({ lines, ...order }) => [
      order,
      Object.fromEntries(lines.map(({ productId, quantity }) => [productId, quantity])),
    ]);
    expect(told).toEqual([
      [
        { orderId: early, expiresAt: NOW },
        { [inTwo]: 1, [inOne]: 2, [inZero]: 3 },
      ],
      [{ orderId: middle, expiresAt: NOW + 1 }, { [inZero]: 1 }],
      [{ orderId: late, expiresAt: NOW + 2 }, { [inOne]: 1 }],
    ]);
    expect(complete).toBe(true);
    const two = await readExpiring(session, { ...query, partitions: partitions(2) });
    expect(idsOf(two.orders)).toEqual([elsewhere]);
  });

  it('are those that wait for payment: no others ever expire', async () => {
    const waiting = await place(NOW, inZero);
    for (const to of ['PAID', 'EXPIRED', 'CANCELLED'] as const) {
      const statusChanges = [builder.status({ orderId: await place(NOW, inZero), to })];
      await writeBatch(session, builder.batch({ statusChanges }));
    }
    const { orders } = await readExpiring(session, { partitions: partitions(0), after: null, max: ALL }); // prettier-ignore
    expect(idsOf(orders)).toEqual([waiting]);
  });

  it('come in parts that miss none and repeat none, equal times in one part', async () => {
    const times = [0, 1, 1, 1, 2, 3, 3, 4, 5, 5].map((step) => NOW + step);
    const placed: OrderId[] = [];
    for (const time of times.toReversed()) placed.push(await place(time, inZero));
    for (let max = 1; max <= times.length + 1; max += 1) {
      const seen: ExpiringOrder[] = [];
      let after: number | null = null;
      for (let complete = false; !complete;) {
        const part = await readExpiring(session, { partitions: partitions(0), after, max });
        seen.push(...part.orders);
        after = part.orders.at(-1)?.expiresAt ?? after;
        complete = part.complete;
        if (!complete) expect(part.orders.length).toBeGreaterThanOrEqual(max);
      }
      expect(seen.map(({ expiresAt }) => expiresAt)).toEqual(times);
      expect(idsOf(seen).toSorted()).toEqual(placed.toSorted());
    }
  });

  it('are none in a database that never sold', async () => {
    const query = { partitions: partitions(0, 1), after: null, max: ALL };
    expect(await readExpiring(session, query)).toEqual({ orders: [], complete: true });
  });
});

/** By the owner. */
function move(ids: readonly PartitionId[], time: number): Promise<void> {
  return moveWatermark(session, { owner: builder.ownerId, partitions: ids, time });
}

describe('a watermark', () => {
  it('is moved for its partitions only, and only by who owns them (I5)', async () => {
    await move(partitions(0, 2), NOW);
    expect(await watermarks()).toEqual([NOW, null, NOW]);
    const zombie = ((builder.ownerId as number) + 1000) as OwnerId;
    const claim = { owner: zombie, partitions: partitions(0, 1, 2), time: NOW + 1 };
    await moveWatermark(session, claim);
    expect(await watermarks()).toEqual([NOW, null, NOW]);
    // The owner's clock was set back.
    await move(partitions(0, 1, 2), NOW - 1);
    expect(await watermarks()).toEqual([NOW - 1, NOW - 1, NOW - 1]);
  });

  it('never hides an order that expires after it, nor one of a partition that lags behind', async () => {
    const first = await place(NOW + 1, inZero);
    const lagging = await place(NOW - HOLD_MS, inOne);
    await move(partitions(0), NOW);
    await move(partitions(1), NOW - HOLD_MS - 1);
    const query = { partitions: partitions(0, 1), after: null, max: ALL };
    expect(idsOf((await readExpiring(session, query)).orders)).toEqual([lagging, first]);
  });

  it('bounds what is read: of a long history the newest blocks, found by BRIN', async () => {
    await database.query(
      /* sql */ `
      INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                          currency, total, created_at, expires_at)
      SELECT gen_random_uuid(), gen_random_uuid(), '\\x00', 1, 2, n % 3, 'WAITING_PAYMENT', 'USD', 0,
             to_timestamp($1::float8 / 1000) - n * interval '1 min',
             to_timestamp($1::float8 / 1000) - n * interval '1 min' + interval '15 min'
        FROM generate_series(60000, 0, -1) AS n`,
      [NOW],
    );
    await database.query('VACUUM (ANALYZE) orders');
    await move(partitions(0, 1), NOW);
    const query = vi.spyOn(session, 'query');
    const { orders } = await readExpiring(session, { partitions: partitions(0, 1), after: NOW, max: ALL }); // prettier-ignore
    const [text, values] = query.mock.calls.at(-1) as unknown as [string, unknown[]];
    query.mockRestore();
    expect(orders.map(({ expiresAt }) => (expiresAt - NOW) / MINUTE_MS)).toEqual([2, 3, 5, 6, 8, 9, 11, 12, 14, 15]); // prettier-ignore
    const rows = await session.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values);
    const plan = JSON.stringify(rows.rows);
    expect(plan).toContain('orders_created_idx');
    expect(plan).not.toMatch(/"Node Type":"Seq Scan"[^}]*"Relation Name":"orders"/);
    const read = Number(/"Shared Hit Blocks":(\d+)/.exec(plan)?.[1]);
    const [table] = await database.query<{ pages: number }>(
      `SELECT relpages AS pages FROM pg_class WHERE relname = 'orders'`,
    );
    expect(read).toBeLessThan((table?.pages ?? 0) / 5);
  });
});
