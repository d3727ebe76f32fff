/**
 * What a shard reads: products to load, keys and orders to look up, at takeover the newest orders for
 * its idempotency window, and unpaid orders in the order in which they expire. Committed rows only;
 * one query at a time, on a session of the shard's own.
 *
 * Owns: the table `expiry_watermarks` ("no order of the partition that expired until then waits for
 * payment"), which only the partition's owner moves, and takeover lowers.
 */
import type pg from 'pg';
import type { ExpiringOrder, StoredEffect } from '../domain/batch.ts';
import type { OrderId, OwnerId, PartitionId, ProductId, UserId } from '../domain/ids.ts';
import type { ProductState, ProductStatus } from '../domain/product.ts';

const PRODUCTS_SQL = /* sql */ `
  SELECT id, name, price_amount, currency, status,
         extract(epoch FROM sale_starts_at) * 1000 AS sale_starts_at,
         extract(epoch FROM sale_ends_at) * 1000 AS sale_ends_at,
         per_customer_limit, version, stock, supplied, stock_version, sequence,
         CASE WHEN per_customer_limit IS NOT NULL THEN (
           SELECT json_object_agg(user_id, units) FROM customer_units
            WHERE product_id = products.id AND units > 0) END AS customer_units
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

/**
 * What an owner freed it tells in the step that hears of the COMMIT, so only its last batches can be
 * untold: those in flight, and one whose end was unknown for as long as its connection was silent,
 * while others followed it by the hundreds a second.
 */
const FIND_FREED_BY_SQL = /* sql */ `
  SELECT DISTINCT freed ->> 'productId' AS id
    FROM (SELECT report FROM commit_batches WHERE owner_id = $1 ORDER BY no DESC LIMIT 10000) last
   CROSS JOIN LATERAL jsonb_array_elements(last.report -> 'freed') freed`;

const FIND_CHANGES_SQL = /* sql */ `
  SELECT id, encode(request_hash, 'hex') AS request_hash, stock_after, order_id
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

/** As text: microseconds and -infinity survive. */
const OLDEST_UNPAID_SQL = /* sql */ `
  SELECT (min(expired_until) - (SELECT hold_ttl_max FROM engine_settings))::text AS created_at
    FROM expiry_watermarks WHERE partition = ANY ($1)`;

/**
 * No index on what a status change would have to maintain: an order that expires after its
 * partition's watermark was made at most the longest hold ever given before the watermark, and BRIN
 * finds the blocks. The time is a value of its own, so that the planner knows how few they are.
 */
const EXPIRING_SQL = /* sql */ `
  SELECT o.id, extract(epoch FROM o.expires_at) * 1000 AS expires_at,
         l.product_ids, l.quantities
    FROM (SELECT id, expires_at FROM orders
           WHERE status = 'WAITING_PAYMENT' AND home_partition = ANY ($1)
             AND created_at >= $2 AND expires_at > $3
           ORDER BY expires_at FETCH FIRST $4 ROWS WITH TIES) o
   CROSS JOIN LATERAL (
         SELECT coalesce(array_agg(product_id::text), '{}') AS product_ids,
                coalesce(array_agg(quantity), '{}') AS quantities
           FROM order_items WHERE order_id = o.id) l
   ORDER BY o.expires_at, o.id`;

const MOVE_WATERMARK_SQL = /* sql */ `
  UPDATE expiry_watermarks w SET expired_until = $2
    FROM partitions p
   WHERE w.partition = ANY ($1) AND p.id = w.partition AND p.owner_id = $3`;

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
  readonly per_customer_limit: number | null;
  readonly version: string;
  /** Null also where nobody has any. */
  readonly customer_units: Readonly<Record<UserId, number>> | null;
  readonly stock: string;
  readonly supplied: string;
  readonly stock_version: string;
  readonly sequence: string;
}

interface ChangeRow {
  readonly id: string;
  readonly request_hash: string;
  readonly stock_after: string | null;
  readonly order_id: string | null;
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

interface ExpiringRow {
  readonly id: OrderId;
  readonly expires_at: string;
  readonly product_ids: readonly ProductId[];
  readonly quantities: readonly number[];
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
    perCustomerLimit: row.per_customer_limit,
    customerUnits:
      row.per_customer_limit === null ? null : customerUnitsOf(row.customer_units ?? {}),
    version: Number(row.version),
    stock: Number(row.stock),
    supplied: Number(row.supplied),
    stockVersion: Number(row.stock_version),
    sequence: Number(row.sequence),
  }));
}

/** The keys are those of a JSON object, whose values are units. */
function customerUnitsOf(units: Readonly<Record<UserId, number>>): ReadonlyMap<UserId, number> {
  return new Map(Object.entries(units) as [UserId, number][]);
}

/** Ids that are bound to nothing are absent from the result. */
export async function findEffects(
  client: pg.ClientBase,
  ids: readonly string[],
): Promise<StoredEffect[]> {
  const orders = await client.query<OrderRow>(FIND_ORDERS_SQL, [ids]);
  const changes = await client.query<ChangeRow>(FIND_CHANGES_SQL, [ids]);
  return [...orders.rows.map(storedOrder), ...changes.rows.map(storedChange)];
}

/** Products of which the last batches of this owner, as many as can be in flight, freed units. */
export async function findFreedBy(client: pg.ClientBase, owner: OwnerId): Promise<ProductId[]> {
  const { rows } = await client.query<{ id: ProductId }>(FIND_FREED_BY_SQL, [owner]);
  return rows.map(({ id }) => id);
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

/**
 * Unpaid orders at home in these partitions that expire after `after` (milliseconds since the epoch;
 * null = all), by expiry and id. `complete` = there are no later ones. Orders that expire in one
 * millisecond are never torn apart, so that the last `expiresAt` is the next `after`: they are all
 * returned, beyond `max`. Can take seconds where much was sold within the longest hold.
 */
export async function readExpiring(
  client: pg.ClientBase,
  query: {
    readonly partitions: readonly PartitionId[];
    readonly after: number | null;
    readonly max: number;
  },
): Promise<{ readonly orders: readonly ExpiringOrder[]; readonly complete: boolean }> {
  const { partitions, after, max } = query;
  const oldest = await client.query<{ created_at: string }>(OLDEST_UNPAID_SQL, [partitions]);
  const { rows } = await client.query<ExpiringRow>(EXPIRING_SQL, [
    partitions,
    oldest.rows[0]?.created_at,
    after === null ? '-infinity' : new Date(after),
    max + 1,
  ]);
  const shared = new Map<string, ExpiringOrder['lines']>();
  const orders = rows.map((row) => expiringOrder(row, shared));
  // The one beyond `max` proves that there is more; it stays only if it ties with the last.
  const lastAt = orders[max - 1]?.expiresAt ?? Infinity;
  return {
    orders: orders.filter(({ expiresAt }) => expiresAt <= lastAt),
    complete: orders.length <= max,
  };
}

/**
 * No order of these partitions that expired until `time` (milliseconds) waits for payment. Nothing is
 * written for an owner that does not own them any more.
 */
export async function moveWatermark(
  client: pg.ClientBase,
  { owner, partitions, time }: Watermark,
): Promise<void> {
  await client.query(MOVE_WATERMARK_SQL, [partitions, new Date(time), owner]);
}

export interface Watermark {
  readonly owner: OwnerId;
  readonly partitions: readonly PartitionId[];
  /** Milliseconds since the epoch. */
  readonly time: number;
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

function storedChange({ id, request_hash, stock_after, order_id }: ChangeRow): StoredEffect {
  const requestHash = request_hash;
  if (stock_after !== null) {
    return { kind: 'stock-change', id, requestHash, available: Number(stock_after) };
  }
  return { kind: order_id === null ? 'other' : 'status-change', id, requestHash };
}

/** `shared`: lists of lines by what they say. Most of a million orders are of one kind. */
function expiringOrder(
  { id, expires_at, product_ids, quantities }: ExpiringRow,
  shared: Map<string, ExpiringOrder['lines']>,
): ExpiringOrder {
  const key = `${product_ids.join()} ${quantities.join()}`;
  let lines = shared.get(key);
  if (lines === undefined) {
    lines = product_ids.map((productId, i) => ({ productId, quantity: quantities[i] ?? 0 }));
    shared.set(key, lines);
  }
  return { orderId: id, expiresAt: Number(expires_at), lines };
}
