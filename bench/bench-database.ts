/** Databases of one benchmark run: schema, a merchant, and one hot product that cannot sell out. */
import { randomUUID } from 'node:crypto';
import { STOCK_MAX } from '../src/domain/bounds.ts';
import type { ProductId } from '../src/domain/ids.ts';
import { withClient } from '../src/db/client.ts';
import { applySchema } from '../src/db/schema.ts';

export const HOT_PRODUCT = '20000000-0000-7000-8000-000000000001' as ProductId;

const MERCHANT_SQL = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  VALUES ($1, 'merchant', 'merchant@bench', '', 'merchant', now())`;
const PRODUCT_SQL = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        stock_version, sequence, version, created_at, updated_at)
  VALUES ($1, $2, 'Hot product', '', 1999, 'USD', 'active', $3, 1, 0, 1, now(), now())`;
const OPENING_SQL = /* sql */ `
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
  SELECT id, 1, stock, stock, 'opening', now() FROM products`;

/** Creates the database beside the one that `clusterUrl` names; returns its URL. */
export async function createBenchDatabase(clusterUrl: string, name: string): Promise<string> {
  const applicationName = 'hedonify-bench';
  await withClient({ databaseUrl: clusterUrl, applicationName }, (client) =>
    client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`),
  );
  const url = new URL(clusterUrl);
  url.pathname = `/${name}`;
  const databaseUrl = url.href;
  await withClient({ databaseUrl, applicationName }, async (client) => {
    await applySchema(client);
    const merchant = randomUUID();
    await client.query(MERCHANT_SQL, [merchant]);
    await client.query(PRODUCT_SQL, [HOT_PRODUCT, merchant, STOCK_MAX]);
    await client.query(OPENING_SQL);
  });
  return databaseUrl;
}
