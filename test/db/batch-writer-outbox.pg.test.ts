/** The outbox: what a batch did, told in the same transaction. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { CartId, OrderId, OwnerId } from '../../src/domain/ids.ts';
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
import { makeCart, makePayment, makeWebhook, outboxOf } from './shop-rows.ts';

const STOCK = 10;
const IDS = productIds(3);
/** The last never runs out. */
const [one = '', two = '', plenty = ''] = IDS;
const NOTHING = { order_ids: null, changed_ids: null, sold_out: null, restocked: null };

let database: TestDatabase;
let builder: BatchBuilder;
let session: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [one, two], stock: STOCK });
  await makeProducts(database, { ids: [plenty], stock: 100_000 });
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
});

/** Each test begins with the same stock. */
beforeEach(async () => {
  session = await openSession(database);
  for (const productId of [one, two]) {
    const delta = STOCK - (await stockOf(database, productId));
    if (delta === 0) continue;
    const stockChanges = [builder.change({ productId, delta })];
    await writeBatch(session, builder.batch({ stockChanges }));
  }
});

afterEach(async () => {
  await session.end();
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

type Lines = readonly (readonly [productId: string, quantity: number])[];

async function place(...lines: Lines): Promise<OrderId> {
  const order = builder.order({ lines });
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

/** What is told of the batch, its lists sorted; an empty one says as much as none. */
async function told(content: Parameters<BatchBuilder['batch']>[0]): Promise<unknown> {
  const batch = builder.batch(content);
  await writeBatch(session, batch);
  return toldOf(batch);
}

async function toldOf(batch: Batch): Promise<unknown> {
  const row = await outboxOf(database, batch);
  if (row === undefined) return undefined;
  const { pending, ...lists } = row;
  expect(pending).toBe(false);
  return Object.fromEntries(
    Object.entries(lists).map(([name, ids]) => [name, ids?.length ? ids.toSorted() : null]),
  );
}

describe('of orders', () => {
  it('every one that was made is told, in the row of its batch', async () => {
    const orders = [1, 2, 3].map(() => builder.order({ lines: [[plenty, 1], [one, 1]] })); // prettier-ignore
    const ids = orders.map(({ command }) => command.id).toSorted();
    expect(await told({ orders })).toEqual({ ...NOTHING, order_ids: ids });
  });

  it('none that was bound before, and none whose cart was changed', async () => {
    const userId = userOf(randomUUID());
    const lines = [[plenty, 1]] as const;
    const cart = await makeCart(database, { userId, lines });
    const made = builder.order({ lines, userId, cart: { ...cart, key: { id: newOrderId(), requestHash: '00' } } }); // prettier-ignore
    const unknown = { id: randomUUID() as CartId, version: 1, key: null };
    const orders = [
      builder.order({ id: await place(...lines), lines }),
      builder.order({ lines, cart: unknown }),
      made,
    ];
    expect(await told({ orders })).toEqual({ ...NOTHING, order_ids: [made.command.id] });
  });

  it('every one whose status changed is told, and none that stayed as it was', async () => {
    const [expiring, cancelled, kept] = [await place([plenty, 1]), await place([plenty, 1]), await place([plenty, 1])]; // prettier-ignore
    const paid = await place([plenty, 1]);
    const detail = await makePayment(database, paid);
    await told({ statusChanges: [builder.status({ orderId: kept, to: 'EXPIRED' })] });
    const statusChanges = [
      builder.status({ orderId: expiring, to: 'EXPIRED' }),
      builder.status({ orderId: cancelled, to: 'CANCELLED', key: newOrderId() }),
      builder.status({ orderId: kept, to: 'CANCELLED' }),
      builder.status({ orderId: paid, to: 'PAID', detail }),
    ];
    const changed_ids = [expiring, cancelled, paid].toSorted();
    expect(await told({ statusChanges })).toEqual({ ...NOTHING, changed_ids });
  });

  it('one that is shipped in part is not told before its last line', async () => {
    const id = await place([plenty, 1]);
    const detail = await makePayment(database, id);
    await told({ statusChanges: [builder.status({ orderId: id, to: 'PAID', detail })] });
    const ship = (merchantId: string) =>
      builder.status({
        orderId: id,
        from: ['PAID'],
        to: 'SHIPPING',
        detail: { kind: 'shipment', merchantId: userOf(merchantId), tracking: null },
      });
    const stranger = await told({ statusChanges: [ship(randomUUID())] });
    expect(stranger).toEqual(NOTHING);
    const own = await told({ statusChanges: [ship(MERCHANT_ID)] });
    expect(own).toEqual({ ...NOTHING, changed_ids: [id] });
  });
});

describe('of products', () => {
  const buy = (...lines: Lines) => builder.order({ lines });
  const change = (productId: string, delta: number, keyed = true) =>
    builder.change({ productId, delta, keyed });

  it('one is told to be sold out by the batch that takes the last unit', async () => {
    expect(await told({ orders: [buy([one, STOCK - 1])] })).toMatchObject({ sold_out: null });
    const last = await told({ orders: [buy([one, 1], [plenty, 1]), buy([plenty, 1])] });
    expect(last).toMatchObject({ sold_out: [one], restocked: null });
    const both = await told({ orders: [buy([two, STOCK])], stockChanges: [change(one, 1)] });
    expect(both).toMatchObject({ sold_out: [two], restocked: [one] });
  });

  it('one is told to be sold out when the last units are removed, with and without a key', async () => {
    for (const keyed of [true, false]) {
      const removed = await told({ stockChanges: [change(one, -STOCK, keyed)] });
      expect(removed).toEqual({ ...NOTHING, sold_out: [one] });
      const restocked = await told({ stockChanges: [change(one, STOCK, keyed)] });
      expect(restocked).toEqual({ ...NOTHING, restocked: [one] });
    }
  });

  it('one is told to be restocked when it had none, and not when it had some', async () => {
    expect(await told({ stockChanges: [change(one, 5)] })).toEqual(NOTHING);
    const id = await place([two, STOCK]);
    const statusChanges = [builder.status({ orderId: id, to: 'EXPIRED' })];
    const freed = await told({ statusChanges });
    expect(freed).toEqual({ ...NOTHING, changed_ids: [id], restocked: [two] });
    const [first, second] = [await place([two, 1]), await place([two, 1])];
    const some = await told({ statusChanges: [builder.status({ orderId: first, to: 'EXPIRED' })] });
    expect(some).toMatchObject({ restocked: null });
    await told({ statusChanges: [builder.status({ orderId: second, to: 'EXPIRED' })] });
  });

  it('one that sells out and gets units back in one batch is told to do both', async () => {
    const id = await place([one, 4]);
    const batch = builder.batch({
      orders: [buy([one, STOCK - 4])],
      statusChanges: [builder.status({ orderId: id, to: 'CANCELLED' })],
    });
    await writeBatch(session, batch);
    expect(await toldOf(batch)).toMatchObject({ sold_out: [one], restocked: [one] });
    expect(await stockOf(database, one)).toBe(4);
  });

  it('none is told of a change whose key was bound before', async () => {
    const removing = change(one, -STOCK);
    expect(await told({ stockChanges: [removing] })).toMatchObject({ sold_out: [one] });
    await told({ stockChanges: [change(one, STOCK)] });
    expect(await told({ stockChanges: [removing] })).toEqual(NOTHING);
  });
});

describe('a batch', () => {
  it('of nothing but edits tells nothing', async () => {
    const edits = [builder.edit({ productId: plenty, changes: { name: 'Another' } })];
    expect(await told({ edits })).toEqual(NOTHING);
  });

  it('that fails tells nothing', async () => {
    const batch = builder.batch({ orders: [builder.order({ lines: [[one, STOCK + 1]] })] });
    await expect(writeBatch(session, batch)).rejects.toMatchObject({ code: '23514' });
    await session.query('ROLLBACK');
    expect(await outboxOf(database, batch)).toBeUndefined();
  });

  it('waits for the webhooks only while there is an active one', async () => {
    const pending = async (): Promise<boolean | undefined> => {
      const batch = builder.batch({ orders: [builder.order({ lines: [[plenty, 1]] })] });
      await writeBatch(session, batch);
      return (await outboxOf(database, batch))?.pending;
    };
    expect(await pending()).toBe(false);
    await makeWebhook(database, { active: false });
    expect(await pending()).toBe(false);
    await makeWebhook(database, { active: true });
    expect(await pending()).toBe(true);
    await database.query('UPDATE webhooks SET active = false');
    expect(await pending()).toBe(false);
  });

  it('is told to a webhook that was made while it waited for a lock', async () => {
    const blocker = await openPlain(database);
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [plenty]);
    const batch = builder.batch({ orders: [builder.order({ lines: [[plenty, 1]] })] });
    const end = writeBatch(session, batch);
    await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
    await makeWebhook(database, { active: true });
    await blocker.query('COMMIT');
    await end;
    await blocker.end();
    expect(await outboxOf(database, batch)).toMatchObject({ pending: true });
    await database.query('UPDATE webhooks SET active = false');
  });

  it('that has nothing to tell waits for nobody, also while a webhook is active', async () => {
    await makeWebhook(database, { active: true });
    const stockChanges = [builder.change({ productId: plenty, delta: 1 })];
    const batch = builder.batch({ stockChanges });
    await writeBatch(session, batch);
    expect(await outboxOf(database, batch)).toMatchObject({ pending: false });
    await database.query('UPDATE webhooks SET active = false');
  });
});
