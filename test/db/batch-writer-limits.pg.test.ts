/**
 * Units per customer of limited products: kept by every batch, counted when a first limit is set,
 * also while another owner's batch changes an order of the product. Interleavings are forced by a
 * third session that holds a product's row.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import { readProducts } from '../../src/db/shard-reader.ts';
import type { Batch, Committed, DecidedOrder } from '../../src/domain/batch.ts';
import type { OrderId, OwnerId, UserId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  newOrderId,
  openPlain,
  openSession,
  productOf,
  stockOf,
  userOf,
  waitingForLock,
} from './batch-builder.ts';
import { makeCart, makePayment, unitsOf } from './shop-rows.ts';

const STOCK = 100_000;
const LIMIT = 1000;
const IDS = productIds(16);
/** Two with a limit from the beginning, one without; the others get theirs in the tests. */
const [limited = '', alsoLimited = '', unlimited = '', last = '', ...others] = IDS;
const [anna, ben, cleo] = [1, 2, 3].map(() => userOf(randomUUID())) as [UserId, UserId, UserId];

let database: TestDatabase;
let first: pg.Client;
let second: pg.Client;
let builderA: BatchBuilder;
let builderB: BatchBuilder;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  await database.query('UPDATE products SET per_customer_limit = $2 WHERE id = ANY ($1)', [
    [limited, alsoLimited],
    LIMIT,
  ]);
  const { owners } = await claim(database, 'node', 2);
  const sequences = new Map<string, number>();
  builderA = new BatchBuilder(owners[0] ?? (0 as OwnerId), sequences);
  builderB = new BatchBuilder(owners[1] ?? (0 as OwnerId), sequences);
});

beforeEach(async () => {
  first = await openSession(database, 'first');
  second = await openSession(database, 'second');
});

afterEach(async () => {
  await Promise.all([first.end(), second.end()]);
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

type Lines = readonly (readonly [productId: string, quantity: number])[];

async function placeIn(
  builder: BatchBuilder,
  orders: readonly (readonly [userId: UserId, ...Lines])[],
): Promise<OrderId[]> {
  const decided = orders.map(([userId, ...lines]) => builder.order({ userId, lines }));
  expect(await writeBatch(first, builder.batch({ orders: decided }))).toEqual(NOTHING_TO_REPORT);
  return decided.map(({ command }) => command.id);
}

async function place(userId: UserId, ...lines: Lines): Promise<OrderId> {
  const [id] = await placeIn(builderA, [[userId, ...lines]]);
  if (id === undefined) throw new Error('an order was lost');
  return id;
}

function ending(
  builder: BatchBuilder,
  to: 'EXPIRED' | 'CANCELLED',
  ids: readonly OrderId[],
): Batch {
  return builder.batch({ statusChanges: ids.map((orderId) => builder.status({ orderId, to })) });
}

function limiting(productId: string, perCustomerLimit: number | null): Batch {
  return builderA.batch({ edits: [builderA.edit({ productId, changes: { perCustomerLimit } })] });
}

/** Units of a product in live orders by customer, as nobody counted them before. */
async function liveUnits(productId: string): Promise<ReadonlyMap<string, number>> {
  const rows = await database.query<{ user_id: string; units: number }>(
    /* sql */ `SELECT o.user_id, sum(i.quantity)::integer AS units
                 FROM orders o JOIN order_items i ON i.order_id = o.id
                WHERE i.product_id = $1 AND o.status NOT IN ('EXPIRED', 'CANCELLED')
                GROUP BY o.user_id`,
    [productId],
  );
  return new Map(rows.map(({ user_id, units }) => [user_id, units]));
}

function customersOf(report: Committed, productId: string): ReadonlyMap<string, number> {
  const freed = report.freed.find((each) => each.productId === productId);
  const customers = freed?.customers ?? [];
  expect(new Set(customers.map(({ userId }) => userId)).size).toBe(customers.length);
  return new Map(customers.map(({ userId, units }) => [userId, units]));
}

describe('units of a limited product', () => {
  it('are counted by customer over all orders and lines of a batch, and no others are', async () => {
    const [a, b] = [await unitsOf(database, limited), await unitsOf(database, alsoLimited)];
    expect([a.size, b.size]).toEqual([0, 0]);
    await placeIn(builderA, [
      [anna, [limited, 2]],
      [ben, [unlimited, 9], [limited, 3], [alsoLimited, 4]],
      [anna, [alsoLimited, 1], [limited, 5], [last, 1]],
    ]);
    await placeIn(builderB, [[anna, [limited, 1]]]);
    expect(await unitsOf(database, limited)).toEqual(new Map([[anna, 8], [ben, 3]])); // prettier-ignore
    expect(await unitsOf(database, alsoLimited)).toEqual(new Map([[anna, 1], [ben, 4]])); // prettier-ignore
    const rows = await database.query('SELECT FROM customer_units WHERE product_id = $1', [unlimited]); // prettier-ignore
    expect(rows).toEqual([]);
  });

  it('are counted of every line of a cart, and of no order without an effect', async () => {
    const before = await unitsOf(database, limited);
    const lines = [[unlimited, 1], [limited, 2], [alsoLimited, 3]] as const; // prettier-ignore
    const checkout = async (version: number): Promise<DecidedOrder> => {
      const cart = await makeCart(database, { userId: cleo, lines });
      return builderA.order({ userId: cleo, lines, cart: { id: cart.id, version, key: null } });
    };
    const repeated = await place(cleo, [limited, 4]);
    const orders = [
      await checkout(1),
      await checkout(2),
      builderA.order({ id: repeated, userId: cleo, lines: [[limited, 4]] }),
    ];
    const report = await writeBatch(first, builderA.batch({ orders }));
    expect([report.cartsChanged.length, report.duplicates.length]).toEqual([1, 1]);
    expect(await unitsOf(database, limited)).toEqual(new Map([...before, [cleo, 6]]));
    expect((await unitsOf(database, alsoLimited)).get(cleo)).toBe(3);
  });

  it('come back when their order expires or is cancelled, and whose they were is told', async () => {
    const before = [await unitsOf(database, limited), await unitsOf(database, alsoLimited)];
    const ids = await placeIn(builderA, [
      [anna, [limited, 10]],
      [anna, [limited, 20], [alsoLimited, 30], [unlimited, 40]],
      [ben, [alsoLimited, 50], [limited, 60]],
    ]);
    const report = await writeBatch(first, ending(builderB, 'EXPIRED', ids));
    const freed = new Map(report.freed.map((each) => [each.productId as string, each.units]));
    expect(freed).toEqual(new Map([[limited, 90], [alsoLimited, 80], [unlimited, 40]])); // prettier-ignore
    expect(customersOf(report, limited)).toEqual(new Map([[anna, 30], [ben, 60]])); // prettier-ignore
    expect(customersOf(report, alsoLimited)).toEqual(new Map([[anna, 30], [ben, 50]])); // prettier-ignore
    expect(customersOf(report, unlimited)).toEqual(new Map());
    const after = [await unitsOf(database, limited), await unitsOf(database, alsoLimited)];
    expect(after).toEqual(before);
  });

  it('stay with an order that is paid, and come back when it is cancelled then', async () => {
    const before = await unitsOf(database, limited);
    const id = await place(ben, [limited, 7]);
    const detail = await makePayment(database, id);
    const paying = builderA.status({ orderId: id, to: 'PAID', detail });
    await writeBatch(first, builderA.batch({ statusChanges: [paying] }));
    expect((await unitsOf(database, limited)).get(ben)).toBe((before.get(ben) ?? 0) + 7);
    const cancelling = builderA.status({ orderId: id, from: ['PAID'], to: 'CANCELLED' });
    const report = await writeBatch(first, builderA.batch({ statusChanges: [cancelling] }));
    expect(customersOf(report, limited)).toEqual(new Map([[ben, 7]]));
    expect(await unitsOf(database, limited)).toEqual(before);
  });

  it('that are sold and freed in one batch are both counted', async () => {
    const id = await place(cleo, [limited, 8]);
    const before = await unitsOf(database, limited);
    const report = await writeBatch(
      first,
      builderA.batch({
        orders: [builderA.order({ userId: cleo, lines: [[limited, 3]] })],
        statusChanges: [builderA.status({ orderId: id, to: 'CANCELLED' })],
      }),
    );
    expect(customersOf(report, limited)).toEqual(new Map([[cleo, 8]]));
    expect((await unitsOf(database, limited)).get(cleo)).toBe((before.get(cleo) ?? 0) - 5);
  });

  it('are loaded with the product: only of those who have any', async () => {
    const [id, stranger] = [await place(cleo, [limited, 1]), userOf(randomUUID())];
    const gone = await place(stranger, [limited, 1]);
    await writeBatch(first, ending(builderA, 'CANCELLED', [gone, id]));
    const [product, free] = await readProducts(first, [productOf(limited), productOf(unlimited)]);
    expect(product?.customerUnits).toEqual(await liveUnits(limited));
    expect(product?.customerUnits?.has(stranger)).toBe(false);
    expect(free?.customerUnits).toBeNull();
  });
});

describe('a first limit', () => {
  const [selling = '', neighbour = '', unsold = '', same = '', again = '', raised = ''] = others;

  it('counts the live orders of the product, whoever committed them, and no others', async () => {
    const ids = await placeIn(builderA, [
      [anna, [selling, 1]],
      [anna, [neighbour, 100], [selling, 2]],
      [ben, [selling, 4], [unlimited, 1], [last, 1]],
      [ben, [neighbour, 100]],
      [cleo, [selling, 8]],
    ]);
    const foreign = await placeIn(builderB, [[anna, [selling, 16]], [cleo, [selling, 32]]]); // prettier-ignore
    const paid = await place(ben, [selling, 64]);
    const detail = await makePayment(database, paid);
    await writeBatch(first, builderA.batch({ statusChanges: [builderA.status({ orderId: paid, to: 'PAID', detail })] })); // prettier-ignore
    await writeBatch(first, ending(builderA, 'EXPIRED', ids.slice(4)));
    await writeBatch(first, ending(builderB, 'CANCELLED', foreign.slice(1)));
    // Sent a second time: its batch tells of no order.
    const repeat = builderA.order({ id: paid, userId: ben, lines: [[selling, 64]] });
    await writeBatch(first, builderA.batch({ orders: [repeat] }));
    const report = await writeBatch(first, limiting(selling, LIMIT));
    expect(report).toEqual(NOTHING_TO_REPORT);
    expect(await unitsOf(database, selling)).toEqual(new Map([[anna, 19], [ben, 68]])); // prettier-ignore
    expect(await unitsOf(database, selling)).toEqual(await liveUnits(selling));
    expect(await unitsOf(database, neighbour)).toEqual(new Map());
    await place(cleo, [selling, 5]);
    expect(await unitsOf(database, selling)).toEqual(await liveUnits(selling));
  });

  it('of a product that never sold counts nothing', async () => {
    await writeBatch(first, limiting(unsold, 1));
    expect(await unitsOf(database, unsold)).toEqual(new Map());
  });

  it('does not count an order that expires in the same batch', async () => {
    const [kept, expiring] = [await place(anna, [same, 1]), await place(anna, [same, 2])];
    const batch = {
      ...limiting(same, LIMIT),
      statusChanges: [builderA.status({ orderId: expiring, to: 'EXPIRED' })],
    };
    await writeBatch(first, batch);
    expect(await unitsOf(database, same)).toEqual(new Map([[anna, 1]]));
    await writeBatch(first, ending(builderA, 'CANCELLED', [kept]));
    expect(await unitsOf(database, same)).toEqual(new Map());
  });

  it('that is lifted forgets what was counted of its product alone, and counts anew when set again', async () => {
    const elsewhere = await unitsOf(database, limited);
    const id = await place(anna, [again, 1]);
    await writeBatch(first, limiting(again, LIMIT));
    await writeBatch(first, limiting(again, null));
    const rows = await database.query('SELECT FROM customer_units WHERE product_id = $1', [again]);
    expect(rows).toEqual([]);
    expect(await unitsOf(database, limited)).toEqual(elsewhere);
    await place(ben, [again, 2]);
    await writeBatch(first, ending(builderA, 'EXPIRED', [id]));
    await writeBatch(first, limiting(again, LIMIT));
    expect(await unitsOf(database, again)).toEqual(new Map([[ben, 2]]));
  });

  it('that is raised or lowered keeps what was counted, also below what customers have', async () => {
    await place(anna, [raised, 5]);
    for (const limit of [6, 9, 2]) {
      await writeBatch(first, limiting(raised, limit));
      expect(await unitsOf(database, raised)).toEqual(new Map([[anna, 5]]));
    }
  });
});

describe('a limit that is set while another owner changes an order of the product', () => {
  const [, , , , , , ...raced] = others;
  let blocker: pg.Client;
  let productId: string;

  beforeEach(async () => {
    blocker = await openPlain(database);
    productId = raced.shift() ?? raise('no product is left');
  });
  afterEach(async () => {
    await blocker.end();
  });

  /** Batches lock products from the lowest id on: one that touches the highest stands there. */
  const [highest = ''] = IDS.slice(-1);
  const lockHighest = async (): Promise<void> => {
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [highest]);
  };
  const waits = (name: string) =>
    until(`${name} waits`, async () => (await waitingForLock(database, name)) === 1);
  /** `ahead` holds the product and stands at the highest one; `behind` waits for the product. */
  const race = async (ahead: Batch, behind: Batch): Promise<[Committed, Committed]> => {
    await lockHighest();
    const touch = builderA.change({ productId: highest, delta: 1, keyed: false });
    const end = writeBatch(first, { ...ahead, stockChanges: [touch] });
    end.catch(() => undefined);
    await waits('first');
    const late = writeBatch(second, behind);
    late.catch(() => undefined);
    await waits('second');
    await blocker.query('COMMIT');
    return Promise.all([end, late]);
  };

  it('does not count what expired in a batch that commits first', async () => {
    const [kept, expiring] = [await place(anna, [productId, 1]), await place(anna, [productId, 2])];
    const [expired] = await race(ending(builderB, 'EXPIRED', [expiring]), limiting(productId, LIMIT)); // prettier-ignore
    expect(customersOf(expired, productId)).toEqual(new Map());
    expect(await unitsOf(database, productId)).toEqual(new Map([[anna, 1]]));
    await writeBatch(first, ending(builderB, 'CANCELLED', [kept]));
    expect(await unitsOf(database, productId)).toEqual(new Map());
  });

  it('takes off what expires in a batch that commits after it, and tells whose it was', async () => {
    await place(anna, [productId, 1]);
    const expiring = await place(anna, [productId, 2]);
    const [, expired] = await race(limiting(productId, LIMIT), ending(builderB, 'EXPIRED', [expiring])); // prettier-ignore
    expect(customersOf(expired, productId)).toEqual(new Map([[anna, 2]]));
    expect(await unitsOf(database, productId)).toEqual(new Map([[anna, 1]]));
  });

  it('counts an order that commits first, and one that commits after it, once each', async () => {
    const selling = (quantity: number) =>
      builderB.batch({ orders: [builderB.order({ userId: ben, lines: [[productId, quantity]] })] });
    await race(selling(4), limiting(productId, LIMIT));
    expect(await unitsOf(database, productId)).toEqual(new Map([[ben, 4]]));
    await race(limiting(productId, null), selling(8));
    const rows = await database.query('SELECT FROM customer_units WHERE product_id = $1', [productId]); // prettier-ignore
    expect(rows).toEqual([]);
    await race(limiting(productId, LIMIT), selling(16));
    expect(await unitsOf(database, productId)).toEqual(new Map([[ben, 28]]));
  });

  it('and lifted leaves nothing of what is freed at the same time', async () => {
    const ids = [await place(anna, [productId, 1]), await place(anna, [productId, 2])];
    await writeBatch(first, limiting(productId, LIMIT));
    const [, freed] = await race(limiting(productId, null), ending(builderB, 'EXPIRED', ids));
    expect(customersOf(freed, productId)).toEqual(new Map());
    const rows = await database.query('SELECT FROM customer_units WHERE product_id = $1', [productId]); // prettier-ignore
    expect(rows).toEqual([]);
    expect(await stockOf(database, productId)).toBe(STOCK);
  });

  it('is right in any interleaving that happens by itself (60 rounds)', async () => {
    const customers = [anna, ben, cleo];
    let live: OrderId[] = [];
    for (let round = 0; round < 60; round += 1) {
      const orders = customers.map((userId) =>
        builderB.order({ id: newOrderId(), userId, lines: [[productId, 1 + (round % 3)]] }),
      );
      const sold = {
        ...builderB.batch({ orders }),
        statusChanges: live.map((orderId) => builderB.status({ orderId, to: 'EXPIRED' })),
      };
      await Promise.all([
        writeBatch(first, limiting(productId, round % 2 === 0 ? LIMIT : null)),
        writeBatch(second, sold),
      ]);
      live = orders.map(({ command }) => command.id);
      const counted = await unitsOf(database, productId);
      expect(counted).toEqual(round % 2 === 0 ? await liveUnits(productId) : new Map());
    }
  });
});

function raise(message: string): never {
  throw new Error(message);
}
