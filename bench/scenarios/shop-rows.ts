/** The rows of a scenario: what it may sell, and afterwards what PostgreSQL has. */
import type { Client } from 'pg';
import { STOCK_MAX } from '../../src/domain/bounds.ts';
import { addMerchant } from '../bench-database.ts';
import { productId } from '../k6/lib/product-ids.ts';

/** $1: the id of product 0, whose last 12 digits are counted up. One statement for 100,000. */
const PRODUCTS_SQL = /* sql */ `
  WITH seeded AS (
    INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                          supplied, stock_version, sequence, version, created_at, updated_at)
    SELECT (left($1, -12) || lpad(to_hex(n), 12, '0'))::uuid, $2, 'Product ' || n, '', 1999, 'USD',
           'active', units, units, 1, 0, 1, now(), now()
      FROM generate_series(0, $3::integer) n,
           LATERAL (SELECT CASE WHEN n < $3 THEN $4 ELSE $5 END::bigint AS units) supply
    RETURNING id, stock
  )
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
  SELECT id, 1, stock, stock, 'opening', now() FROM seeded`;
const STORED_SQL = /* sql */ `
  SELECT count(*)::integer AS "orders",
         count(*) FILTER (WHERE status = 'PAID')::integer AS "paid",
         count(*) FILTER (WHERE status = 'CANCELLED')::integer AS "cancelled",
         count(*) FILTER (WHERE status = 'EXPIRED')::integer AS "expired",
         (SELECT coalesce(sum(quantity), 0)::integer
            FROM order_items WHERE product_id <> $1) AS "unitsOrdered",
         (SELECT sum(stock)::float8 FROM products WHERE id <> $1) AS "unitsLeft"
    FROM orders
   WHERE id NOT IN (SELECT order_id FROM order_items WHERE product_id = $1)`;
const UNSETTLED_SQL = /* sql */ `
  SELECT EXISTS (SELECT FROM payments WHERE status = 'PENDING')
      OR EXISTS (SELECT FROM orders
                  WHERE status = 'WAITING_PAYMENT' AND expires_at < now() + interval '1 minute')
      AS unsettled`;

export interface Shop {
  readonly products: number;
  /** Units of each. */
  readonly stock: number;
}

export interface StoredRows {
  readonly orders: number;
  readonly paid: number;
  readonly cancelled: number;
  readonly expired: number;
  /** By every order, also those that are over. */
  readonly unitsOrdered: number;
  readonly unitsLeft: number;
}

/** Of the one product more than the scenario knows: a cold server is warmed up with its orders. */
export function warmUpProduct({ products }: Shop): string {
  return productId(products);
}

export async function seedShop(client: Client, { products, stock }: Shop): Promise<void> {
  const merchant = await addMerchant(client);
  await client.query(PRODUCTS_SQL, [productId(0), merchant, products, stock, STOCK_MAX]);
}

/** Without the product that warms up, and its orders. */
export async function readStored(client: Client, shop: Shop): Promise<StoredRows> {
  const { rows } = await client.query<StoredRows>(STORED_SQL, [warmUpProduct(shop)]);
  const [stored] = rows;
  if (stored === undefined) throw new Error('a count has one row');
  return stored;
}

/** Whether a payment is under way, or an order about to lapse. */
export async function isUnsettled(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ unsettled: boolean }>(UNSETTLED_SQL);
  return rows[0]?.unsettled ?? true;
}
