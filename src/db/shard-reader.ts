/**
 * What a shard reads: products to load, ids to look up, and at takeover the newest orders for its
 * idempotency window. Committed rows only; one query at a time, on a session of the shard's own.
 */
import type pg from 'pg';
import type { StoredEffect } from '../domain/batch.ts';
import type { OrderId, PartitionId, ProductId } from '../domain/ids.ts';
import type { ProductState, ProductStatus } from '../domain/product.ts';

const PRODUCTS_SQL = /* sql */ `
  SELECT id, name, price_amount, currency, status,
         extract(epoch FROM sale_starts_at) * 1000 AS sale_starts_at,
         extract(epoch FROM sale_ends_at) * 1000 AS sale_ends_at,
         stock, sequence
    FROM products WHERE id = ANY ($1)`;

/**
 * Orders with their lines as parallel arrays, sorted by product id as the request was. The lines
 * are fetched order by order through their primary key: a join would read the table whole.
 */
const FIND_ORDERS_SQL = /* sql */ `
  SELECT o.id, encode(o.request_hash, 'hex') AS request_hash, o.currency,
         extract(epoch FROM o.created_at) * 1000 AS created_at,
         extract(epoch FROM o.expires_at) * 1000 AS expires_at,
         l.product_ids, l.names, l.unit_prices, l.sequences
    FROM orders o
   CROSS JOIN LATERAL (
         SELECT array_agg(i.product_id::text ORDER BY i.product_id) AS product_ids,
                array_agg(i.name ORDER BY i.product_id) AS names,
                array_agg(i.unit_price::text ORDER BY i.product_id) AS unit_prices,
                array_agg(i.sequence::text ORDER BY i.product_id) AS sequences
           FROM order_items i WHERE i.order_id = o.id) l
   WHERE o.id = ANY ($1)`;

const FIND_STOCK_CHANGES_SQL = /* sql */ `
  SELECT id, encode(request_hash, 'hex') AS request_hash, stock_after
    FROM keyed_effects WHERE id = ANY ($1)`;

/** Counts no further than it must; BRIN finds the blocks. */
const COUNT_ORDERS_SQL = /* sql */ `
  SELECT count(*)::integer AS orders
    FROM (SELECT FROM orders
           WHERE home_partition = ANY ($1) AND created_at >= $2 LIMIT $3) o`;

const NEWEST_IDS_SQL = /* sql */ `
  SELECT id FROM orders
   WHERE home_partition = ANY ($1) AND created_at >= $2
   ORDER BY created_at DESC LIMIT $3`;

/** The ends of each owner's batches are found by primary key. */
const TIME_SPAN_SQL = /* sql */ `
  SELECT min(oldest.committed_at) AS oldest, max(newest.committed_at) AS newest
    FROM owners o
   CROSS JOIN LATERAL (SELECT committed_at FROM commit_batches
                        WHERE owner_id = o.id ORDER BY no LIMIT 1) oldest
   CROSS JOIN LATERAL (SELECT committed_at FROM commit_batches
                        WHERE owner_id = o.id ORDER BY no DESC LIMIT 1) newest`;

/** Milliseconds of the first look back; four times further each time it finds too few. */
const LOOK_BACK_MS = 15_000;
/** Orders in one query for lines. */
const CHUNK_ORDERS = 10_000;

interface ProductRow {
  readonly id: ProductId;
  readonly name: string;
  readonly price_amount: string;
  readonly currency: string;
  readonly status: ProductStatus;
  readonly sale_starts_at: string | null;
  readonly sale_ends_at: string | null;
  readonly stock: string;
  readonly sequence: string;
}

interface OrderRow {
  readonly id: OrderId;
  readonly request_hash: string;
  readonly currency: string;
  readonly created_at: string;
  readonly expires_at: string;
  readonly product_ids: readonly ProductId[];
  readonly names: readonly string[];
  readonly unit_prices: readonly string[];
  readonly sequences: readonly string[];
}

export async function readProducts(
  client: pg.ClientBase,
  ids: readonly ProductId[],
): Promise<ProductState[]> {
  const { rows } = await client.query<ProductRow>(PRODUCTS_SQL, [ids]);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    price: { amount: Number(row.price_amount), currency: row.currency },
    status: row.status,
    saleStartsAt: row.sale_starts_at === null ? null : Number(row.sale_starts_at),
    saleEndsAt: row.sale_ends_at === null ? null : Number(row.sale_ends_at),
    stock: Number(row.stock),
    sequence: Number(row.sequence),
  }));
}

/** Ids that are bound to nothing are absent from the result. */
export async function findEffects(
  client: pg.ClientBase,
  ids: readonly string[],
): Promise<StoredEffect[]> {
  const orders = await client.query<OrderRow>(FIND_ORDERS_SQL, [ids]);
  const changes = await client.query<{ id: string; request_hash: string; stock_after: string }>(
    FIND_STOCK_CHANGES_SQL,
    [ids],
  );
  return [
    ...orders.rows.map(storedOrder),
    ...changes.rows.map((row) => ({
      kind: 'stock-change' as const,
      id: row.id,
      requestHash: row.request_hash,
      available: Number(row.stock_after),
    })),
  ];
}

export type StoredOrder = StoredEffect & { readonly kind: 'order' };

/**
 * The newest orders of these partitions, oldest first, as many as have `linesMax` lines;
 * `complete` = there are no others. What it costs depends on what it returns, not on how much was
 * ever sold. Takes seconds for a large window: the session's statement_timeout must allow it.
 */
export async function readNewestOrders(
  client: pg.ClientBase,
  query: { readonly partitions: readonly PartitionId[]; readonly linesMax: number },
): Promise<{ readonly orders: readonly StoredOrder[]; readonly complete: boolean }> {
  const { ids, complete } = await newestIds(client, query);
  const orders: StoredOrder[] = [];
  let lines = 0;
  for (let start = 0; start < ids.length; start += CHUNK_ORDERS) {
    const chunk = ids.slice(start, start + CHUNK_ORDERS);
    const { rows } = await client.query<OrderRow>(FIND_ORDERS_SQL, [chunk]);
    const byId = new Map(rows.map((row) => [row.id, storedOrder(row)]));
    for (const id of chunk) {
      const order = byId.get(id);
      if (order === undefined) throw new Error(`order ${id} disappeared`);
      lines += order.lines.length;
      if (lines > query.linesMax) return { orders: orders.toReversed(), complete: false };
      orders.push(order);
    }
  }
  return { orders: orders.toReversed(), complete };
}

/** An order has at least one line, so `linesMax` orders are enough. */
async function newestIds(
  client: pg.ClientBase,
  {
    partitions,
    linesMax,
  }: { readonly partitions: readonly PartitionId[]; readonly linesMax: number },
): Promise<{ readonly ids: readonly OrderId[]; readonly complete: boolean }> {
  const span = await client.query<{ oldest: Date | null; newest: Date | null }>(TIME_SPAN_SQL);
  const { oldest = null, newest = null } = span.rows[0] ?? {};
  if (oldest === null || newest === null) return { ids: [], complete: true };
  for (let lookBackMs = LOOK_BACK_MS; ; lookBackMs *= 4) {
    const since = newest.getTime() - lookBackMs;
    // created_at comes from another clock than committed_at: the last look has no bound in time.
    const last = since <= oldest.getTime();
    const values = [partitions, last ? '-infinity' : new Date(since), linesMax + 1];
    const count = await client.query<{ orders: number }>(COUNT_ORDERS_SQL, values);
    const more = (count.rows[0]?.orders ?? 0) > linesMax;
    if (!more && !last) continue;
    const { rows } = await client.query<{ id: OrderId }>(NEWEST_IDS_SQL, values);
    return { ids: rows.slice(0, linesMax).map(({ id }) => id), complete: !more };
  }
}

function storedOrder(row: OrderRow): StoredOrder {
  return {
    kind: 'order',
    id: row.id,
    requestHash: row.request_hash,
    lines: row.product_ids.map((productId) => ({ productId })),
    order: {
      currency: row.currency,
      createdAt: Number(row.created_at),
      expiresAt: Number(row.expires_at),
      lines: row.names.map((name, i) => ({
        name,
        unitPrice: Number(row.unit_prices[i]),
        sequence: Number(row.sequences[i]),
      })),
    },
  };
}
