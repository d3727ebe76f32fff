/**
 * Payments and their jobs: the row is the job (see db/schema.sql).
 *
 * Not owned here: SUCCEEDED, and the refund of a paid order that is cancelled. Both are written by
 * the batch that changes the order (db/merge.sql), so that an order is paid exactly when its payment
 * succeeded. That batch may come at any moment: every statement here names the state it is for.
 */
import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { PaymentId } from '../domain/ids.ts';
import type { OrderStatus } from '../domain/order.ts';
import { PAYMENT_ATTEMPTS_MAX } from '../domain/payment.ts';
import type {
  Payment,
  PaymentStore,
  PayOrder,
  PayOutcome,
  PayRefusalCode,
  StartedPayment,
} from '../domain/payment.ts';
import { queryRows } from './pool.ts';
import { onceUnderKey } from './transaction.ts';
import type { Attempt } from './transaction.ts';

/** Longer than two jobs take: a request to the provider, one to the engine, a few statements. */
const LEASE_SECONDS = 30;

const COLUMNS = /* sql */ `
  p.id, p.order_id AS "orderId", p.attempt, p.status, p.scenario, p.delay_ms AS "delayMs",
  p.refund_due AS "refundDue", p.tries, o.total AS amount, o.currency,
  floor(extract(epoch FROM p.created_at) * 1000)::bigint AS "createdAt",
  ARRAY(SELECT i.product_id::text FROM order_items i WHERE i.order_id = o.id) AS "productIds"`;

const FIND = /* sql */ `
  SELECT ${COLUMNS} FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = $1`;

/** Skips what a batch, or another process, is changing: it is due again or settled afterwards. */
const LEASE = /* sql */ `
  WITH due AS (
    SELECT id, due_at FROM payments WHERE due_at <= now()
     ORDER BY due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE payments p
       SET due_at = now() + ${LEASE_SECONDS} * interval '1 s', leased = true, tries = p.tries + 1
      FROM due WHERE p.id = due.id
    RETURNING p.*, due.due_at AS was_due_at
  )
  SELECT ${COLUMNS} FROM leased p JOIN orders o ON o.id = p.order_id ORDER BY p.was_due_at`;

const RECLAIM = /* sql */ `
  UPDATE payments SET due_at = now(), leased = false
   WHERE id IN (SELECT id FROM payments WHERE due_at IS NOT NULL AND leased
                 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)`;

const PAYABLE = /* sql */ `
  SELECT o.status, o.expires_at <= now() AS lapsed, count(p.id) AS attempts,
         coalesce(bool_or(p.status = 'PENDING'), false) AS pending,
         json_agg(json_build_object('id', p.id, 'status', p.status, 'attempt', p.attempt))
           FILTER (WHERE p.status = 'SUCCEEDED') -> 0 AS paid
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
   WHERE o.id = $1
   GROUP BY o.id`;

/** Waits for whoever starts an attempt of this order at this moment, and then does nothing. */
const START = /* sql */ `
  INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, due_at, created_at,
                        updated_at)
  VALUES ($1, $2, $3, 'PENDING', $4, $5, now(), now(), now())
  ON CONFLICT DO NOTHING
  RETURNING id, status, attempt`;

/** Its job stays: whoever works on it may know that the money came after all. */
const FAIL = /* sql */ `
  UPDATE payments SET status = 'FAILED', updated_at = now()
   WHERE id = $1 AND status = 'PENDING' AND NOT refund_due`;

const REQUIRE_REFUND = /* sql */ `
  UPDATE payments
     SET refund_due = true, due_at = now(), leased = false, tries = 0, updated_at = now()
   WHERE id = $1 AND status IN ('PENDING', 'FAILED') AND NOT refund_due`;

const MARK_REFUNDED = /* sql */ `
  UPDATE payments
     SET status = 'REFUNDED', refund_due = false, due_at = NULL, leased = false, updated_at = now()
   WHERE id = $1 AND refund_due`;

const POSTPONE = /* sql */ `
  UPDATE payments
     SET due_at = timestamptz 'epoch' + $2::double precision * interval '1 ms', leased = false
   WHERE id = $1 AND leased`;

const SETTLE = /* sql */ `
  UPDATE payments SET due_at = NULL, leased = false
   WHERE id = $1 AND leased AND status <> 'PENDING' AND NOT refund_due`;

interface PayableRow {
  readonly status: OrderStatus;
  readonly lapsed: boolean;
  readonly attempts: number;
  readonly pending: boolean;
  readonly paid: StartedPayment | null;
}

/** Why no attempt was started. */
type Refusal = Extract<PayOutcome, { readonly type: 'paid' | 'refused' }>;

export function createPaymentStore(pool: Pool): PaymentStore {
  const change = async (text: string, ...values: readonly unknown[]): Promise<void> => {
    await queryRows(pool, { text, values: [...values] });
  };
  return {
    pay: (request) => pay(pool, request),
    async findPayment(id) {
      const rows = await queryRows<Payment>(pool, { text: FIND, values: [id] });
      return rows[0];
    },
    lease: (max) => queryRows<Payment>(pool, { text: LEASE, values: [max] }),
    reclaim: () => change(RECLAIM),
    fail: (id) => change(FAIL, id),
    requireRefund: (id) => change(REQUIRE_REFUND, id),
    markRefunded: (id) => change(MARK_REFUNDED, id),
    postpone: (id, dueAt) => change(POSTPONE, id, dueAt),
    settle: (id) => change(SETTLE, id),
  };
}

async function pay(pool: Pool, request: PayOrder): Promise<PayOutcome> {
  const outcome = await onceUnderKey<StartedPayment, Refusal>(pool, request.key, (client) =>
    start(client, request),
  );
  switch (outcome.type) {
    case 'done':
      return { type: 'started', payment: outcome.result, replayed: outcome.replayed };
    case 'refused':
      return outcome.refused;
    default:
      return outcome;
  }
}

async function start(
  client: PoolClient,
  { orderId, scenario, delayMs }: PayOrder,
): Promise<Attempt<StartedPayment, Refusal>> {
  const { rows: orders } = await client.query<PayableRow>(PAYABLE, [orderId]);
  const [order] = orders;
  if (order === undefined) throw new Error(`there is no order ${orderId} to pay`);
  const refused = refusalOf(order);
  if (refused !== null) return { refused };
  const id = randomUUID() as PaymentId;
  const values = [id, orderId, order.attempts + 1, scenario, delayMs];
  const { rows } = await client.query<StartedPayment>(START, values);
  const [started] = rows;
  return started === undefined
    ? { refused: refusal('payment-in-progress', order) }
    : { effect: started };
}

function refusalOf(order: PayableRow): Refusal | null {
  switch (order.status) {
    case 'WAITING_PAYMENT':
      if (order.pending) return refusal('payment-in-progress', order);
      if (order.lapsed) return refusal('order-expired', order);
      return order.attempts < PAYMENT_ATTEMPTS_MAX ? null : refusal('order-not-payable', order);
    case 'EXPIRED':
      return refusal('order-expired', order);
    case 'CANCELLED':
      return refusal('order-not-payable', order);
    default:
      return order.paid === null
        ? refusal('order-not-payable', order)
        : { type: 'paid', payment: order.paid };
  }
}

function refusal(code: PayRefusalCode, { status }: PayableRow): Refusal {
  return { type: 'refused', code, status };
}
