/** Products beyond the twelve that every database of the benchmark has, with the stock that is asked. */
import type { ProductId } from '../src/domain/ids.ts';
import { inDatabase } from './in-database.ts';

/** Of the last byte, which is the partition: every shard owns its share of them. */
const PREFIX = '30000000-0000-7000-8000-';

const PRODUCTS_SQL = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        supplied, stock_version, sequence, version, created_at, updated_at)
  SELECT ($3 || lpad(to_hex(n), 12, '0'))::uuid, (SELECT id FROM users LIMIT 1), 'Product ' || n,
         '', 1999, 'USD', 'active', $2::bigint, $2::bigint, 1, 0, 1, now(), now()
    FROM generate_series(1, $1::integer) n`;
const OPENINGS_SQL = /* sql */ `
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
  SELECT id, 1, stock, stock, 'opening', now() FROM products p
   WHERE NOT EXISTS (SELECT FROM stock_ledger l WHERE l.product_id = p.id)`;

/** Once for a database, before anything sells from it. `units`: of each. */
export async function addProducts(
  databaseUrl: string,
  { count, units }: { readonly count: number; readonly units: number },
): Promise<ProductId[]> {
  await inDatabase(databaseUrl, async (client) => {
    await client.query(PRODUCTS_SQL, [count, units, PREFIX]);
    await client.query(OPENINGS_SQL);
    // Autovacuum would do it in the middle of a load.
    await client.query('VACUUM ANALYZE products, stock_ledger');
  });
  return Array.from({ length: count }, (_, n) => moreProduct(n + 1));
}

/** From 1. */
export function moreProduct(n: number): ProductId {
  return `${PREFIX}${n.toString(16).padStart(12, '0')}` as ProductId;
}
