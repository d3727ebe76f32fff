/** Carts in a batch: closed with their order at the version that was read, and their keys. */
import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { batchFailure } from '../../src/db/batch-failure.ts';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import type { DecidedOrder } from '../../src/domain/batch.ts';
import type { CartId, OrderId, OwnerId, UserId } from '../../src/domain/ids.ts';
import type { CartVersion } from '../../src/domain/order.ts';
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
import { cartOf, makeCart } from './shop-rows.ts';

const STOCK = 1000;
const IDS = productIds(3);
const [one = '', two = '', other = ''] = IDS;
const LINES = [[one, 2], [two, 3]] as const; // prettier-ignore
const UNITS = 5;

let database: TestDatabase;
let builder: BatchBuilder;
let session: pg.Client;
let customer: UserId;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
});

beforeEach(async () => {
  session = await openSession(database);
  customer = userOf(randomUUID());
});

afterEach(async () => {
  await session.end();
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

function newCart(userId = customer): Promise<CartVersion> {
  return makeCart(database, { userId, lines: LINES });
}

/** The order of a cart, by its customer. */
function checkout(
  cart: CartVersion,
  options: { readonly id?: OrderId; readonly key?: string; readonly userId?: UserId } = {},
): DecidedOrder {
  const { id = newOrderId(), key, userId = customer } = options;
  const bound = key === undefined ? null : { id: key, requestHash: hashOf(key) };
  return builder.order({ id, userId, lines: LINES, cart: { ...cart, key: bound } });
}

function hashOf(key: string): string {
  return key.replaceAll('-', '');
}

async function units(): Promise<number> {
  return (await stockOf(database, one)) + (await stockOf(database, two));
}

async function effectOf(key: string): Promise<unknown> {
  const rows = await database.query(
    /* sql */ `SELECT user_id, order_id, encode(request_hash, 'hex') AS hash, created_at
                 FROM keyed_effects WHERE id = $1`,
    [key],
  );
  return rows[0];
}

async function isOrder(id: string): Promise<boolean> {
  return (await database.query('SELECT FROM orders WHERE id = $1', [id])).length === 1;
}

/** A key that nothing is bound to can still be an order's. */
async function expectFree(key: string): Promise<void> {
  const orders = [builder.order({ id: key as OrderId, lines: [[other, 1]] })];
  expect(await writeBatch(session, builder.batch({ orders }))).toEqual(NOTHING_TO_REPORT);
}

describe('an order of a cart', () => {
  it('closes the cart that is open at its version, and the cart names the order', async () => {
    const [cart, untouched] = [await newCart(), await newCart()];
    const order = checkout(cart);
    const report = await writeBatch(session, builder.batch({ orders: [order] }));
    expect(report).toEqual(NOTHING_TO_REPORT);
    const closed = { status: 'ordered', version: 1, order_id: order.command.id };
    expect(await cartOf(database, cart.id)).toEqual(closed);
    expect(await cartOf(database, untouched.id)).toMatchObject({ status: 'open', order_id: null });
  });

  it('stands beside others with and without a cart or key, each with its own', async () => {
    const stranger = userOf(randomUUID());
    const carts = [await newCart(), await newCart(), await newCart(stranger)] as const;
    const ordered = [
      checkout(carts[0], { key: newOrderId() }),
      checkout(carts[1]),
      checkout(carts[2], { userId: stranger }),
    ];
    const orders = [...ordered.toReversed(), builder.order({ lines: LINES })];
    expect(await writeBatch(session, builder.batch({ orders }))).toEqual(NOTHING_TO_REPORT);
    const closed = await Promise.all(carts.map(({ id }) => cartOf(database, id)));
    expect(closed.map((cart) => cart?.order_id)).toEqual(ordered.map(({ command }) => command.id));
  });
});

/** Each makes a cart that the order below cannot be of, and what it is read as. */
const CHANGED: readonly (readonly [what: string, make: () => Promise<CartVersion>])[] = [
  ['was changed since it was read', async () => ({ ...(await newCart()), version: 0 })],
  ['is not yet at its version', async () => ({ ...(await newCart()), version: 2 })],
  ['is of another customer', () => newCart(userOf(randomUUID()))],
  ['is not there', () => Promise.resolve({ id: randomUUID() as CartId, version: 1 })],
  [
    'was closed by another order',
    async () => {
      const cart = await newCart();
      await writeBatch(session, builder.batch({ orders: [checkout(cart)] }));
      return cart;
    },
  ],
];

/** An order that has nothing to do with a cart. */
async function placePlain(): Promise<OrderId> {
  const order = builder.order({ lines: LINES });
  await writeBatch(session, builder.batch({ orders: [order] }));
  return order.command.id;
}

describe('an order whose cart', () => {
  it.each(CHANGED)('%s has no effect, and its neighbours have theirs (I4)', async (_, make) => {
    const cart = await make();
    const before = await cartOf(database, cart.id);
    const [key, neighbourKey] = [newOrderId(), newOrderId()];
    const order = checkout(cart, { key });
    const neighbours = [
      builder.order({ lines: LINES }),
      checkout(await newCart(), { key: neighbourKey }),
    ];
    const change = builder.change({ productId: other, delta: 1 });
    const stock = await units();
    const counted = await countRows(database);
    const report = await writeBatch(
      session,
      builder.batch({ orders: [order, ...neighbours], stockChanges: [change] }),
    );
    expect(report).toEqual({
      ...NOTHING_TO_REPORT,
      cartsChanged: [order.command.id],
      stockAfter: { [change.id]: await stockOf(database, other) },
    });
    expect(await units()).toBe(stock - neighbours.length * UNITS);
    const { orders = 0, lines = 0, effects = 0 } = counted;
    expect(await countRows(database)).toMatchObject({ orders: orders + 2, lines: lines + 4, effects: effects + 2 }); // prettier-ignore
    expect(await cartOf(database, cart.id)).toEqual(before);
    expect(await isOrder(order.command.id)).toBe(false);
    expect(await effectOf(key)).toBeUndefined();
    await expectFree(key);
  });

  it('is not open leaves nothing but the name of the batch when it was alone', async () => {
    const cart = { ...(await newCart()), version: 7 };
    const before = await countRows(database);
    const report = await writeBatch(
      session,
      builder.batch({ orders: [checkout(cart, { key: newOrderId() })] }),
    );
    expect(report.cartsChanged).toHaveLength(1);
    expect(await countRows(database)).toEqual({ ...before, batches: (before['batches'] ?? 0) + 1 });
    expect(await cartOf(database, cart.id)).toMatchObject({ status: 'open' });
  });
});

describe('an order of a cart that cannot be stored', () => {
  it('is to blame, wherever its rows stand in the batch', async () => {
    const [before, after] = [checkout(await newCart(), { key: newOrderId() }), checkout(await newCart())]; // prettier-ignore
    const broken = checkout({ id: 'no id' as CartId, version: 1 }, { key: newOrderId() });
    const badKey = checkout(await newCart(), { key: 'no key' });
    for (const bad of [broken, badKey]) {
      const batch = builder.batch({ orders: [before, bad, after] });
      const error: unknown = await writeBatch(session, batch).catch((reason: unknown) => reason);
      await session.query('ROLLBACK');
      expect(batchFailure(error, batch)).toEqual({ type: 'rejected', id: bad.command.id });
    }
  });
});

describe('a repeat of an order of a cart (I3)', () => {
  it('is a duplicate and no change of its cart, with and without a key', async () => {
    for (const key of [undefined, newOrderId()]) {
      const cart = await newCart();
      const id = newOrderId();
      const options = key === undefined ? { id } : { id, key };
      await writeBatch(session, builder.batch({ orders: [checkout(cart, options)] }));
      const stock = await units();
      const batch = builder.batch({ orders: [checkout(cart, options)] });
      const { duplicates, ...others } = await writeBatch(session, batch);
      expect(new Set(duplicates)).toEqual(new Set(key === undefined ? [id] : [id, key]));
      expect({ ...others, duplicates: [] }).toEqual(NOTHING_TO_REPORT);
      expect(await units()).toBe(stock);
      expect(await cartOf(database, cart.id)).toMatchObject({ status: 'ordered', order_id: id });
    }
  });

  it('under another key gives that key back: it may bind something else', async () => {
    const cart = await newCart();
    const id = newOrderId();
    await writeBatch(session, builder.batch({ orders: [checkout(cart, { id })] }));
    const key = newOrderId();
    const neighbour = checkout(await newCart(), { key: newOrderId() });
    const { duplicates } = await writeBatch(
      session,
      builder.batch({ orders: [checkout(cart, { id, key }), neighbour] }),
    );
    expect(new Set(duplicates)).toEqual(new Set([id, key]));
    expect(await isOrder(neighbour.command.id)).toBe(true);
    expect(await isOrder(key)).toBe(false);
    expect(await effectOf(key)).toBeUndefined();
    await expectFree(key);
  });
});

describe('the key that an order of a cart came with (I3)', () => {
  it('is bound to the order, and its claim is gone', async () => {
    const cart = await newCart();
    const key = newOrderId();
    const order = checkout(cart, { key });
    expect(await writeBatch(session, builder.batch({ orders: [order] }))).toEqual(NOTHING_TO_REPORT); // prettier-ignore
    expect(await effectOf(key)).toEqual({
      user_id: customer,
      order_id: order.command.id,
      hash: hashOf(key),
      created_at: new Date(order.order.createdAt),
    });
    expect(await isOrder(key)).toBe(false);
    expect(await isOrder(order.command.id)).toBe(true);
  });

  it('then binds nothing else', async () => {
    const key = newOrderId();
    await writeBatch(session, builder.batch({ orders: [checkout(await newCart(), { key })] }));
    const id = await placePlain();
    const later = [
      builder.batch({ orders: [builder.order({ id: key, lines: [[other, 1]] })] }),
      builder.batch({ stockChanges: [builder.change({ id: key, productId: other, delta: 1 })] }),
      builder.batch({ statusChanges: [builder.status({ orderId: id, to: 'CANCELLED', key })] }),
    ];
    for (const batch of later) {
      const again = await writeBatch(session, batch);
      expect(again).toEqual({ ...NOTHING_TO_REPORT, duplicates: [key] });
    }
  });

  const BOUND: readonly (readonly [what: string, bind: (key: OrderId) => Promise<unknown>])[] = [
    [
      'an order',
      (id) =>
        writeBatch(session, builder.batch({ orders: [builder.order({ id, lines: [[other, 1]] })] })), // prettier-ignore
    ],
    [
      'a stock change',
      (id) => {
        const stockChanges = [builder.change({ id, productId: other, delta: 1 })];
        return writeBatch(session, builder.batch({ stockChanges }));
      },
    ],
    [
      'a status change',
      async (key) => {
        const orderId = await placePlain();
        const statusChanges = [builder.status({ orderId, to: 'CANCELLED', key })];
        return writeBatch(session, builder.batch({ statusChanges }));
      },
    ],
    [
      'the order of another cart',
      async (key) =>
        writeBatch(session, builder.batch({ orders: [checkout(await newCart(), { key })] })),
    ],
    [
      'a command that no batch carries',
      async (id) => {
        const sql = `SELECT bind_key($1, $2, $3, '{}') AS bound`;
        const rows = await database.query<{ bound: boolean }>(sql, [id, customer, randomBytes(16)]);
        expect(rows).toEqual([{ bound: true }]);
      },
    ],
  ];

  it.each(BOUND)('and that is bound to %s leaves order and cart as they were', async (_, bind) => {
    const key = newOrderId();
    await bind(key);
    const cart = await newCart();
    const neighbour = checkout(await newCart(), { key: newOrderId() });
    const order = checkout(cart, { key });
    const effect = await effectOf(key);
    const stock = await units();
    const batch = builder.batch({ orders: [order, neighbour] });
    const { duplicates, ...others } = await writeBatch(session, batch);
    expect(new Set(duplicates)).toEqual(new Set([key, order.command.id]));
    expect({ ...others, duplicates: [] }).toEqual(NOTHING_TO_REPORT);
    expect(await units()).toBe(stock - UNITS);
    expect(await isOrder(order.command.id)).toBe(false);
    expect(await effectOf(key)).toEqual(effect);
    expect(await cartOf(database, cart.id)).toMatchObject({ status: 'open', version: 1 });
    const another = checkout(cart, { id: order.command.id, key: newOrderId() });
    expect(await writeBatch(session, builder.batch({ orders: [another] }))).toEqual(NOTHING_TO_REPORT); // prettier-ignore
  });

  it('of two orders in one batch refuses the whole of it (HF002)', async () => {
    const key = newOrderId();
    const orders = [checkout(await newCart(), { key }), checkout(await newCart(), { key })];
    const before = await countRows(database);
    const batch = builder.batch({ orders });
    await expect(writeBatch(session, batch)).rejects.toMatchObject({ code: 'HF002' });
    await session.query('ROLLBACK');
    expect(await countRows(database)).toEqual(before);
  });
});

describe('a cart that is changed while its order is on the way (I4)', () => {
  let shopper: pg.Client;

  beforeEach(async () => {
    shopper = await openPlain(database);
  });
  afterEach(async () => {
    await shopper.end();
  });

  const CHANGES = {
    changed: 'UPDATE carts SET version = version + 1 WHERE id = $1',
    deleted: 'DELETE FROM carts WHERE id = $1',
  } as const;

  it.each(['changed', 'deleted'] as const)(
    'has no order while it is being %s, and no batch waits for that',
    async (what) => {
      const cart = await newCart();
      await shopper.query('BEGIN');
      await shopper.query(CHANGES[what], [cart.id]);
      const order = checkout(cart);
      const report = await writeBatch(session, builder.batch({ orders: [order] }));
      expect(report).toEqual({ ...NOTHING_TO_REPORT, cartsChanged: [order.command.id] });
      await shopper.query('ROLLBACK');
    },
  );

  it('stays as it was ordered: a change that comes later finds it closed', async () => {
    const cart = await newCart();
    const blocker = await openPlain(database);
    try {
      await blocker.query('BEGIN');
      await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [one]);
      const end = writeBatch(session, builder.batch({ orders: [checkout(cart)] }));
      await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
      const change = shopper.query(
        `UPDATE carts SET version = version + 1 WHERE id = $1 AND status = 'open' RETURNING id`,
        [cart.id],
      );
      await until('both wait', async () => (await waitingForLock(database, 'blocker')) === 1);
      await blocker.query('COMMIT');
      expect(await end).toEqual(NOTHING_TO_REPORT);
      expect((await change).rows).toEqual([]);
    } finally {
      await blocker.end();
    }
  });
});

describe('what an order of a cart reads', () => {
  it('are its own rows, also on a session whose plans are of the time when there were few', async () => {
    const scans = async () => {
      await session.query('SELECT pg_stat_force_next_flush()');
      await session.query('SELECT');
      return database.query(/* sql */ `
        SELECT relname, seq_scan FROM pg_stat_user_tables
         WHERE relname IN ('carts', 'orders') ORDER BY relname`);
    };
    // Autovacuum would have the plans made anew, but it comes once a minute.
    await database.query(/* sql */ `
      ALTER TABLE carts SET (autovacuum_enabled = off);
      ALTER TABLE orders SET (autovacuum_enabled = off);
      ANALYZE carts, orders`);
    const buy = async () => {
      const orders = [checkout(await newCart(), { key: newOrderId() }), checkout(await newCart())];
      await writeBatch(session, builder.batch({ orders }));
    };
    await buy();
    expect(await scans()).toHaveLength(2);
    // What other sessions read is reported at any time, but not time and again.
    await until('a round without a scan', async () => {
      const before = await scans();
      await buy();
      return isDeepStrictEqual(await scans(), before);
    });
  });
});
