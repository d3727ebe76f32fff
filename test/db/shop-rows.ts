/** Rows that other parts of the shop write, for batches to find: carts, payments, webhooks. */
import { randomUUID } from 'node:crypto';
import type { Batch } from '../../src/domain/batch.ts';
import type { CartId, OrderId, PaymentId, UserId } from '../../src/domain/ids.ts';
import type { CartVersion, StatusDetail } from '../../src/domain/order.ts';
import type { TestDatabase } from '../support/database.ts';
import { UNIT_PRICE } from './batch-builder.ts';

/** An open one at version 1. */
export async function makeCart(
  database: TestDatabase,
  cart: {
    readonly userId: UserId;
    readonly lines: readonly (readonly [productId: string, quantity: number])[];
  },
): Promise<CartVersion> {
  const id = randomUUID() as CartId;
  await database.query(
    /* sql */ `INSERT INTO carts (id, user_id, status, version, created_at, expires_at)
               VALUES ($1, $2, 'open', 1, now(), now() + interval '72 hours')`,
    [id, cart.userId],
  );
  await database.query(
    /* sql */ `INSERT INTO cart_items (cart_id, product_id, quantity, unit_price, currency)
               SELECT $1, product_id, quantity, $4, 'USD'
                 FROM unnest($2::uuid[], $3::integer[]) AS line (product_id, quantity)`,
    [id, cart.lines.map(([product]) => product), cart.lines.map(([, units]) => units), UNIT_PRICE],
  );
  return { id, version: 1 };
}

interface CartRow {
  readonly status: string;
  readonly version: number;
  readonly order_id: string | null;
}

export async function cartOf(database: TestDatabase, id: CartId): Promise<CartRow | undefined> {
  const sql = 'SELECT status, version, order_id FROM carts WHERE id = $1';
  return (await database.query<CartRow>(sql, [id]))[0];
}

/** The next attempt to pay the order, PENDING and due, as a detail of the change to PAID. */
export async function makePayment(
  database: TestDatabase,
  orderId: OrderId,
): Promise<StatusDetail & { readonly kind: 'payment' }> {
  const paymentId = randomUUID() as PaymentId;
  await database.query(
    /* sql */ `INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, due_at,
                                     created_at, updated_at)
               SELECT $1, $2, count(*) + 1, 'PENDING', 'success', 0, now(), now(), now()
                 FROM payments WHERE order_id = $2`,
    [paymentId, orderId],
  );
  return { kind: 'payment', paymentId };
}

interface PaymentRow {
  readonly status: string;
  readonly refund_due: boolean;
  /** Whether the row is a job. */
  readonly due: boolean;
  readonly leased: boolean;
  readonly tries: number;
}

export async function paymentOf(
  database: TestDatabase,
  id: PaymentId,
): Promise<PaymentRow | undefined> {
  const rows = await database.query<PaymentRow>(
    /* sql */ `SELECT status, refund_due, due_at IS NOT NULL AS due, leased, tries
                 FROM payments WHERE id = $1`,
    [id],
  );
  return rows[0];
}

export async function makeWebhook(
  database: TestDatabase,
  { active }: { readonly active: boolean },
): Promise<void> {
  await database.query(
    /* sql */ `INSERT INTO webhooks (id, user_id, merchant_id, url, events, secret, active,
                                     created_at, updated_at)
               VALUES ($1, $1, NULL, 'https://example.test', '{order.created}', 'x', $2, now(),
                       now())`,
    [randomUUID(), active],
  );
}

interface OutboxRow {
  readonly order_ids: readonly string[] | null;
  readonly changed_ids: readonly string[] | null;
  readonly sold_out: readonly string[] | null;
  readonly restocked: readonly string[] | null;
  readonly pending: boolean;
}

export async function outboxOf(
  database: TestDatabase,
  { ownerId, no }: Pick<Batch, 'ownerId' | 'no'>,
): Promise<OutboxRow | undefined> {
  const rows = await database.query<OutboxRow>(
    /* sql */ `SELECT order_ids, changed_ids, sold_out, restocked, pending FROM outbox
                WHERE (owner_id, no) = ($1, $2)`,
    [ownerId, no],
  );
  return rows[0];
}

/** Units of a limited product by customer, without those who have none. */
export async function unitsOf(
  database: TestDatabase,
  productId: string,
): Promise<ReadonlyMap<string, number>> {
  const rows = await database.query<{ user_id: string; units: number }>(
    /* sql */ `SELECT user_id, units::integer FROM customer_units
                WHERE product_id = $1 AND units <> 0`,
    [productId],
  );
  return new Map(rows.map(({ user_id, units }) => [user_id, units]));
}
