/** Rules about the outbox: whatever a batch did is told in its row, and nothing else (I2, I4). */
import type { AuditRule } from './audit-rule.ts';

export const OUTBOX_RULES: readonly AuditRule[] = [
  {
    name: 'outbox-batch',
    invariants: ['I2'],
    holds: 'A batch that was aborted tells nothing.',
    sql: /* sql */ `
      SELECT owner_id, no AS batch_no, pending FROM commit_batches
       WHERE aborted
         AND (pending OR cardinality(order_ids || changed_ids || sold_out || restocked) > 0)`,
  },
  {
    name: 'outbox-orders',
    invariants: ['I4'],
    holds: 'Every order is told once, by the batch that made it, and no others are.',
    sql: /* sql */ `
      WITH told AS (
        SELECT owner_id, no AS batch_no, unnest(order_ids) AS order_id FROM commit_batches
      ), made AS (
        SELECT owner_id, batch_no, id AS order_id FROM orders
      )
      SELECT order_id, owner_id, batch_no, count(told.order_id) AS told,
             count(made.order_id) AS made
        FROM told FULL JOIN made USING (owner_id, batch_no, order_id)
       GROUP BY order_id, owner_id, batch_no
      HAVING count(told.order_id) <> 1 OR count(made.order_id) <> 1`,
  },
  {
    name: 'outbox-changes',
    invariants: ['I4'],
    holds: 'Every status change is told once, by the batch that made it, and no others are.',
    sql: /* sql */ `
      WITH told AS (
        SELECT owner_id, no AS batch_no, unnest(changed_ids) AS order_id FROM commit_batches
      ), made AS (
        SELECT owner_id, batch_no, order_id FROM order_events
      )
      SELECT order_id, owner_id, batch_no, count(told.order_id) AS told,
             count(made.order_id) AS made
        FROM told FULL JOIN made USING (owner_id, batch_no, order_id)
       GROUP BY order_id, owner_id, batch_no
      HAVING count(told.order_id) <> 1 OR count(made.order_id) <> 1`,
  },
  {
    name: 'outbox-stock',
    invariants: ['I10'],
    holds:
      'A product is told to be sold out, or to be back, by the batch that took its last units or ' +
      'gave it the first ones.',
    sql: /* sql */ `
      WITH moved AS (
        SELECT DISTINCT owner_id, batch_no, product_id, delta < 0 AS sold_out
          FROM stock_ledger
         WHERE kind <> 'opening' AND stock_after = greatest(delta, 0) AND delta <> 0
      ), told AS (
        SELECT owner_id, no AS batch_no, unnest(sold_out) AS product_id, true AS sold_out
          FROM commit_batches
         UNION
        SELECT owner_id, no, unnest(restocked), false FROM commit_batches
      )
      SELECT product_id, owner_id, batch_no, sold_out, told.product_id IS NOT NULL AS told
        FROM moved FULL JOIN told USING (owner_id, batch_no, product_id, sold_out)
       WHERE moved.product_id IS NULL OR told.product_id IS NULL`,
  },
];
