/**
 * Two sessions at once. Interleavings are forced: a third session holds the lock of a product row,
 * so that a batch stands behind its inserts and before its COMMIT for as long as the test wants.
 */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
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
  waitingForLock,
} from './batch-builder.ts';

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

type Kind = 'order' | 'stock change';

function withKey(builder: BatchBuilder, kind: Kind, sale: { id: OrderId; productId: string }) {
  const { id, productId } = sale;
  return kind === 'order'
    ? builder.batch({ orders: [builder.order({ id, lines: [[productId, 3]] })] })
    : builder.batch({ stockChanges: [builder.change({ id, productId, delta: -3 })] });
}

async function boundAs(id: OrderId): Promise<Kind[]> {
  const orders = await database.query('SELECT FROM orders WHERE id = $1', [id]);
  const effects = await database.query('SELECT FROM keyed_effects WHERE id = $1', [id]);
  return [...orders.map((): Kind => 'order'), ...effects.map((): Kind => 'stock change')];
}

describe('one key on two sessions at once (I3)', () => {
  const kinds: readonly Kind[] = ['order', 'stock change'];
  const pairs = kinds.flatMap((a) => kinds.map((b) => [a, b] as const));

  it.each(pairs)('as %s that commits, then as %s: the first takes effect alone', async (a, b) => {
    const id = newOrderId();
    const before = [await stockOf(database, productA), await stockOf(database, productB)];
    await lockProduct(productA);
    const { end } = await sendBlocked(withKey(builderA, a, { id, productId: productA }));
    const late = writeBatch(second, withKey(builderB, b, { id, productId: productB }));
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await blocker.query('COMMIT');
    expect((await end).duplicates).toEqual([]);
    expect(await late).toEqual({ duplicates: [id], stockAfter: {} });
    expect(await boundAs(id)).toEqual([a]);
    const after = [await stockOf(database, productA), await stockOf(database, productB)];
    expect(after).toEqual([(before[0] ?? 0) - 3, before[1]]);
  });

  it.each(pairs)('as %s that rolls back, then as %s: the second takes effect', async (a, b) => {
    const id = newOrderId();
    const before = [await stockOf(database, productA), await stockOf(database, productB)];
    await lockProduct(productA);
    const { end } = await sendBlocked(withKey(builderA, a, { id, productId: productA }));
    const late = writeBatch(second, withKey(builderB, b, { id, productId: productB }));
    await until('the second waits', async () => (await waitingForLock(database, 'second')) === 1);
    await terminate('first');
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    expect((await late).duplicates).toEqual([]);
    await blocker.query('ROLLBACK');
    expect(await boundAs(id)).toEqual([b]);
    const after = [await stockOf(database, productA), await stockOf(database, productB)];
    expect(after).toEqual([before[0], (before[1] ?? 0) - 3]);
  });

  it('takes effect once in any interleaving that happens by itself', async () => {
    for (let round = 0; round < 60; round += 1) {
      const id = newOrderId();
      const [a, b] = pairs[round % pairs.length] ?? ['order', 'order'];
      const reports = await Promise.all([
        writeBatch(first, withKey(builderA, a, { id, productId: productA })),
        writeBatch(second, withKey(builderB, b, { id, productId: productB })),
      ]);
      expect(reports.flatMap(({ duplicates }) => duplicates)).toEqual([id]);
      expect(await boundAs(id)).toHaveLength(1);
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

describe('batches of two owners over the same products and keys', () => {
  const ROUNDS = 100;
  const ORDERS = 16;

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
      owners: [builderA.ownerId, builderB.ownerId],
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
