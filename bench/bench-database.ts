/** Databases of one benchmark run: schema, a merchant, and products that sell out only when asked to. */
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { STOCK_MAX } from '../src/domain/bounds.ts';
import type { ProductId } from '../src/domain/ids.ts';
import { applySchema } from '../src/db/schema.ts';
import { inDatabase } from './in-database.ts';
import { orderOf } from './load-files.ts';

/** Of one partition each: dealt round-robin, every shard owns some of them. */
const PRODUCTS = Array.from(
  { length: 12 },
  (_, n) => `20000000-0000-7000-8000-${(n + 1).toString(16).padStart(12, '0')}` as ProductId,
);
export const HOT_PRODUCT = '20000000-0000-7000-8000-000000000001' as ProductId;

const MERCHANT_SQL = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  VALUES ($1, 'merchant', 'merchant@bench', '', 'merchant', now())`;
const PRODUCTS_SQL = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        supplied, stock_version, sequence, version, created_at, updated_at)
  SELECT id, $2, 'Hot product', '', 1999, 'USD', 'active', $3, $3, 1, 0, 1, now(), now()
    FROM unnest($1::uuid[]) id`;
const OPENING_SQL = /* sql */ `
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
  SELECT id, 1, stock, stock, 'opening', now() FROM products`;

/** A database with the schema alone, beside the one that `clusterUrl` names; returns its URL. */
export async function createEmptyDatabase(clusterUrl: string, name: string): Promise<string> {
  await inDatabase(clusterUrl, (client) =>
    client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`),
  );
  const url = new URL(clusterUrl);
  url.pathname = `/${name}`;
  const databaseUrl = url.href;
  await inDatabase(databaseUrl, applySchema);
  return databaseUrl;
}

/** The same with the merchant and the products. */
export async function createBenchDatabase(
  clusterUrl: string,
  name: string,
  /** Units of each product. */
  { stock = STOCK_MAX }: { readonly stock?: number } = {},
): Promise<string> {
  const databaseUrl = await createEmptyDatabase(clusterUrl, name);
  await inDatabase(databaseUrl, async (client) => {
    await client.query(PRODUCTS_SQL, [PRODUCTS, await addMerchant(client), stock]);
    await client.query(OPENING_SQL);
  });
  return databaseUrl;
}

/** Whose the products are; returns the id. Once for a database. */
export async function addMerchant(client: Client): Promise<string> {
  const merchant = randomUUID();
  await client.query(MERCHANT_SQL, [merchant]);
  return merchant;
}

/** JSON texts of orders for one unit of one product. */
export function oneUnit(): string[] {
  return [orderOf([HOT_PRODUCT])];
}

/** JSON texts of carts with one unit of each of three products: all of them that there are. */
export function threeLineCarts(): string[] {
  return PRODUCTS.flatMap((a, i) =>
    PRODUCTS.slice(i + 1).flatMap((b, j) =>
      PRODUCTS.slice(i + j + 2).map((c) => orderOf([a, b, c])),
    ),
  );
}
