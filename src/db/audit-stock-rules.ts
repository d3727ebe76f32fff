/** Rules about stock: nothing oversold (I1), nothing lost or made up (I10), one writer (I6). */
import type { AuditRule } from './audit-rule.ts';

/**
 * Live means that the units are the customer's: neither EXPIRED nor CANCELLED gave them back. What
 * the ledger says was sold or freed is left out: both are counted from the orders.
 */
const STOCKED_AND_LIVE = /* sql */ `
  stocked AS (
    SELECT product_id, sum(delta) AS units
      FROM stock_ledger WHERE kind IN ('opening', 'change') GROUP BY product_id
  ), live AS (
    SELECT i.product_id, sum(i.quantity) AS units
      FROM order_items i JOIN orders o ON o.id = i.order_id
     WHERE o.status NOT IN ('EXPIRED', 'CANCELLED')
     GROUP BY i.product_id
  )`;

export const STOCK_RULES: readonly AuditRule[] = [
  {
    name: 'no-oversell',
    invariants: ['I1'],
    holds: 'The units of a product in live orders are never more than what was stocked.',
    sql: /* sql */ `
      WITH ${STOCKED_AND_LIVE}
      SELECT live.product_id, live.units AS live, coalesce(stocked.units, 0) AS stocked
        FROM live LEFT JOIN stocked USING (product_id)
       WHERE live.units > coalesce(stocked.units, 0)`,
  },
  {
    name: 'conservation',
    invariants: ['I1', 'I10'],
    holds: 'Stocked units are either still in stock or in live orders.',
    sql: /* sql */ `
      WITH ${STOCKED_AND_LIVE}
      SELECT p.id AS product_id, coalesce(stocked.units, 0) AS stocked, p.stock,
             coalesce(live.units, 0) AS live
        FROM products p
        LEFT JOIN stocked ON stocked.product_id = p.id
        LEFT JOIN live ON live.product_id = p.id
       WHERE coalesce(stocked.units, 0) <> p.stock + coalesce(live.units, 0)`,
  },
  {
    name: 'supplied',
    invariants: ['I6', 'I10'],
    holds: 'What was ever supplied of a product is its opening stock and every change of it.',
    sql: /* sql */ `
      WITH ${STOCKED_AND_LIVE}
      SELECT p.id AS product_id, p.supplied, coalesce(stocked.units, 0) AS stocked
        FROM products p LEFT JOIN stocked ON stocked.product_id = p.id
       WHERE p.supplied <> coalesce(stocked.units, 0)`,
  },
  {
    name: 'stock-not-negative',
    invariants: ['I1'],
    holds: 'Stock is never below zero, now or after any movement in the ledger.',
    sql: /* sql */ `
      SELECT id AS product_id, stock_version, stock FROM products WHERE stock < 0
      UNION ALL
      SELECT product_id, stock_version, stock_after FROM stock_ledger WHERE stock_after < 0`,
  },
  {
    name: 'ledger-chain',
    invariants: ['I6', 'I10'],
    holds:
      'The movements of a product are numbered from 1 without gaps, each starts from the stock ' +
      'that the one before it left, and only the first can be the opening.',
    sql: /* sql */ `
      SELECT product_id, stock_version, position, stock_before, delta, stock_after, kind
        FROM (SELECT product_id, stock_version, delta, stock_after, kind,
                     row_number() OVER w AS position,
                     lag(stock_after, 1, 0::bigint) OVER w AS stock_before
                FROM stock_ledger
              WINDOW w AS (PARTITION BY product_id ORDER BY stock_version)) AS chain
       WHERE stock_version <> position
          OR stock_after <> stock_before + delta
          OR (kind = 'opening' AND position > 1)`,
  },
  {
    name: 'ledger-end',
    invariants: ['I6', 'I10'],
    holds: 'The last movement in the ledger left the stock that the product has, at its version.',
    sql: /* sql */ `
      WITH last AS (
        SELECT DISTINCT ON (product_id) product_id, stock_version, stock_after
          FROM stock_ledger ORDER BY product_id, stock_version DESC
      )
      SELECT p.id AS product_id, p.stock_version, p.stock,
             last.stock_version AS ledger_version, last.stock_after AS ledger_stock
        FROM products p LEFT JOIN last ON last.product_id = p.id
       WHERE (coalesce(last.stock_version, 0), coalesce(last.stock_after, 0))
          <> (p.stock_version, p.stock)`,
  },
  {
    name: 'ledger-sales',
    invariants: ['I4', 'I10'],
    holds:
      'What the ledger says a batch sold of a product are the units of the lines of its orders.',
    sql: /* sql */ `
      WITH ledger AS (
        SELECT product_id, owner_id, batch_no, -sum(delta) AS units
          FROM stock_ledger WHERE kind = 'sale' GROUP BY product_id, owner_id, batch_no
      ), sold AS (
        SELECT i.product_id, o.owner_id, o.batch_no, sum(i.quantity) AS units
          FROM order_items i JOIN orders o ON o.id = i.order_id
         GROUP BY i.product_id, o.owner_id, o.batch_no
      )
      SELECT product_id, owner_id, batch_no, coalesce(ledger.units, 0) AS ledger,
             coalesce(sold.units, 0) AS sold
        FROM ledger FULL JOIN sold USING (product_id, owner_id, batch_no)
       WHERE coalesce(ledger.units, 0) <> coalesce(sold.units, 0)`,
  },
  {
    name: 'ledger-freed',
    invariants: ['I4', 'I10'],
    holds:
      'What the ledger says a batch freed of a product are the units of the lines of the orders ' +
      'that expired or were cancelled with it.',
    sql: /* sql */ `
      WITH ledger AS (
        SELECT product_id, owner_id, batch_no, sum(delta) AS units
          FROM stock_ledger WHERE kind = 'freed' GROUP BY product_id, owner_id, batch_no
      ), freed AS (
        SELECT i.product_id, e.owner_id, e.batch_no, sum(i.quantity) AS units
          FROM order_items i JOIN order_events e ON e.order_id = i.order_id
         WHERE e.status IN ('EXPIRED', 'CANCELLED')
         GROUP BY i.product_id, e.owner_id, e.batch_no
      )
      SELECT product_id, owner_id, batch_no, coalesce(ledger.units, 0) AS ledger,
             coalesce(freed.units, 0) AS freed
        FROM ledger FULL JOIN freed USING (product_id, owner_id, batch_no)
       WHERE coalesce(ledger.units, 0) <> coalesce(freed.units, 0)`,
  },
  {
    name: 'freed-once',
    invariants: ['I4', 'I10'],
    holds: 'What ever came back of a product are the units of its orders that are over, once each.',
    sql: /* sql */ `
      WITH ledger AS (
        SELECT product_id, sum(delta) AS units
          FROM stock_ledger WHERE kind = 'freed' GROUP BY product_id
      ), ended AS (
        SELECT i.product_id, sum(i.quantity) AS units
          FROM order_items i JOIN orders o ON o.id = i.order_id
         WHERE o.status IN ('EXPIRED', 'CANCELLED') GROUP BY i.product_id
      )
      SELECT product_id, coalesce(ledger.units, 0) AS came_back, coalesce(ended.units, 0) AS ended
        FROM ledger FULL JOIN ended USING (product_id)
       WHERE coalesce(ledger.units, 0) <> coalesce(ended.units, 0)`,
  },
  {
    name: 'ledger-product',
    invariants: ['I10'],
    holds: 'Every movement in the ledger is of a product that exists.',
    sql: /* sql */ `
      SELECT l.product_id, count(*) AS movements
        FROM stock_ledger l LEFT JOIN products p ON p.id = l.product_id
       WHERE p.id IS NULL GROUP BY l.product_id`,
  },
  {
    name: 'ledger-batch',
    invariants: ['I2', 'I5'],
    holds: 'Every movement after the opening was made by a batch that committed.',
    sql: /* sql */ `
      SELECT l.product_id, l.stock_version, l.kind, l.owner_id, l.batch_no, b.aborted
        FROM stock_ledger l
        LEFT JOIN commit_batches b ON b.owner_id = l.owner_id AND b.no = l.batch_no
       WHERE l.kind <> 'opening' AND b.aborted IS NOT FALSE`,
  },
  {
    name: 'keyed-effect',
    invariants: ['I3', 'I4'],
    holds: 'Every stock change that a key is bound to is in the ledger, by the same author.',
    sql: /* sql */ `
      SELECT k.id AS effect_id, k.user_id, k.stock_after
        FROM keyed_effects k
       WHERE k.stock_after IS NOT NULL
         AND NOT EXISTS (SELECT FROM stock_ledger l
                          WHERE l.kind = 'change' AND l.author = k.user_id
                            AND l.created_at = k.created_at AND l.stock_after = k.stock_after)`,
  },
];
