/**
 * Rules about what stands around orders: limits and units per customer (I1), carts that make one
 * order (I3, I4), keys (I3), and merchant edits as the only writer of what they set (I6).
 */
import type { AuditRule } from './audit-rule.ts';

const LIMIT_RULES: readonly AuditRule[] = [
  {
    name: 'customer-units',
    invariants: ['I1', 'I10'],
    holds: 'The units counted of a customer are those in live orders, for each limited product.',
    sql: /* sql */ `
      WITH live AS (
        SELECT i.product_id, o.user_id, sum(i.quantity) AS units
          FROM order_items i
          JOIN orders o ON o.id = i.order_id
          JOIN products p ON p.id = i.product_id
         WHERE p.per_customer_limit IS NOT NULL AND o.status NOT IN ('EXPIRED', 'CANCELLED')
         GROUP BY i.product_id, o.user_id
      )
      SELECT product_id, user_id, coalesce(counted.units, 0) AS counted,
             coalesce(live.units, 0) AS live
        FROM customer_units counted FULL JOIN live USING (product_id, user_id)
       WHERE coalesce(counted.units, 0) <> coalesce(live.units, 0)`,
  },
  {
    name: 'units-of-limited',
    invariants: ['I1'],
    holds: 'Units are counted of products with a limit only.',
    sql: /* sql */ `
      SELECT c.product_id, c.user_id, c.units
        FROM customer_units c LEFT JOIN products p ON p.id = c.product_id
       WHERE p.per_customer_limit IS NULL`,
  },
  {
    // A limit may be set or lowered below what customers have. So each limit is held against the
    // live orders until the next one, of customers who ordered under it. Orders are decided by a
    // lowered one only when its COMMIT has been heard of, some time after the edit began; where
    // there was no limit before, nothing is sold meanwhile.
    name: 'limit-respected',
    invariants: ['I1'],
    holds: 'With no order did a customer get more of a product than the limit at that time.',
    sql: /* sql */ `
      WITH limits AS (
        SELECT e.product_id, e.version, (e.changes ->> 'perCustomerLimit')::bigint AS units,
               b.committed_at + CASE WHEN row_number() OVER w > 1
                  AND lag(e.changes ->> 'perCustomerLimit') OVER w IS NULL
                 THEN interval '0' ELSE interval '30 seconds' END AS since,
               lead(b.committed_at, 1, 'infinity') OVER w AS until
          FROM product_edits e
          JOIN commit_batches b ON b.owner_id = e.owner_id AND b.no = e.batch_no
         WHERE e.changes ? 'perCustomerLimit'
        WINDOW w AS (PARTITION BY e.product_id ORDER BY e.version)
         UNION ALL
        SELECT p.id, 1, p.per_customer_limit, '-infinity', 'infinity'
          FROM products p
         WHERE NOT EXISTS (SELECT FROM product_edits e
                            WHERE e.product_id = p.id AND e.changes ? 'perCustomerLimit')
      ), live AS (
        SELECT i.product_id, o.user_id, i.quantity, o.created_at AS decided_at, b.committed_at
          FROM order_items i
          JOIN orders o ON o.id = i.order_id
          JOIN commit_batches b ON b.owner_id = o.owner_id AND b.no = o.batch_no
         WHERE o.status NOT IN ('EXPIRED', 'CANCELLED')
      )
      SELECT l.product_id, live.user_id, l.version, l.units AS allowed, sum(live.quantity) AS live
        FROM limits l JOIN live ON live.product_id = l.product_id
       WHERE l.units IS NOT NULL AND live.committed_at < l.until
       GROUP BY l.product_id, live.user_id, l.version, l.units
      HAVING sum(live.quantity) > l.units AND bool_or(live.decided_at >= l.since)`,
  },
];

const CART_RULES: readonly AuditRule[] = [
  {
    name: 'cart-closed',
    invariants: ['I4'],
    holds: 'A cart is closed exactly when it names an order.',
    sql: /* sql */ `
      SELECT id AS cart_id, status, order_id FROM carts
       WHERE (status = 'ordered') <> (order_id IS NOT NULL)`,
  },
  {
    name: 'cart-order',
    invariants: ['I4'],
    holds: 'The order that a cart names exists and is of the same customer.',
    sql: /* sql */ `
      SELECT c.id AS cart_id, c.order_id, c.user_id, o.user_id AS of_order
        FROM carts c LEFT JOIN orders o ON o.id = c.order_id
       WHERE c.order_id IS NOT NULL AND o.user_id IS DISTINCT FROM c.user_id`,
  },
  {
    name: 'cart-once',
    invariants: ['I3'],
    holds: 'No two carts name the same order.',
    sql: /* sql */ `
      SELECT order_id, count(*) AS carts, min(id::text) AS cart_id, max(id::text) AS other_cart_id
        FROM carts WHERE order_id IS NOT NULL GROUP BY order_id HAVING count(*) > 1`,
  },
  {
    name: 'cart-lines',
    invariants: ['I4'],
    holds: 'The order of a cart has the lines of the cart, and no others.',
    sql: /* sql */ `
      WITH wanted AS (
        SELECT c.order_id, i.product_id, i.quantity
          FROM carts c JOIN cart_items i ON i.cart_id = c.id WHERE c.order_id IS NOT NULL
      ), ordered AS (
        SELECT order_id, product_id, quantity
          FROM order_items WHERE order_id IN (SELECT order_id FROM carts)
      )
      SELECT order_id, product_id, wanted.quantity AS in_cart, ordered.quantity AS ordered
        FROM wanted FULL JOIN ordered USING (order_id, product_id)
       WHERE wanted.quantity IS DISTINCT FROM ordered.quantity`,
  },
];

const KEY_RULES: readonly AuditRule[] = [
  {
    name: 'key-one-effect',
    invariants: ['I3'],
    holds: 'A key is bound to an order or to something else, never to both.',
    sql: /* sql */ `
      SELECT k.id AS effect_id, o.user_id, k.order_id, k.stock_after
        FROM keyed_effects k JOIN orders o ON o.id = k.id`,
  },
  {
    name: 'effect-shape',
    invariants: ['I3'],
    holds: 'A key is bound to one thing: stock, an order or an answer.',
    sql: /* sql */ `
      SELECT id AS effect_id, user_id, stock_after, order_id, result IS NOT NULL AS answered
        FROM keyed_effects WHERE num_nonnulls(stock_after, order_id, result) <> 1`,
  },
  {
    // Whoever binds a key claims it with a row in orders, and takes that row back before COMMIT.
    name: 'claim-gone',
    invariants: ['I3', 'I4'],
    holds: 'Nothing among the orders is the claim of a key: each has a batch and a currency.',
    sql: /* sql */ `
      SELECT id AS order_id, owner_id, batch_no, currency FROM orders
       WHERE owner_id < 1 OR currency = 'XXX' OR currency !~ '^[A-Z]{3}$'`,
  },
];

const EDIT_RULES: readonly AuditRule[] = [
  {
    name: 'edit-product',
    invariants: ['I6'],
    holds: 'Every edit is of a product that exists.',
    sql: /* sql */ `
      SELECT e.product_id, e.version
        FROM product_edits e LEFT JOIN products p ON p.id = e.product_id
       WHERE p.id IS NULL`,
  },
  {
    name: 'edit-batch',
    invariants: ['I2', 'I5'],
    holds: 'Every edit was made by a batch that committed.',
    sql: /* sql */ `
      SELECT e.product_id, e.version, e.owner_id, e.batch_no, b.aborted
        FROM product_edits e
        LEFT JOIN commit_batches b ON b.owner_id = e.owner_id AND b.no = e.batch_no
       WHERE b.aborted IS NOT FALSE`,
  },
  {
    name: 'edit-versions',
    invariants: ['I6'],
    holds: 'The edits of a product are numbered from 2 without gaps up to its version.',
    sql: /* sql */ `
      SELECT p.id AS product_id, p.version, count(DISTINCT e.version) AS edits,
             min(e.version) AS first, max(e.version) AS last
        FROM products p LEFT JOIN product_edits e ON e.product_id = p.id
       GROUP BY p.id, p.version
      HAVING count(DISTINCT e.version) <> p.version - 1
          OR min(e.version) < 2 OR coalesce(max(e.version), 1) <> p.version`,
  },
  {
    name: 'product-edited',
    invariants: ['I6'],
    holds: 'What was ever edited of a product is as the last edit of it says.',
    sql: /* sql */ `
      WITH edited AS (
        SELECT DISTINCT ON (e.product_id, change.field)
               e.product_id, change.field, change.value, e.version
          FROM product_edits e
         CROSS JOIN LATERAL jsonb_each(e.changes) AS change (field, value)
         ORDER BY e.product_id, change.field, e.version DESC
      ), fields AS (
        SELECT p.id AS product_id, has.field, has.value
          FROM products p
         CROSS JOIN LATERAL jsonb_each(jsonb_build_object(
                 'name', p.name, 'description', p.description, 'status', p.status,
                 'price', jsonb_build_object('amount', p.price_amount, 'currency', p.currency),
                 'perCustomerLimit', p.per_customer_limit,
                 'saleStartsAt', extract(epoch FROM p.sale_starts_at) * 1000,
                 'saleEndsAt', extract(epoch FROM p.sale_ends_at) * 1000)) AS has (field, value)
         WHERE p.id IN (SELECT product_id FROM product_edits)
      )
      SELECT product_id, field, edited.version, edited.value AS edited, fields.value AS stored
        FROM edited JOIN fields USING (product_id, field)
       WHERE edited.value <> fields.value`,
  },
];

export const SHOP_RULES: readonly AuditRule[] = [
  ...LIMIT_RULES,
  ...CART_RULES,
  ...KEY_RULES,
  ...EDIT_RULES,
];
