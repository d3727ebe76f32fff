/**
 * Two sessions at once. Interleavings are forced: a third session holds the lock of a product row,
 * so that a batch stands behind its inserts and before its COMMIT for as long as the test wants.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import type { Batch, Committed } from '../../src/domain/batch.ts';
import type { OrderId, OwnerId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  countRows,
  newOrderId,
  openPlain,
  openSession,
  stockOf,
  userOf,
  waitingForLock,
} from './batch-builder.ts';
import { makeCart, makePayment } from './shop-rows.ts';

const STOCK = 1_000_000;
const IDS = productIds(16);
/** Of the first batch and of the second. */
const [productA = '', productB = ''] = IDS;

let database: TestDatabase;
let first: pg.Client;
let second: pg.Client;
let blocker: pg.Client;
let builderA: BatchBuilder;
let builderB: BatchBuilder;
const sequences = new Map<string, number>();

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
});

beforeEach(async () => {
  const { owners } = await claim(database, 'node', 2);
  const [a = 0 as OwnerId, b = 0 as OwnerId] = owners;
  builderA = new BatchBuilder(a, sequences);
  builderB = new BatchBuilder(b, sequences);
  first = await openSession(database, 'first');
  second = await openSession(database, 'second');
  blocker = await openPlain(database);
});

afterEach(async () => {
  await Promise.all([first, second, blocker].map((client) => client.end()));
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

async function lockProduct(id: string): Promise<void> {
  await blocker.query('BEGIN');
  await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [id]);
}

/** Sends the batch on the first session and lets it run into the product that is locked. */
async function sendBlocked(batch: Batch): Promise<{ readonly end: Promise<Committed> }> {
  const end = writeBatch(first, batch);
  // The test awaits it later; a rejection until then is not an unhandled one.
  end.catch(() => undefined);
  await until('the first batch waits', async () => (await waitingForLock(database, 'first')) === 1);
  return { end };
}

const KINDS = ['order', 'stock change', 'status change', 'checkout'] as const;
type Kind = (typeof KINDS)[number];

/** Units that each kind of command below adds to the stock. */
const UNITS = 3;
const DELTAS: Record<Kind, number> = {
  order: -UNITS,
  'stock change': -UNITS,
  'status change': UNITS,
  checkout: -UNITS,
};

/** Commits an order, for a status change to be made of it. */
async function place(builder: BatchBuilder, productId: string): Promise<OrderId> {
  const order = builder.order({ lines: [[productId, UNITS]] });
  await writeBatch(second, builder.batch({ orders: [order] }));
  return order.command.id;
}

async function withKey(
  builder: BatchBuilder,
  kind: Kind,
  { id, productId }: { readonly id: OrderId; readonly productId: string },
): Promise<Batch> {
  if (kind === 'order') {
    return builder.batch({ orders: [builder.order({ id, lines: [[productId, UNITS]] })] });
  }
  if (kind === 'stock change') {
    return builder.batch({ stockChanges: [builder.change({ id, productId, delta: -UNITS })] });
  }
  if (kind === 'checkout') {
    const userId = userOf(randomUUID());
    const lines = [[productId, UNITS]] as const;
    const key = { id, requestHash: id.replaceAll('-', '') };
    const cart = { ...(await makeCart(database, { userId, lines })), key };
    return builder.batch({ orders: [builder.order({ userId, lines, cart })] });
  }
  const orderId = await place(builder, productId);
  return builder.batch({ statusChanges: [builder.status({ orderId, to: 'CANCELLED', key: id })] });
}

/** The key that was bound before, and what has no effect with it: the order of a cart. Sorted. */
function without(id: OrderId, { orders }: Batch): readonly string[] {
  const ordered = orders.flatMap(({ command }) => (command.cart === null ? [] : [command.id]));
  return [id, ...ordered].toSorted();
}

async function boundAs(id: OrderId): Promise<Kind[]> {
  const orders = await database.query('SELECT FROM orders WHERE id = $1', [id]);
  const effects = await database.query<{ kind: Kind }>(
    /* sql */ `SELECT CASE WHEN k.order_id IS NULL THEN 'stock change'
                           WHEN c.id IS NULL THEN 'status change' ELSE 'checkout' END AS kind
                 FROM keyed_effects k LEFT JOIN carts c ON c.order_id = k.order_id
                WHERE k.id = $1`,
    [id],
  );
  return [...orders.map((): Kind => 'order'), ...effects.map(({ kind }) => kind)];
}

async function stocks(): Promise<readonly [number, number]> {
  return [await stockOf(database, productA), await stockOf(database, productB)];
}

describe('one key on two sessions at once (I3)', () => {
  const pairs = KINDS.flatMap((a) => KINDS.map((b) => [a, b] as const));

  it.each(pairs)('as %s that commits, then as %s: the first takes effect alone', async (a, b) => {
    const id = newOrderId();
    const batchA = await withKey(builderA, a, { id, productId: productA });
    const batchB = await withKey(builderB, b, { id, productId: productB });
    const [stockA, stockB] = await stocks();
    await lockProduct(productA);
    const { end } = await sendBlocked(batchA);
    const late = writeBatch(second, batchB);
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await blocker.query('COMMIT');
    expect((await end).duplicates).toEqual([]);
    const { duplicates, ...others } = await late;
    expect({ ...others, duplicates: duplicates.toSorted() }).toEqual({
      ...NOTHING_TO_REPORT,
      duplicates: without(id, batchB),
    });
    expect(await boundAs(id)).toEqual([a]);
    expect(await stocks()).toEqual([stockA + DELTAS[a], stockB]);
  });

  it.each(pairs)('as %s that rolls back, then as %s: the second takes effect', async (a, b) => {
    const id = newOrderId();
    const batchA = await withKey(builderA, a, { id, productId: productA });
    const batchB = await withKey(builderB, b, { id, productId: productB });
    const [stockA, stockB] = await stocks();
    await lockProduct(productA);
    const { end } = await sendBlocked(batchA);
    const late = writeBatch(second, batchB);
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await terminate('first');
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    expect((await late).duplicates).toEqual([]);
    await blocker.query('ROLLBACK');
    expect(await boundAs(id)).toEqual([b]);
    expect(await stocks()).toEqual([stockA, stockB + DELTAS[b]]);
  });

  it('takes effect once in any interleaving that happens by itself', async () => {
    for (let round = 0; round < 90; round += 1) {
      const id = newOrderId();
      const [a, b] = pairs[round % pairs.length] ?? ['order', 'order'];
      const batchA = await withKey(builderA, a, { id, productId: productA });
      const batchB = await withKey(builderB, b, { id, productId: productB });
      const reports = await Promise.all([writeBatch(first, batchA), writeBatch(second, batchB)]);
      const lost = reports.flatMap(({ duplicates }) => duplicates);
      expect([without(id, batchA), without(id, batchB)]).toContainEqual(lost.toSorted());
      expect(await boundAs(id)).toHaveLength(1);
    }
  });

  it('that the first does not bind, since its change does not take place, binds the second', async () => {
    const id = newOrderId();
    const orderId = await place(builderA, productA);
    const paid = builderA.status({ orderId, to: 'PAID', detail: await makePayment(database, orderId) }); // prettier-ignore
    await writeBatch(first, builderA.batch({ statusChanges: [paid] }));
    const [stockA, stockB] = await stocks();
    await lockProduct(productA);
    const { end } = await sendBlocked(
      builderA.batch({
        orders: [builderA.order({ lines: [[productA, UNITS]] })],
        statusChanges: [builderA.status({ orderId, to: 'CANCELLED', key: id })],
      }),
    );
    const late = writeBatch(second, await withKey(builderB, 'order', { id, productId: productB }));
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await blocker.query('COMMIT');
    expect((await end).unchanged).toEqual({ [orderId]: 'PAID' });
    expect((await late).duplicates).toEqual([]);
    expect(await boundAs(id)).toEqual(['order']);
    expect(await stocks()).toEqual([stockA - UNITS, stockB - UNITS]);
  });
});

describe('an order that is to expire and to be cancelled at once (I3, I10)', () => {
  const expiry = (orderId: OrderId) =>
    builderA.batch({ statusChanges: [builderA.status({ orderId, to: 'EXPIRED' })] });
  const cancellation = (orderId: OrderId) =>
    builderA.batch({
      statusChanges: [builderA.status({ orderId, to: 'CANCELLED', key: newOrderId() })],
    });
  const statusOf = async (id: OrderId) => {
    const rows = await database.query<{ status: string; events: string }>(
      /* sql */ `SELECT o.status, string_agg(e.status::text, ',') AS events
                   FROM orders o JOIN order_events e ON e.order_id = o.id
                  WHERE o.id = $1 GROUP BY o.id`,
      [id],
    );
    return rows[0];
  };

  it('does what commits first, and the other learns of it', async () => {
    const id = await place(builderA, productA);
    const [stockA] = await stocks();
    await lockProduct(productA);
    const { end } = await sendBlocked(expiry(id));
    const late = writeBatch(second, cancellation(id));
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await blocker.query('COMMIT');
    const { freed, unchanged } = await end;
    expect(freed).toMatchObject([{ productId: productA, units: UNITS }]);
    expect(unchanged).toEqual({});
    expect(await late).toEqual({ ...NOTHING_TO_REPORT, unchanged: { [id]: 'EXPIRED' } });
    expect(await statusOf(id)).toEqual({ status: 'EXPIRED', events: 'EXPIRED' });
    expect((await stocks())[0]).toBe(stockA + UNITS);
  });

  it('does the second when the first rolls back', async () => {
    const id = await place(builderA, productA);
    const [stockA] = await stocks();
    await lockProduct(productA);
    const { end } = await sendBlocked(expiry(id));
    const late = writeBatch(second, cancellation(id));
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await terminate('first');
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    await blocker.query('ROLLBACK');
    expect((await late).freed).toMatchObject([{ productId: productA, units: UNITS }]);
    expect(await statusOf(id)).toEqual({ status: 'CANCELLED', events: 'CANCELLED' });
    expect((await stocks())[0]).toBe(stockA + UNITS);
  });

  it('does one of them in any interleaving that happens by itself', async () => {
    for (let round = 0; round < 60; round += 1) {
      const id = await place(builderA, productA);
      const [stockA] = await stocks();
      const reports = await Promise.all([
        writeBatch(first, expiry(id)),
        writeBatch(second, cancellation(id)),
      ]);
      const { status } = (await statusOf(id)) ?? {};
      expect(reports.flatMap(({ unchanged }) => Object.values(unchanged))).toEqual([status]);
      expect(reports.flatMap(({ freed }) => freed)).toHaveLength(1);
      expect((await stocks())[0]).toBe(stockA + UNITS);
    }
  });
});

async function terminate(applicationName: string): Promise<void> {
  await database.query(
    /* sql */ `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1`,
    [applicationName],
  );
}

describe('batches of two owners over the same products, keys and orders', () => {
  const ROUNDS = 100;
  const ORDERS = 16;
  const owners = () => [builderA.ownerId, builderB.ownerId];

  /** Orders of three products each, and every fourth command a stock change. */
  function content(builder: BatchBuilder, ids: readonly OrderId[]): Batch {
    const isChange = (n: number) => n % 4 === 0;
    const linesOf = (n: number) =>
      [0, 5, 11].map((step) => [IDS[(n + step) % IDS.length] ?? '', 1] as const);
    return builder.batch({
      orders: ids.flatMap((id, n) =>
        isChange(n) ? [] : [builder.order({ id, lines: linesOf(n) })],
      ),
      stockChanges: ids.flatMap((id, n) =>
        isChange(n) ? [builder.change({ id, productId: IDS[n] ?? '', delta: 1 })] : [],
      ),
      owners: owners(),
    });
  }

  async function race(a: readonly OrderId[], b: readonly OrderId[]): Promise<string[]> {
    const reports = await Promise.all([
      writeBatch(first, content(builderA, a)),
      writeBatch(second, content(builderB, b)),
    ]);
    return reports.flatMap(({ duplicates }) => duplicates);
  }

  const newIds = () => Array.from({ length: ORDERS }, () => newOrderId());

  it(`never deadlock and bind each key once, in whatever order each names them (${ROUNDS} rounds)`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const ids = newIds();
      const duplicates = await race(ids, ids.toReversed());
      expect(duplicates.toSorted()).toEqual(ids.toSorted());
    }
  });

  it(`never deadlock on the products when the keys are their own (${ROUNDS} rounds)`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      expect(await race(newIds(), newIds())).toEqual([]);
    }
  });

  it(`never deadlock while they sell, expire and cancel the same orders (${ROUNDS} rounds)`, async () => {
    const placed = newIds();
    await writeBatch(first, content(builderA, placed));
    let unpaid = placed.filter((_, n) => n % 4 !== 0);
    for (let round = 0; round < ROUNDS; round += 1) {
      const placing = newIds();
      const batchA = content(builderA, placing);
      const a = unpaid.map((orderId) => builderA.status({ orderId, to: 'EXPIRED' }));
      const b = unpaid.map((orderId) => builderB.status({ orderId, to: 'CANCELLED' }));
      const reports = await Promise.all([
        writeBatch(first, { ...batchA, statusChanges: a }),
        writeBatch(second, { ...content(builderB, newIds()), statusChanges: b.toReversed() }),
      ]);
      const unchanged = reports.flatMap((report) => Object.keys(report.unchanged));
      expect(unchanged.toSorted()).toEqual(unpaid.toSorted());
      unpaid = placing.filter((_, n) => n % 4 !== 0);
    }
  });

  it('lock products from the lowest id on, wherever their rows lie', async () => {
    const lines = IDS.toReversed().map((id) => [id, 1] as const);
    // Whoever reads the table as it lies comes to this row last.
    await database.query('UPDATE products SET version = version WHERE id = $1', [productA]);
    await lockProduct(productA);
    const { end } = await sendBlocked(builderA.batch({ orders: [builderA.order({ lines })] }));
    const free = await database.query('SELECT FROM products FOR UPDATE SKIP LOCKED');
    expect(free).toHaveLength(IDS.length - 1);
    await blocker.query('COMMIT');
    await end;
  });

  it('lock those whose units are freed with those that are sold, from the lowest id on', async () => {
    const lowest = await place(builderA, productA);
    await database.query('UPDATE products SET version = version WHERE id = $1', [productA]);
    await lockProduct(productA);
    const sold = IDS.slice(1).map((id) => [id, 1] as const);
    const { end } = await sendBlocked(
      builderA.batch({
        orders: [builderA.order({ lines: sold })],
        statusChanges: [builderA.status({ orderId: lowest, to: 'EXPIRED' })],
      }),
    );
    const free = await database.query('SELECT FROM products FOR UPDATE SKIP LOCKED');
    expect(free).toHaveLength(IDS.length - 1);
    await blocker.query('COMMIT');
    await end;
  });
});

describe('a connection that is killed while its transaction waits', () => {
  it('rejects, leaves nothing behind, and the batch can be sent again under its name', async () => {
    const batch = builderA.batch({ orders: [builderA.order({ lines: [[productA, 1]] })] });
    const before = await countRows(database);
    await lockProduct(productA);
    const { end } = await sendBlocked(batch);
    await terminate('first');
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    await expect(writeBatch(first, batch)).rejects.toThrow(/not queryable|terminated unexpectedly/);
    await blocker.query('ROLLBACK');
    expect(await countRows(database)).toEqual(before);
    expect((await writeBatch(second, batch)).duplicates).toEqual([]);
  });

  it('rejects also when the socket is cut without a word', async () => {
    const batch = builderA.batch({ orders: [builderA.order({ lines: [[productA, 1]] })] });
    await lockProduct(productA);
    const { end } = await sendBlocked(batch);
    const { connection } = first as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
    await expect(end).rejects.toThrow('Connection terminated');
    await blocker.query('ROLLBACK');
    await until('the backend is gone', async () => {
      const rows = await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'first'`,
      );
      return rows.length === 0;
    });
  });
});

describe('a takeover (I5)', () => {
  const takeoverWaits = async () => (await waitingForLock(database, 'takeover-next')) === 1;

  it('waits for the transaction that passed the fence check, and claims after its COMMIT', async () => {
    const ends: string[] = [];
    await lockProduct(productA);
    const order = builderA.order({ lines: [[productA, 1]] });
    const { end } = await sendBlocked(builderA.batch({ orders: [order] }));
    const committed = end.then(() => ends.push('committed'));
    const taken = claim(database, 'next').then(() => ends.push('taken over'));
    await until('the takeover finds the owner busy', takeoverWaits);
    expect(ends).toEqual([]);
    await blocker.query('COMMIT');
    await Promise.all([committed, taken]);
    expect(ends).toEqual(['committed', 'taken over']);
    expect(await boundAs(order.command.id)).toEqual(['order']);
  });

  it('fences a batch that waited for the lock of its owner while it was fenced', async () => {
    const batch = builderA.batch({ orders: [builderA.order({ lines: [[productA, 1]] })] });
    const before = await countRows(database);
    // The takeover holds the owners' locks and stops at the row that it wants to fence.
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM owners WHERE id = $1 FOR UPDATE', [builderA.ownerId]);
    const taken = claim(database, 'next');
    await until('the takeover waits', takeoverWaits);
    const { end } = await sendBlocked(batch);
    await blocker.query('COMMIT');
    const { fencedNodes } = await taken;
    await expect(end).rejects.toMatchObject({ code: 'HF001', detail: `{${builderA.ownerId}}` });
    expect(fencedNodes).toEqual(['node']);
    await first.query('ROLLBACK');
    expect(await countRows(database)).toEqual(before);
  });
});
