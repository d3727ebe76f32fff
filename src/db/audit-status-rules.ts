/**
 * Rules about what orders became: each status once, on a way that is allowed, by a batch that
 * committed (I3, I6), and that no unpaid order is forgotten (I9).
 */
import type { AuditRule } from './audit-rule.ts';

export const STATUS_RULES: readonly AuditRule[] = [
  {
    name: 'event-order',
    invariants: ['I4'],
    holds: 'Every status that was reached is of an order that exists.',
    sql: /* sql */ `
      SELECT e.order_id, e.status
        FROM order_events e LEFT JOIN orders o ON o.id = e.order_id
       WHERE o.id IS NULL`,
  },
  {
    name: 'event-once',
    invariants: ['I3'],
    holds: 'An order reaches a status once.',
    sql: /* sql */ `
      SELECT order_id, status, count(*) AS stored
        FROM order_events GROUP BY order_id, status HAVING count(*) > 1`,
  },
  {
    name: 'event-batch',
    invariants: ['I2', 'I5'],
    holds: 'Every status was reached with a batch that committed.',
    sql: /* sql */ `
      SELECT e.order_id, e.status, e.owner_id, e.batch_no, b.aborted
        FROM order_events e
        LEFT JOIN commit_batches b ON b.owner_id = e.owner_id AND b.no = e.batch_no
       WHERE b.aborted IS NOT FALSE`,
  },
  {
    name: 'status-reached',
    invariants: ['I6'],
    holds: 'The status of an order is the last one that it reached, and the first one if none.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.status, e.last AS reached
        FROM orders o
        LEFT JOIN (SELECT order_id, max(status) AS last FROM order_events GROUP BY order_id) AS e
          ON e.order_id = o.id
       WHERE o.status <> coalesce(e.last, 'WAITING_PAYMENT')`,
  },
  {
    name: 'status-path',
    invariants: ['I6'],
    holds: 'An order is paid, shipped and completed in this order, or expires, or is cancelled.',
    sql: /* sql */ `
      SELECT order_id, reached
        FROM (SELECT order_id, array_agg(DISTINCT status ORDER BY status)::text AS reached
                FROM order_events GROUP BY order_id) AS path
       WHERE reached NOT IN ('{PAID}', '{PAID,SHIPPING}', '{PAID,SHIPPING,COMPLETED}',
                             '{EXPIRED}', '{CANCELLED}', '{PAID,CANCELLED}')`,
  },
  {
    name: 'paid-or-expired',
    invariants: ['I6'],
    holds: 'No order was paid and expired.',
    sql: /* sql */ `
      SELECT order_id FROM order_events GROUP BY order_id
      HAVING bool_or(status = 'PAID') AND bool_or(status = 'EXPIRED')`,
  },
  {
    name: 'keyed-status',
    invariants: ['I3', 'I4'],
    holds:
      'Whatever a key is bound to was done to that order, by the same author: a change of its ' +
      'status, a shipment, or its checkout.',
    sql: /* sql */ `
      SELECT k.id AS effect_id, k.user_id, k.order_id
        FROM keyed_effects k
       WHERE k.order_id IS NOT NULL
         AND NOT EXISTS (SELECT FROM order_events e
                          WHERE e.order_id = k.order_id AND e.author = k.user_id
                            AND e.created_at = k.created_at)
         AND NOT EXISTS (SELECT FROM order_items i
                          WHERE i.order_id = k.order_id AND i.shipped_at = k.created_at)
         AND NOT EXISTS (SELECT FROM orders o JOIN carts c ON c.order_id = o.id
                          WHERE o.id = k.order_id AND o.user_id = k.user_id
                            AND o.created_at = k.created_at)`,
  },
  {
    // Also the state of a service that is down for longer than its holds last.
    name: 'unpaid-expires',
    invariants: ['I9'],
    holds: 'No order waits for payment longer than 60 seconds after it should have expired.',
    sql: /* sql */ `
      SELECT id AS order_id, home_partition, expires_at FROM orders
       WHERE status = 'WAITING_PAYMENT' AND expires_at < now() - interval '60 seconds'`,
  },
  {
    name: 'watermarks-complete',
    invariants: ['I9'],
    holds: 'Partitions 0 to 255 have a watermark, each one, and there are no others.',
    sql: /* sql */ `
      SELECT coalesce(wanted.id, w.partition) AS partition, count(w.partition) AS stored
        FROM generate_series(0, 255) AS wanted (id)
        FULL JOIN expiry_watermarks w ON w.partition = wanted.id
       GROUP BY coalesce(wanted.id, w.partition), wanted.id
      HAVING wanted.id IS NULL OR count(w.partition) <> 1`,
  },
  {
    // What expired before the watermark is looked for never again.
    name: 'watermark-passed',
    invariants: ['I9'],
    holds: 'No order waits for payment that expired before the watermark of its partition.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.home_partition, o.expires_at, w.expired_until
        FROM orders o JOIN expiry_watermarks w ON w.partition = o.home_partition
       WHERE o.status = 'WAITING_PAYMENT' AND o.expires_at <= w.expired_until`,
  },
  {
    // The look back from the watermark reaches that far.
    name: 'hold-longest',
    invariants: ['I9'],
    holds: 'No order was given more time to pay than the longest hold on record.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.created_at, o.expires_at, s.hold_ttl_max
        FROM orders o CROSS JOIN (SELECT max(hold_ttl_max) AS hold_ttl_max FROM engine_settings) AS s
       WHERE o.expires_at - o.created_at > coalesce(s.hold_ttl_max, '0')`,
  },
];
