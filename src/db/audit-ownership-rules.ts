/** Rules about ownership (I5), and about the constraints that the engine leans on (I1, I3). */
import type { AuditRule } from './audit-rule.ts';

export const OWNERSHIP_RULES: readonly AuditRule[] = [
  {
    name: 'partitions-complete',
    invariants: ['I5'],
    holds: 'Partitions 0 to 255 are there, each once, and no others.',
    sql: /* sql */ `
      SELECT coalesce(wanted.id, p.id) AS partition, count(p.id) AS stored
        FROM generate_series(0, 255) AS wanted (id) FULL JOIN partitions p ON p.id = wanted.id
       GROUP BY coalesce(wanted.id, p.id), wanted.id
      HAVING wanted.id IS NULL OR count(p.id) <> 1`,
  },
  {
    name: 'partition-owner',
    invariants: ['I5'],
    holds: 'No partition is held by an owner that is fenced or that never was.',
    sql: /* sql */ `
      SELECT p.id AS partition, p.owner_id, o.node, o.shard, o.fenced_at, o.fenced_by
        FROM partitions p LEFT JOIN owners o ON o.id = p.owner_id
       WHERE p.owner_id IS NOT NULL AND (o.id IS NULL OR o.fenced_at IS NOT NULL)`,
  },
  {
    name: 'batch-owner',
    invariants: ['I5'],
    holds: 'Every batch is of an owner that exists.',
    sql: /* sql */ `
      SELECT b.owner_id, count(*) AS batches
        FROM commit_batches b LEFT JOIN owners o ON o.id = b.owner_id
       WHERE o.id IS NULL GROUP BY b.owner_id`,
  },
  {
    // Both times are the database server's. A takeover stamps fenced_at while it holds the owner's
    // lock alone, and a batch stamps committed_at before it takes that lock, so a batch that comes
    // later has passed its fence check wrongly, unless the server's clock was set back meanwhile.
    name: 'batch-fence',
    invariants: ['I5'],
    holds: 'No owner committed a batch after it was fenced.',
    sql: /* sql */ `
      SELECT b.owner_id, b.no AS batch_no, b.committed_at, o.fenced_at, o.fenced_by
        FROM commit_batches b JOIN owners o ON o.id = b.owner_id
       WHERE NOT b.aborted AND b.committed_at > o.fenced_at`,
  },
  {
    name: 'product-merchant',
    invariants: ['I4'],
    holds: 'Every product belongs to a user that exists.',
    sql: /* sql */ `
      SELECT p.id AS product_id, p.merchant_id
        FROM products p LEFT JOIN users u ON u.id = p.merchant_id
       WHERE u.id IS NULL`,
  },
  {
    // ON CONFLICT needs an index that is unique, valid, immediate, and over exactly these columns
    // with exactly this condition; a name proves nothing.
    name: 'unique-index',
    invariants: ['I3'],
    holds: 'The unique indexes that make things happen once are there and valid.',
    sql: /* sql */ `
      SELECT wanted.relation, wanted.columns, wanted.condition
        FROM (SELECT relation, columns, NULL AS condition
                FROM (VALUES
                  ('users', 'id'), ('users', 'lower(email)'), ('users', 'lower(username)'),
                  ('products', 'id'), ('product_edits', 'product_id,version'),
                  ('customer_units', 'product_id,user_id'), ('owners', 'id'), ('partitions', 'id'),
                  ('commit_batches', 'owner_id,no'), ('orders', 'id'),
                  ('order_items', 'order_id,product_id'), ('order_events', 'order_id,status'),
                  ('keyed_effects', 'id'), ('stock_ledger', 'product_id,stock_version'),
                  ('carts', 'id'), ('cart_items', 'cart_id,product_id'), ('payments', 'id'),
                  ('payments', 'order_id,attempt'), ('webhook_deliveries', 'webhook_id,event_id'))
                  AS plain (relation, columns)
               UNION ALL
              SELECT 'payments', 'order_id', '(status = ''PENDING''::payment_status)') AS wanted
       WHERE NOT EXISTS (
         SELECT FROM pg_index x
          WHERE x.indrelid = to_regclass(wanted.relation)
            AND x.indisunique AND x.indisvalid AND x.indisready AND x.indislive
            AND x.indimmediate
            AND pg_get_expr(x.indpred, x.indrelid) IS NOT DISTINCT FROM wanted.condition
            AND wanted.columns = (
              SELECT string_agg(pg_get_indexdef(x.indexrelid, n, true), ',' ORDER BY n)
                FROM generate_series(1, x.indnkeyatts::integer) AS n))`,
  },
  {
    name: 'stock-check',
    invariants: ['I1'],
    holds: 'The last line against overselling, CHECK (stock >= 0), is there and validated.',
    sql: /* sql */ `
      SELECT wanted.relation, wanted.condition
        FROM (VALUES ('products', '(stock >= 0)'),
                     ('stock_ledger', '(stock_after >= 0)')) AS wanted (relation, condition)
       WHERE NOT EXISTS (
         SELECT FROM pg_constraint c
          WHERE c.conrelid = to_regclass(wanted.relation) AND c.contype = 'c' AND c.convalidated
            AND pg_get_expr(c.conbin, c.conrelid) = wanted.condition)`,
  },
];
