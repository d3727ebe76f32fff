/** Rules about orders and their lines: whole (I4), once (I3), in order (I7), committed (I2). */
import type { AuditRule } from './audit-rule.ts';

export const ORDER_RULES: readonly AuditRule[] = [
  {
    name: 'order-lines',
    invariants: ['I4'],
    holds: 'Every order has lines.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.status, o.owner_id, o.batch_no
        FROM orders o LEFT JOIN order_items i ON i.order_id = o.id
       WHERE i.order_id IS NULL`,
  },
  {
    name: 'line-order',
    invariants: ['I4'],
    holds: 'Every line belongs to an order.',
    sql: /* sql */ `
      SELECT i.order_id, i.product_id, i.quantity
        FROM order_items i LEFT JOIN orders o ON o.id = i.order_id
       WHERE o.id IS NULL`,
  },
  {
    name: 'line-product',
    invariants: ['I4'],
    holds: 'Every line sells a product that exists.',
    sql: /* sql */ `
      SELECT i.order_id, i.product_id
        FROM order_items i LEFT JOIN products p ON p.id = i.product_id
       WHERE p.id IS NULL`,
  },
  {
    name: 'order-once',
    invariants: ['I3'],
    holds: 'An order, and so the key it was sent with, is stored once.',
    sql: /* sql */ `
      SELECT id AS order_id, count(*) AS stored FROM orders GROUP BY id HAVING count(*) > 1`,
  },
  {
    name: 'line-once',
    invariants: ['I3', 'I4'],
    holds: 'An order has one line for a product.',
    sql: /* sql */ `
      SELECT order_id, product_id, count(*) AS stored
        FROM order_items GROUP BY order_id, product_id HAVING count(*) > 1`,
  },
  {
    name: 'effect-once',
    invariants: ['I3'],
    holds: 'A key of a command other than an order is bound once.',
    sql: /* sql */ `
      SELECT id AS effect_id, count(*) AS stored
        FROM keyed_effects GROUP BY id HAVING count(*) > 1`,
  },
  {
    name: 'order-total',
    invariants: ['I4'],
    holds: 'The total of an order is the sum over its lines of quantity times unit price.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.total, lines.total AS of_lines
        FROM orders o
        JOIN (SELECT order_id, sum(quantity * unit_price) AS total
                FROM order_items GROUP BY order_id) AS lines ON lines.order_id = o.id
       WHERE o.total <> lines.total`,
  },
  {
    name: 'sequence-once',
    invariants: ['I7'],
    holds: 'No two lines of a product have the same place in its order of service.',
    sql: /* sql */ `
      SELECT product_id, sequence, count(*) AS lines, min(order_id::text) AS order_id,
             max(order_id::text) AS other_order_id
        FROM order_items GROUP BY product_id, sequence HAVING count(*) > 1`,
  },
  {
    name: 'sequence-range',
    invariants: ['I7'],
    holds: 'The sequence of a line is above 0 and at most the last one given for its product.',
    sql: /* sql */ `
      SELECT i.order_id, i.product_id, i.sequence, p.sequence AS last
        FROM order_items i JOIN products p ON p.id = i.product_id
       WHERE i.sequence NOT BETWEEN 1 AND p.sequence`,
  },
  {
    name: 'home-partition',
    invariants: ['I4', 'I5'],
    holds: 'The home of an order is the lowest partition among its lines.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.home_partition, lines.lowest
        FROM orders o
        JOIN (SELECT order_id, min(get_byte(uuid_send(product_id), 15)) AS lowest
                FROM order_items GROUP BY order_id) AS lines ON lines.order_id = o.id
       WHERE o.home_partition <> lines.lowest`,
  },
  {
    name: 'order-batch',
    invariants: ['I2', 'I5'],
    holds: 'Every order came with a batch that committed.',
    sql: /* sql */ `
      SELECT o.id AS order_id, o.owner_id, o.batch_no, b.aborted
        FROM orders o
        LEFT JOIN commit_batches b ON b.owner_id = o.owner_id AND b.no = o.batch_no
       WHERE b.aborted IS NOT FALSE`,
  },
  {
    name: 'batch-orders',
    invariants: ['I3'],
    holds: 'A batch stored no more orders than were sent with it; the others were bound already.',
    sql: /* sql */ `
      SELECT b.owner_id, b.no AS batch_no, b.orders AS sent, stored.orders AS stored
        FROM commit_batches b
        JOIN (SELECT owner_id, batch_no, count(*) AS orders
                FROM orders GROUP BY owner_id, batch_no) AS stored
          ON stored.owner_id = b.owner_id AND stored.batch_no = b.no
       WHERE NOT b.aborted AND stored.orders > b.orders`,
  },
];
