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

/** An order with its lines as three parallel arrays, sorted by product id as the request was. */
const ORDER_COLUMNS = /* sql */ `
  o.id, encode(o.request_hash, 'hex') AS request_hash, o.currency,
  extract(epoch FROM o.created_at) * 1000 AS created_at,
  extract(epoch FROM o.expires_at) * 1000 AS expires_at,
  array_agg(i.product_id::text ORDER BY i.product_id) AS product_ids,
  array_agg(i.name ORDER BY i.product_id) AS names,
  array_agg(i.unit_price::text ORDER BY i.product_id) AS unit_prices,
  array_agg(i.sequence::text ORDER BY i.product_id) AS sequences`;

const FIND_ORDERS_SQL = /* sql */ `
  SELECT ${ORDER_COLUMNS}
    FROM orders o JOIN order_items i ON i.order_id = o.id
   WHERE o.id = ANY ($1)
   GROUP BY o.id`;

const FIND_STOCK_CHANGES_SQL = /* sql */ `
  SELECT id, encode(request_hash, 'hex') AS request_hash, stock_after
    FROM keyed_effects WHERE id = ANY ($1)`;

/** BRIN finds the blocks; one more row than asked for tells that there are older ones. */
const NEWEST_ORDERS_SQL = /* sql */ `
  SELECT ${ORDER_COLUMNS}
    FROM (SELECT * FROM orders
           WHERE home_partition = ANY ($1) AND created_at >= $2
           ORDER BY created_at DESC LIMIT $3) o
    JOIN order_items i ON i.order_id = o.id
   GROUP BY o.id, o.request_hash, o.currency, o.created_at, o.expires_at
   ORDER BY o.created_at`;

/** Counts no further than it must. */
const COUNT_ORDERS_SQL = /* sql */ `
  SELECT count(*)::integer AS orders
    FROM (SELECT FROM orders
           WHERE home_partition = ANY ($1) AND created_at >= $2 LIMIT $3) o`;

const TIME_SPAN_SQL = /* sql */ `
  SELECT min(committed_at) AS oldest, max(committed_at) AS newest FROM commit_batches`;

/** Milliseconds between the decision on an order and its COMMIT, generously. */
const COMMIT_DELAY_MS_MAX = 3_600_000;

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
 * The newest orders of these partitions, oldest first, at most `max`; `complete` = there are no
 * older ones. Looks back one hour at first and eight times further each time it finds too few, so
 * that a table of years costs what its newest orders cost.
 */
export async function readNewestOrders(
  client: pg.ClientBase,
  query: { readonly partitions: readonly PartitionId[]; readonly max: number },
): Promise<{ readonly orders: StoredOrder[]; readonly complete: boolean }> {
  const span = await client.query<{ oldest: Date | null; newest: Date | null }>(TIME_SPAN_SQL);
  const { oldest = null, newest = null } = span.rows[0] ?? {};
  if (oldest === null || newest === null) return { orders: [], complete: true };
  const first = oldest.getTime() - COMMIT_DELAY_MS_MAX;
  for (let lookBackMs = COMMIT_DELAY_MS_MAX; ; lookBackMs *= 8) {
    const since = Math.max(first, newest.getTime() - lookBackMs);
    const values = [query.partitions, new Date(since), query.max + 1];
    const count = await client.query<{ orders: number }>(COUNT_ORDERS_SQL, values);
    const more = (count.rows[0]?.orders ?? 0) > query.max;
    if (!more && since > first) continue;
    const { rows } = await client.query<OrderRow>(NEWEST_ORDERS_SQL, values);
    return { orders: rows.slice(more ? 1 : 0).map(storedOrder), complete: !more };
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
