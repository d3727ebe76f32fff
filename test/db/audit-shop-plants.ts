/**
 * Violations around orders to plant into the history of audit-history.ts: payments, shipments,
 * limits, carts, keys, edits, the outbox.
 */
import { KEYS } from './audit-history.ts';
import { cartId, CUSTOMER, orderId, paymentId, PRODUCTS } from './audit-history-rows.ts';
import { UNKNOWN } from './audit-plants.ts';
import type { Plant } from './audit-plants.ts';

const { a, b, c } = PRODUCTS;

function insertPayment(order: string, payment: { attempt: number; status: string }): string {
  return `INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, due_at,
                                created_at, updated_at)
          VALUES (gen_random_uuid(), '${order}', ${payment.attempt}, '${payment.status}', 'success',
                  0, now(), now(), now())`;
}

const PAYMENT_PLANTS: readonly Plant[] = [
  {
    what: 'an order that was paid and expired',
    sql: `INSERT INTO order_events VALUES ('${orderId(4)}', 'PAID', NULL, NULL, now(), 2, 6)`,
    rules: ['status-path', 'paid-or-expired', 'outbox-changes'],
  },
  {
    what: 'a payment of an order that does not exist',
    sql: insertPayment(UNKNOWN, { attempt: 1, status: 'FAILED' }),
    rules: ['payment-order'],
  },
  {
    what: 'payments of an order with a gap',
    sql: `UPDATE payments SET attempt = 3 WHERE id = '${paymentId(3, 2)}'`,
    rules: ['payment-attempts'],
  },
  {
    what: 'two pending payments of an order, behind a missing index',
    sql: `DROP INDEX payments_pending_key;
          ${insertPayment(orderId(7), { attempt: 2, status: 'PENDING' })}`,
    rules: ['payment-pending', 'unique-index'],
  },
  {
    what: 'an index of pending payments that is of others',
    sql: `DROP INDEX payments_pending_key;
          CREATE UNIQUE INDEX payments_pending_key ON payments (order_id) WHERE status = 'REFUNDED'`,
    rules: ['unique-index'],
  },
  {
    what: 'a paid order without its money',
    sql: `UPDATE payments SET status = 'FAILED' WHERE id = '${paymentId(8, 1)}'`,
    rules: ['payment-kept'],
  },
  {
    what: 'an order that was paid twice',
    sql: insertPayment(orderId(8), { attempt: 2, status: 'SUCCEEDED' }),
    rules: ['payment-kept'],
  },
  {
    what: 'money that was kept of an order that expired',
    sql: `UPDATE payments SET status = 'SUCCEEDED' WHERE id = '${paymentId(4, 1)}'`,
    rules: ['payment-kept'],
  },
  {
    what: 'money that was kept of an order that was cancelled',
    sql: `UPDATE payments SET refund_due = false WHERE id = '${paymentId(6, 1)}'`,
    rules: ['payment-kept', 'payment-refund'],
  },
  {
    what: 'a paid order that was cancelled, and nobody owes its money',
    sql: `UPDATE payments SET status = 'FAILED', refund_due = false
           WHERE id = '${paymentId(6, 1)}'`,
    rules: ['payment-refund'],
  },
  {
    what: 'a refund of what went back already',
    sql: `UPDATE payments SET refund_due = true, due_at = now() WHERE id = '${paymentId(4, 1)}'`,
    rules: ['refund-once'],
  },
  {
    what: 'a pending payment that nobody will work on',
    sql: `UPDATE payments SET due_at = NULL WHERE id = '${paymentId(7, 1)}'`,
    rules: ['payment-due'],
  },
  {
    what: 'a refund that nobody will make',
    sql: `UPDATE payments SET due_at = NULL WHERE id = '${paymentId(6, 1)}'`,
    rules: ['payment-due'],
  },
  {
    what: 'a completed order with a line that is not shipped',
    sql: `UPDATE order_items SET shipped_at = NULL, tracking = NULL
           WHERE order_id = '${orderId(3)}'`,
    rules: ['order-shipped'],
  },
  {
    what: 'a line that was shipped of an order that nobody paid',
    sql: `UPDATE order_items SET shipped_at = now() WHERE order_id = '${orderId(1)}'`,
    rules: ['line-shipped'],
  },
  {
    what: 'a line with tracking that is not shipped',
    sql: `UPDATE order_items SET tracking = 'x' WHERE order_id = '${orderId(8)}'
             AND shipped_at IS NULL`,
    rules: ['line-shipped'],
  },
  {
    what: 'a key bound to a shipment that never was',
    sql: `UPDATE order_items SET shipped_at = shipped_at + interval '1 minute'
           WHERE order_id = '${orderId(8)}'`,
    rules: ['keyed-status'],
  },
];

const LIMIT_PLANTS: readonly Plant[] = [
  {
    what: 'a customer with more units counted than bought',
    sql: `UPDATE customer_units SET units = units + 1`,
    rules: ['customer-units'],
  },
  {
    what: 'a customer whose units were not counted',
    sql: `DELETE FROM customer_units`,
    rules: ['customer-units'],
  },
  {
    what: 'units counted of somebody who has none',
    sql: `INSERT INTO customer_units VALUES ('${c}', '${UNKNOWN}', 1)`,
    rules: ['customer-units'],
  },
  {
    what: 'units counted of a product without a limit',
    sql: `INSERT INTO customer_units VALUES ('${a}', '${CUSTOMER}', 0)`,
    rules: ['units-of-limited'],
  },
  {
    what: 'an order beyond the limit of its time, which is another one today',
    sql: `UPDATE product_edits SET changes = '{"perCustomerLimit": 2}' WHERE version = 2`,
    rules: ['limit-respected'],
  },
  {
    what: 'an order beyond a limit that had been lowered before it',
    sql: `UPDATE commit_batches SET committed_at = committed_at - interval '90 seconds'
           WHERE owner_id = 2 AND no = 14`,
    rules: ['limit-respected'],
  },
  {
    what: 'orders beyond the limit that a product was made with',
    sql: `UPDATE products SET per_customer_limit = 9 WHERE id = '${a}';
          INSERT INTO customer_units VALUES ('${a}', '${CUSTOMER}', 10)`,
    rules: ['limit-respected'],
  },
];

const CART_PLANTS: readonly Plant[] = [
  {
    what: 'a cart that names an order and is open',
    sql: `ALTER TABLE carts DROP CONSTRAINT carts_check;
          UPDATE carts SET status = 'open' WHERE id = '${cartId(1)}'`,
    rules: ['cart-closed'],
  },
  {
    what: 'a cart that is closed and names no order',
    sql: `ALTER TABLE carts DROP CONSTRAINT carts_check;
          UPDATE carts SET status = 'ordered' WHERE id = '${cartId(2)}'`,
    rules: ['cart-closed'],
  },
  {
    what: 'a cart of another customer than its order',
    sql: `UPDATE carts SET user_id = '${UNKNOWN}' WHERE id = '${cartId(1)}'`,
    rules: ['cart-order'],
  },
  {
    what: 'a cart that names an order that does not exist',
    sql: `UPDATE carts SET order_id = '${UNKNOWN}' WHERE id = '${cartId(1)}'`,
    rules: ['cart-order', 'cart-lines', 'keyed-status'],
  },
  {
    what: 'an order of two carts',
    sql: `UPDATE carts SET status = 'ordered', order_id = '${orderId(8)}' WHERE id = '${cartId(2)}';
          DELETE FROM cart_items WHERE cart_id = '${cartId(2)}'`,
    rules: ['cart-once'],
  },
  {
    what: 'an order of another quantity than its cart',
    sql: `UPDATE cart_items SET quantity = quantity + 1
           WHERE cart_id = '${cartId(1)}' AND product_id = '${b}'`,
    rules: ['cart-lines'],
  },
  {
    what: 'an order without a line of its cart',
    sql: `INSERT INTO cart_items VALUES ('${cartId(1)}', '${a}', 1, 1999, 'USD')`,
    rules: ['cart-lines'],
  },
  {
    what: 'an order with a line that its cart does not have',
    sql: `DELETE FROM cart_items WHERE cart_id = '${cartId(1)}' AND product_id = '${b}'`,
    rules: ['cart-lines'],
  },
];

const KEY_PLANTS: readonly Plant[] = [
  {
    what: 'a key that is bound to an order and to something else',
    sql: `UPDATE keyed_effects SET id = '${orderId(1)}' WHERE id = '${KEYS.command}'`,
    rules: ['key-one-effect'],
  },
  {
    what: 'a key that is bound to two things',
    sql: `ALTER TABLE keyed_effects DROP CONSTRAINT keyed_effects_check;
          UPDATE keyed_effects SET result = '{}' WHERE id = '${KEYS.stockChange}'`,
    rules: ['effect-shape'],
  },
  {
    what: 'a key that is bound to nothing',
    sql: `ALTER TABLE keyed_effects DROP CONSTRAINT keyed_effects_check;
          UPDATE keyed_effects SET result = NULL WHERE id = '${KEYS.command}'`,
    rules: ['effect-shape'],
  },
  {
    what: 'a claim of a key that stayed among the orders',
    sql: `INSERT INTO orders VALUES ('${UNKNOWN}', '${CUSTOMER}', '\\x00', 0, 0, 0,
                                     'WAITING_PAYMENT', 'XXX', 0, NULL, NULL, now(), now())`,
    rules: ['order-lines', 'order-batch', 'outbox-orders', 'claim-gone'],
  },
  {
    what: 'an order in no currency',
    sql: `UPDATE orders SET currency = 'XXX' WHERE id = '${orderId(1)}'`,
    rules: ['claim-gone'],
  },
  {
    what: 'a key bound to a checkout by another customer',
    sql: `UPDATE keyed_effects SET user_id = '${UNKNOWN}' WHERE id = '${KEYS.checkout}'`,
    rules: ['keyed-status'],
  },
];

const EDIT_PLANTS: readonly Plant[] = [
  {
    what: 'an edit of a product that does not exist',
    sql: `INSERT INTO product_edits VALUES ('${UNKNOWN}', 2, '{}', NULL, '${CUSTOMER}', now(), 2, 12)`,
    rules: ['edit-product'],
  },
  {
    what: 'an edit of a batch that never committed',
    sql: `UPDATE product_edits SET batch_no = 1000 WHERE version = 4`,
    rules: ['edit-batch'],
  },
  {
    what: 'an edit of a batch that was proven aborted',
    sql: `UPDATE commit_batches SET aborted = true WHERE owner_id = 2 AND no = 15`,
    rules: ['edit-batch'],
  },
  {
    what: 'an edit missing from the ledger of edits',
    sql: `DELETE FROM product_edits WHERE version = 4`,
    rules: ['edit-versions'],
  },
  {
    what: 'a version that no edit made',
    sql: `UPDATE products SET version = version + 1 WHERE id = '${b}'`,
    rules: ['edit-versions'],
  },
  ...['price_amount = 98', 'sale_starts_at = NULL', 'per_customer_limit = 9'].map((set) => ({
    what: `a product that was changed behind its edits: ${set}`,
    sql: `UPDATE products SET ${set} WHERE id = '${c}'`,
    rules: ['product-edited'],
  })),
];

const OUTBOX_PLANTS: readonly Plant[] = [
  {
    what: 'a batch that is told and was aborted',
    sql: `INSERT INTO commit_batches (owner_id, no, aborted, orders, committed_at, pending)
          VALUES (2, 1000, true, 0, now(), true)`,
    rules: ['outbox-batch'],
  },
  {
    what: 'orders that nobody is told of',
    sql: `UPDATE outbox SET order_ids = NULL WHERE owner_id = 1 AND no = 1`,
    rules: ['outbox-orders'],
  },
  {
    what: 'an order that is told twice',
    sql: `UPDATE outbox SET order_ids = order_ids || '${orderId(1)}'::uuid
           WHERE owner_id = 1 AND no = 1`,
    rules: ['outbox-orders'],
  },
  {
    what: 'an order that is told by another batch',
    sql: `UPDATE outbox SET order_ids = '{${orderId(1)}}' WHERE owner_id = 1 AND no = 2`,
    rules: ['outbox-orders'],
  },
  {
    what: 'a status change that nobody is told of',
    sql: `UPDATE outbox SET changed_ids = NULL WHERE owner_id = 2 AND no = 9`,
    rules: ['outbox-changes'],
  },
  {
    what: 'a status change that is told and never was',
    sql: `UPDATE outbox SET changed_ids = '{${orderId(1)}}' WHERE owner_id = 2 AND no = 13`,
    rules: ['outbox-changes'],
  },
  {
    what: 'a product that sold out and nobody is told',
    sql: `UPDATE outbox SET sold_out = NULL WHERE owner_id = 2 AND no = 5`,
    rules: ['outbox-stock'],
  },
  {
    what: 'a product that came back and is told to have sold out',
    sql: `UPDATE outbox SET restocked = NULL, sold_out = restocked WHERE owner_id = 2 AND no = 1`,
    rules: ['outbox-stock'],
  },
];

export const SHOP_PLANTS: readonly Plant[] = [
  ...PAYMENT_PLANTS,
  ...LIMIT_PLANTS,
  ...CART_PLANTS,
  ...KEY_PLANTS,
  ...EDIT_PLANTS,
  ...OUTBOX_PLANTS,
];
