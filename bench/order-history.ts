/**
 * A million orders that were made before: rows as the engine would have left them, written by SQL in
 * bulk, and proven by the same audit as what is sold afterwards.
 *
 * A batch was `BATCH_ORDERS` orders of one unit of one product; the products took turns. A paid order
 * has its event, told by a batch of its own, and its payment. Ids and hashes are random ones, as
 * those of the headline's keys.
 */
import type { ClientBase } from 'pg';
import type { ProductId } from '../src/domain/ids.ts';
import { inDatabase } from './in-database.ts';

const BATCH_ORDERS = 1000;
/** Orders of one transaction. */
const CHUNK_ORDERS = 100_000;

export interface OrderHistory {
  /** In all: whole batches. */
  readonly orders: number;
  /** With enough stock. */
  readonly products: readonly ProductId[];
  readonly customers: number;
  /** paid: over the last 30 days. unpaid: over the last 10 minutes, with a day left to pay. */
  readonly kind: 'paid' | 'unpaid';
  readonly onProgress: (orders: number) => void;
}

const OWNER_SQL = /* sql */ `
  INSERT INTO owners (node, shard, started_at, fenced_at, fenced_by)
  VALUES ('an earlier node', 0, now() - interval '31 days', now(), 'benchmark') RETURNING id`;

const PRODUCTS_SQL = /* sql */ `
  CREATE TEMPORARY TABLE history_products AS
  SELECT place::integer - 1 AS place, product_id
    FROM unnest($1::uuid[]) WITH ORDINALITY t (product_id, place)`;
const HISTORY_SQL = /* sql */ `
  CREATE TEMPORARY TABLE history AS
  SELECT $1::integer AS owner_id, $2::integer AS orders, $3::integer AS customers,
         (SELECT count(*)::integer FROM history_products) AS products, $4::boolean AS paid,
         CASE WHEN $4 THEN interval '15 minutes' ELSE interval '1 day' END AS hold,
         now() - CASE WHEN $4 THEN interval '30 days' ELSE interval '10 minutes' END AS since,
         now() - interval '2 minutes' AS until, 0 AS from_n, 0 AS to_n`;
/** Of the chunk. Steady over the whole: the time of an order is a function of its number. */
const MADE_SQL = /* sql */ `
  CREATE TEMPORARY VIEW made AS
  SELECT n, b, n % ${BATCH_ORDERS} AS i, product_id, md5('order ' || n)::uuid AS id,
         md5('customer ' || n % s.customers)::uuid AS user_id,
         decode(md5('request ' || n), 'hex') AS request_hash,
         s.since + (s.until - s.since) * (b::float8 * ${BATCH_ORDERS} / s.orders) AS made_at,
         -- Of the product, from 0.
         b / s.products AS nth_batch, owner_id, orders, paid, hold
    FROM history s
   CROSS JOIN LATERAL generate_series(s.from_n, s.to_n - 1) n
   CROSS JOIN LATERAL (SELECT n / ${BATCH_ORDERS} AS b) batch
    JOIN history_products ON place = b % s.products`;
const CHUNK_SQL = /* sql */ `UPDATE history SET from_n = $1, to_n = $2`;

const WRITES = [
  /* sql */ `
  INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                      currency, total, created_at, expires_at)
  SELECT id, user_id, request_hash, owner_id, b + 1, get_byte(uuid_send(product_id), 15),
         CASE WHEN paid THEN 'PAID' ELSE 'WAITING_PAYMENT' END::order_status, 'USD', 1999,
         made_at, made_at + hold FROM made`,
  /* sql */ `
  INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
  SELECT id, product_id, 1, 1999, nth_batch * ${BATCH_ORDERS} + i + 1, 'Product' FROM made`,
  /* sql */ `
  INSERT INTO commit_batches (owner_id, no, orders, committed_at, order_ids)
  SELECT owner_id, b + 1, count(*), made_at, array_agg(id)
    FROM made GROUP BY owner_id, b, made_at`,
  /* sql */ `
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, owner_id, batch_no,
                            created_at)
  SELECT made.product_id, 2 + nth_batch, -${BATCH_ORDERS},
         p.supplied - (nth_batch + 1) * ${BATCH_ORDERS}, 'sale', owner_id, b + 1, made_at
    FROM made JOIN products p ON p.id = made.product_id WHERE i = 0`,
  /* sql */ `
  INSERT INTO order_events (order_id, status, created_at, owner_id, batch_no)
  SELECT id, 'PAID', made_at + interval '1 minute', owner_id, orders / ${BATCH_ORDERS} + b + 1
    FROM made WHERE paid`,
  /* sql */ `
  INSERT INTO commit_batches (owner_id, no, committed_at, changed_ids)
  SELECT owner_id, orders / ${BATCH_ORDERS} + b + 1, made_at + interval '1 minute', array_agg(id)
    FROM made WHERE paid GROUP BY owner_id, orders, b, made_at`,
  /* sql */ `
  INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, created_at, updated_at)
  SELECT md5('payment ' || n)::uuid, id, 1, 'SUCCEEDED', 'success', 0, made_at,
         made_at + interval '1 minute' FROM made WHERE paid`,
];

const ENDS = [
  /* sql */ `
  UPDATE products p
     SET stock = p.supplied - sold.units, stock_version = sold.stock_version, sequence = sold.units
    FROM (SELECT product_id, -sum(delta) AS units, max(stock_version) AS stock_version
            FROM stock_ledger WHERE kind = 'sale' GROUP BY product_id) sold
   WHERE p.id = sold.product_id`,
  // As a node leaves them that was up until now; no order here expired before.
  /* sql */ `UPDATE expiry_watermarks SET expired_until = now() - interval '1 minute'`,
  /* sql */ `
  UPDATE engine_settings SET hold_ttl_max = greatest(hold_ttl_max, (SELECT hold FROM history))`,
];

/**
 * Once for a database, before anything sells from it.
 *
 * @returns seconds that it took
 * @throws RangeError when the orders are not whole batches
 */
export async function writeHistory(databaseUrl: string, history: OrderHistory): Promise<number> {
  const { orders, products, customers, kind, onProgress } = history;
  if (orders % BATCH_ORDERS !== 0) throw new RangeError(`${orders} orders are not whole batches`);
  const startedAt = performance.now();
  await inDatabase(databaseUrl, async (client) => {
    await client.query('SET synchronous_commit = off');
    const { rows } = await client.query<{ id: number }>(OWNER_SQL);
    await client.query(PRODUCTS_SQL, [products]);
    const values = [rows[0]?.id, orders, customers, kind === 'paid'];
    await client.query(HISTORY_SQL, values);
    await client.query('ANALYZE history, history_products');
    await client.query(MADE_SQL);
    for (let from = 0; from < orders; from += CHUNK_ORDERS) {
      const to = Math.min(orders, from + CHUNK_ORDERS);
      await client.query(CHUNK_SQL, [from, to]);
      await inOneTransaction(client, WRITES);
      onProgress(to);
    }
    await inOneTransaction(client, ENDS);
    // Autovacuum would do it in the middle of a load.
    await client.query('VACUUM ANALYZE');
    await client.query('CHECKPOINT');
  });
  return (performance.now() - startedAt) / 1000;
}

/** The connection is closed by whoever hears of an error. */
async function inOneTransaction(client: ClientBase, statements: readonly string[]): Promise<void> {
  await client.query('BEGIN');
  for (const sql of statements) await client.query(sql);
  await client.query('COMMIT');
}
