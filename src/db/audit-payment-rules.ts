/**
 * Rules about payments and shipments: money is kept for what was bought, once (I3), nobody forgets
 * a payment (I9), and nothing is shipped that was not paid (I6).
 */
import type { AuditRule } from './audit-rule.ts';

const PAYMENTS: readonly AuditRule[] = [
  {
    name: 'payment-order',
    invariants: ['I4'],
    holds: 'Every payment is of an order that exists.',
    sql: /* sql */ `
      SELECT p.id AS payment_id, p.order_id, p.status
        FROM payments p LEFT JOIN orders o ON o.id = p.order_id
       WHERE o.id IS NULL`,
  },
  {
    name: 'payment-attempts',
    invariants: ['I3'],
    holds: 'The payments of an order are numbered from 1 without gaps.',
    sql: /* sql */ `
      SELECT order_id, count(*) AS payments, min(attempt) AS first, max(attempt) AS last
        FROM payments GROUP BY order_id
      HAVING min(attempt) <> 1 OR max(attempt) <> count(*)
          OR count(DISTINCT attempt) <> count(*)`,
  },
  {
    name: 'payment-pending',
    invariants: ['I3'],
    holds: 'At most one payment of an order is pending.',
    sql: /* sql */ `
      SELECT order_id, count(*) AS pending
        FROM payments WHERE status = 'PENDING' GROUP BY order_id HAVING count(*) > 1`,
  },
  {
    name: 'payment-kept',
    invariants: ['I3', 'I4'],
    holds:
      'Money is kept once for every order that is paid, shipped or completed, and for no other.',
    sql: /* sql */ `
      WITH kept AS (
        SELECT order_id, count(*) AS payments
          FROM payments WHERE status = 'SUCCEEDED' AND NOT refund_due GROUP BY order_id
      )
      SELECT o.id AS order_id, o.status, coalesce(kept.payments, 0) AS kept
        FROM orders o LEFT JOIN kept ON kept.order_id = o.id
       WHERE coalesce(kept.payments, 0)
          <> CASE WHEN o.status IN ('PAID', 'SHIPPING', 'COMPLETED') THEN 1 ELSE 0 END`,
  },
  {
    name: 'payment-refund',
    invariants: ['I4'],
    holds: 'A payment of every order that was paid and then cancelled went back, or is to.',
    sql: /* sql */ `
      SELECT e.order_id
        FROM order_events e JOIN orders o ON o.id = e.order_id
       WHERE e.status = 'PAID' AND o.status = 'CANCELLED'
         AND NOT EXISTS (SELECT FROM payments p
                          WHERE p.order_id = e.order_id
                            AND (p.status = 'REFUNDED'
                                 OR (p.status = 'SUCCEEDED' AND p.refund_due)))`,
  },
  {
    name: 'refund-once',
    invariants: ['I3'],
    holds: 'No refund is due of money that went back already.',
    sql: /* sql */ `
      SELECT id AS payment_id, order_id FROM payments WHERE status = 'REFUNDED' AND refund_due`,
  },
  {
    // The row is the job, and one without a time is never taken up.
    name: 'payment-due',
    invariants: ['I9'],
    holds: 'Every payment that is pending, or whose refund is due, has a time to be worked on.',
    sql: /* sql */ `
      SELECT id AS payment_id, order_id, status, refund_due
        FROM payments WHERE due_at IS NULL AND (status = 'PENDING' OR refund_due)`,
  },
];

const SHIPMENTS: readonly AuditRule[] = [
  {
    name: 'order-shipped',
    invariants: ['I4'],
    holds: 'Every line of an order that is shipped or completed is shipped.',
    sql: /* sql */ `
      SELECT i.order_id, i.product_id, o.status
        FROM order_items i JOIN orders o ON o.id = i.order_id
       WHERE o.status IN ('SHIPPING', 'COMPLETED') AND i.shipped_at IS NULL`,
  },
  {
    name: 'line-shipped',
    invariants: ['I6'],
    holds: 'No line is shipped of an order that was never paid, nor has one tracking before.',
    sql: /* sql */ `
      SELECT i.order_id, i.product_id, i.shipped_at, i.tracking
        FROM order_items i
        LEFT JOIN order_events e ON e.order_id = i.order_id AND e.status = 'PAID'
       WHERE (i.shipped_at IS NOT NULL AND e.order_id IS NULL)
          OR (i.tracking IS NOT NULL AND i.shipped_at IS NULL)`,
  },
];

export const PAYMENT_RULES: readonly AuditRule[] = [...PAYMENTS, ...SHIPMENTS];
