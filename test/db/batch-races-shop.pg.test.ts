/**
 * Batches of two owners with everything that a shop does, over the same carts, keys, orders,
 * payments and products, beside the transactions that no batch carries. Whatever the interleaving:
 * nobody deadlocks, nothing happens twice, and the audit finds nothing.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
import type { Batch, Committed, DecidedOrder } from '../../src/domain/batch.ts';
import type { CartId, OrderId, OwnerId, UserId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, MERCHANT_ID, productIds } from '../support/shop.ts';
import {
  BatchBuilder,
  claim,
  newOrderId,
  openPlain,
  openSession,
  userOf,
} from './batch-builder.ts';
import { makeCart, makePayment } from './shop-rows.ts';

const ROUNDS = 60;
const CARTS = 6;
const IDS = productIds(5);
const STOCK = 1_000_000;
const LIMIT = 100_000;

let database: TestDatabase;
let first: pg.Client;
let second: pg.Client;
let third: pg.Client;
let builderA: BatchBuilder;
let builderB: BatchBuilder;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  const { owners } = await claim(database, 'node', 2);
  const [a = 0 as OwnerId, b = 0 as OwnerId] = owners;
  const sequences = new Map<string, number>();
  builderA = new BatchBuilder(a, sequences);
  builderB = new BatchBuilder(b, sequences);
  [first, second, third] = await Promise.all([
    openSession(database, 'first'),
    openSession(database, 'second'),
    openPlain(database),
  ]);
});

afterAll(async () => {
  await Promise.all([first, second, third].map((client) => client.end()));
  await expectCleanAudit(database);
  await database.close();
});

/** A cart as two checkouts of it read it: one order id, and a key of each checkout. */
interface Wish {
  readonly userId: UserId;
  readonly cartId: CartId;
  readonly orderId: OrderId;
  readonly keys: readonly [OrderId, OrderId];
  readonly lines: readonly (readonly [productId: string, quantity: number])[];
}

async function wish(n: number): Promise<Wish> {
  const userId = userOf(randomUUID());
  const lines = [0, 1, 3].map((step) => [IDS[(n + step) % IDS.length] ?? '', 1 + step] as const);
  const { id } = await makeCart(database, { userId, lines });
  const key = newOrderId();
  // Half of them are one checkout that is sent twice, the others two of the same cart.
  const keys = [key, n % 2 === 0 ? key : newOrderId()] as const;
  return { userId, cartId: id, orderId: newOrderId(), keys, lines };
}

function checkout(builder: BatchBuilder, each: Wish, nth: 0 | 1): DecidedOrder {
  const { userId, lines } = each;
  const key = { id: each.keys[nth], requestHash: '00' };
  return builder.order({ id: each.orderId, userId, lines, cart: { id: each.cartId, version: 1, key } }); // prettier-ignore
}

/** The same orders are paid and cancelled, in the one order and in the other. */
async function changes(made: readonly OrderId[]): Promise<readonly [Batch, Batch]> {
  const details = await Promise.all(made.map((id) => makePayment(database, id)));
  const paying = made.map((orderId, n) => {
    const detail = details[n];
    return builderA.status({ orderId, to: 'PAID', ...(detail && { detail }) });
  });
  const cancelling = made.map(
    (orderId) =>
    builderB.status({ orderId, from: ['WAITING_PAYMENT', 'PAID'], to: 'CANCELLED', key: newOrderId() }), // prettier-ignore
  );
  return [
    builderA.batch({ statusChanges: paying }),
    builderB.batch({ statusChanges: cancelling.toReversed() }),
  ];
}

/** What carts, payments and other commands do at the same time; each in its own transaction. */
async function besides(wishes: readonly Wish[], made: readonly OrderId[]): Promise<void> {
  for (const { cartId, userId, keys } of wishes.toReversed()) {
    await third.query('BEGIN');
    await third.query(
      `UPDATE carts SET expires_at = expires_at + interval '1 hour' WHERE id = $1 AND status = 'open'`,
      [cartId],
    );
    const { rows } = await third.query<{ bound: boolean }>(
      `SELECT bind_key($1, $2, '\\x00', '{}') AS bound`,
      [keys[0], userId],
    );
    await third.query(rows[0]?.bound === true ? 'COMMIT' : 'ROLLBACK');
  }
  for (const id of made.slice(0, CARTS / 2)) {
    await third.query(
      /* sql */ `UPDATE payments SET status = 'FAILED', due_at = NULL
                  WHERE order_id = $1 AND status = 'PENDING'`,
      [id],
    );
  }
}

/** Shipping what was paid and is not cancelled, the one by lines and the other as a whole. */
function shipments(made: readonly OrderId[]): readonly [Batch, Batch] {
  const ship = (builder: BatchBuilder, merchant: string | null) => (orderId: OrderId) =>
    builder.status({
      orderId,
      from: ['PAID'],
      to: 'SHIPPING',
      key: newOrderId(),
      detail: {
        kind: 'shipment',
        merchantId: merchant === null ? null : userOf(merchant),
        tracking: null,
      },
    });
  return [
    builderA.batch({ statusChanges: made.map(ship(builderA, MERCHANT_ID)) }),
    builderB.batch({ statusChanges: made.map(ship(builderB, null)).toReversed() }),
  ];
}

function edits(round: number): readonly [Batch, Batch] {
  const changes = { perCustomerLimit: round % 2 === 0 ? LIMIT : null };
  const each = (builder: BatchBuilder) => (productId: string) =>
    builder.edit({ productId, changes });
  return [
    builderA.batch({ edits: IDS.slice(0, 4).map(each(builderA)) }),
    builderB.batch({ edits: IDS.toReversed().map(each(builderB)) }),
  ];
}

function race([a, b]: readonly [Batch, Batch]): Promise<readonly Committed[]> {
  return Promise.all([writeBatch(first, a), writeBatch(second, b)]);
}

it(`never deadlock, and each cart, key and payment has one effect (I3, ${ROUNDS} rounds)`, async () => {
  let made: OrderId[] = [];
  let ordered = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const wishes = await Promise.all(Array.from({ length: CARTS }, (_, n) => wish(n)));
    const [paying, cancelling] = await changes(made);
    const [reports] = await Promise.all([
      race([
        { ...paying, orders: wishes.map((each) => checkout(builderA, each, 0)) },
        { ...cancelling, orders: wishes.toReversed().map((each) => checkout(builderB, each, 1)) },
      ]),
      besides(wishes, made),
    ]);
    const effects = reports.flatMap(({ duplicates, cartsChanged }) => {
      const without = new Set<string>([...duplicates, ...cartsChanged]);
      return wishes.map(({ orderId }) => orderId).filter((id) => !without.has(id));
    });
    const orders = await database.query<{ id: OrderId }>(
      'SELECT id FROM orders WHERE id = ANY ($1)',
      [wishes.map(({ orderId }) => orderId)],
    );
    // Both checkouts of a cart are without an effect where its key was bound first.
    expect(effects.toSorted()).toEqual(orders.map(({ id }) => id).toSorted());
    ordered += effects.length;
    await race(shipments(made));
    await race(edits(round));
    made = orders.map(({ id }) => id);
  }
  expect(ordered).toBeGreaterThan(ROUNDS);
});
