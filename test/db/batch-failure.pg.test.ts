/** What PostgreSQL really says about each way in which a batch can fail, and what we make of it. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { batchFailure } from '../../src/db/batch-failure.ts';
import { writeBatch } from '../../src/db/batch-writer.ts';
import type { AbortCause, Batch } from '../../src/domain/batch.ts';
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
  waitingForLock,
} from './batch-builder.ts';

const STOCK = 10;
const [plenty = '', scarce = '', diverged = ''] = productIds(3);
const UNSTORABLE = 'a\0b';

let database: TestDatabase;
let owner: OwnerId;
let builder: BatchBuilder;
let session: pg.Client;
let blocker: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [scarce, diverged], stock: STOCK });
  await makeProducts(database, { ids: [plenty], stock: 1000 });
  const { owners } = await claim(database, 'first');
  [owner = 0 as OwnerId] = owners;
  builder = new BatchBuilder(owner);
});

beforeEach(async () => {
  session = await openSession(database, 'failing');
  blocker = await openPlain(database);
});

afterEach(async () => {
  await Promise.all([session.end(), blocker.end()]);
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

const innocent = () => builder.order({ lines: [[plenty, 1]] });

async function failureOf(batch: Batch): Promise<AbortCause | 'unknown'> {
  const before = await countRows(database);
  const failed = await writeBatch(session, batch).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (failed === undefined) throw new Error('the batch committed');
  await session.query('ROLLBACK').catch(() => undefined);
  expect(await countRows(database)).toEqual(before);
  return batchFailure(failed.error, batch);
}

const rejected = (id: string | null) => ({ type: 'rejected', id });

async function placed(): Promise<OrderId> {
  const order = innocent();
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

describe('a batch is rejected, and blamed is', () => {
  it('the product whose stock would fall below zero', async () => {
    const orders = [innocent(), builder.order({ lines: [[scarce, STOCK + 1]] }), innocent()];
    expect(await failureOf(builder.batch({ orders }))).toEqual(rejected(scarce));
  });

  it('the product whose ledger is ahead of it', async () => {
    await database.query(
      /* sql */ `INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
                 VALUES ($1, 2, 0, $2, 'change', now())`,
      [diverged, STOCK],
    );
    const orders = [innocent(), builder.order({ lines: [[diverged, 1]] })];
    expect(await failureOf(builder.batch({ orders }))).toEqual(rejected(diverged));
    await database.query(
      'DELETE FROM stock_ledger WHERE product_id = $1 AND stock_version = 2',
      [diverged], // prettier-ignore
    );
  });

  it('the order that a row of the staged data belongs to, whichever row it is', async () => {
    const several = () =>
      builder.order({ lines: [[plenty, 1], [scarce, 1], [diverged, 1]] }); // prettier-ignore
    const inFirstRow = builder.order({ lines: [[plenty, 1]], reference: UNSTORABLE });
    const inLastRow = builder.order({ lines: [[plenty, 1], [scarce, 1, UNSTORABLE]] }); // prettier-ignore
    for (const bad of [inFirstRow, inLastRow]) {
      const orders = [several(), innocent(), bad, several()];
      const stockChanges = [builder.change({ productId: plenty, delta: 1 })];
      const failure = await failureOf(builder.batch({ orders, stockChanges }));
      expect(failure).toEqual(rejected(bad.command.id));
    }
  });

  it('the order whose line has no units', async () => {
    const bad = builder.order({ lines: [[plenty, 0]] });
    expect(await failureOf(builder.batch({ orders: [innocent(), bad] }))).toEqual(
      rejected(bad.command.id),
    );
  });

  it('the product of a stock change that cannot be stored', async () => {
    const orders = [builder.order({ lines: [[plenty, 1], [diverged, 1]] })]; // prettier-ignore
    const stockChanges = [
      builder.change({ productId: plenty, delta: 1 }),
      builder.change({ productId: scarce, delta: 1, reason: UNSTORABLE }),
    ];
    expect(await failureOf(builder.batch({ orders, stockChanges }))).toEqual(rejected(scarce));
  });

  it('the order of a status change that cannot be stored, or that does not exist', async () => {
    const [good, bad, unknown] = [await placed(), await placed(), newOrderId()];
    const change = (orderId: OrderId, reason: string | null = null) =>
      builder.status({ orderId, to: 'EXPIRED', reason });
    const stockChanges = [builder.change({ productId: plenty, delta: 1 })];
    const unstorable = [change(good), change(bad, UNSTORABLE)];
    const batch = builder.batch({ stockChanges, statusChanges: unstorable });
    expect(await failureOf(batch)).toEqual(rejected(bad));
    const missing = builder.batch({ statusChanges: [change(good), change(unknown)] });
    expect(await failureOf(missing)).toEqual(rejected(unknown));
  });

  it('nobody, where the batch contradicts itself', async () => {
    const { command } = innocent();
    const orders = [1, 2].map(() => builder.order({ id: command.id, lines: [[plenty, 1]] }));
    expect(await failureOf(builder.batch({ orders }))).toEqual(rejected(null));
  });
});

describe('a batch took no effect and may be sent again', () => {
  it('under another number, when it was declared aborted meanwhile', async () => {
    const batch = builder.batch({ orders: [innocent()] });
    await database.query('INSERT INTO commit_batches VALUES ($1, $2, true, 0, now())', [
      owner,
      batch.no,
    ]);
    expect(await failureOf(batch)).toEqual({ type: 'passing' });
  });

  it('when it could not have a lock in time', async () => {
    await session.query(`SET lock_timeout = '20ms'`);
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [plenty]);
    const failure = await failureOf(builder.batch({ orders: [innocent()] }));
    expect(failure).toEqual({ type: 'passing' });
    await blocker.query('ROLLBACK');
  });
});

describe('a batch may have committed', () => {
  it('when it was cancelled for being slow', async () => {
    await session.query(`SET statement_timeout = '20ms'`);
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [plenty]);
    expect(await failureOf(builder.batch({ orders: [innocent()] }))).toBe('unknown');
    await blocker.query('ROLLBACK');
  });

  it('when its session was terminated', async () => {
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [plenty]);
    const failure = failureOf(builder.batch({ orders: [innocent()] }));
    await until('it waits', async () => (await waitingForLock(database, 'failing')) === 1);
    await database.query(/* sql */ `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'failing'`);
    expect(await failure).toBe('unknown');
    await blocker.query('ROLLBACK');
  });
});

describe('a batch is fenced', () => {
  it('and every owner of it that is fenced is named (I5)', async () => {
    const second = await claim(database, 'second', 2);
    const third = await claim(database, 'third', 2);
    const live = new BatchBuilder(third.owners[0] ?? (0 as OwnerId));
    const owners = [owner, ...second.owners, ...third.owners];
    const failure = await failureOf(live.batch({ owners, orders: [innocent()] }));
    expect(failure).toEqual({ type: 'fenced', owners: [owner, ...second.owners] });
  });
});
