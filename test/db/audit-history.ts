/**
 * An honest history for the audit: two owners (the first was fenced by the second), three products,
 * a duplicate order, a batch that was aborted and a sequence that it left unused, stock changes
 * with and without a key, an order that expired although money came for it, one that was paid and
 * then cancelled under a key, one that was paid at the second attempt, shipped and completed, and
 * one that was checked out of a cart, paid, and shipped in part. A product got a limit when it had
 * been selling for a while, and a lower one than its customer had reached by then.
 */
import type { TestDatabase } from '../support/database.ts';
import { History, MERCHANT, names, PRODUCTS } from './audit-history-rows.ts';

/** Keys that are bound to something else than an order. */
export const KEYS = {
  stockChange: '30000000-0000-4000-8000-000000000003',
  cancellation: '30000000-0000-4000-8000-000000000004',
  checkout: '30000000-0000-4000-8000-000000000005',
  shipment: '30000000-0000-4000-8000-000000000006',
  command: '30000000-0000-4000-8000-000000000007',
} as const;

const INSERT_SHOP = /* sql */ `
  WITH merchant AS (
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'merchant', 'merchant@test', 'x', 'merchant', $2) RETURNING id
  )
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status,
                        per_customer_limit, sale_starts_at, stock, supplied, stock_version,
                        sequence, version, created_at, updated_at)
  SELECT p.id, merchant.id, p.name, '', p.price, 'USD', 'active', p.limit, p."startsAt", p.stock,
         p.supplied, p.version, p.sequence, 1 + p.edits, $2, $2
    FROM merchant, json_to_recordset($3)
         AS p (id uuid, name text, price bigint, "limit" integer, "startsAt" timestamptz,
               stock bigint, supplied bigint, version bigint, sequence bigint, edits integer)`;

const INSERT_OWNERS = /* sql */ `
  INSERT INTO owners (node, shard, started_at, fenced_at, fenced_by)
  VALUES ('first', 0, $1, $2, 'second'), ('second', 0, $2, NULL, NULL)`;

interface Told {
  readonly history: History;
  readonly startedAt: string;
  readonly fencedAt: string;
}

function tell(): Told {
  const history = new History();
  const startedAt = history.now();
  history.open('a', 10);
  history.open('b', 20);
  history.open('c', 0);
  history.sell({ owner: 1, no: 1, orders: [{ a: 1 }, { a: 2, b: 1 }] });
  history.sell({ owner: 1, no: 2, orders: [{ a: 1 }, { b: 3 }], duplicates: 1 });
  const fencedAt = history.now();
  history.change('c', { owner: 2, no: 1, delta: 50, key: KEYS.stockChange });
  history.skipSequence('a');
  history.abort({ owner: 2, no: 2 });
  history.sell({ owner: 2, no: 3, orders: [{ a: 1, b: 1, c: 1 }, { c: 5 }] });
  history.change('b', { owner: 2, no: 4, delta: -2 });
  history.sell({ owner: 2, no: 5, orders: [{ a: 5 }] });
  history.reach(4, { owner: 2, no: 6, status: 'EXPIRED' });
  history.pay(4, 1, { status: 'REFUNDED' });
  history.reach(6, { owner: 2, no: 7, status: 'PAID' });
  history.reach(6, { owner: 2, no: 8, status: 'CANCELLED', key: KEYS.cancellation });
  history.pay(6, 1, { status: 'SUCCEEDED', refundDue: true });
  for (const [n, status] of ['PAID', 'SHIPPING', 'COMPLETED'].entries()) {
    history.reach(3, { owner: 2, no: 9 + n, status });
  }
  history.pay(3, 1, { status: 'FAILED' });
  history.pay(3, 2, { status: 'SUCCEEDED' });
  history.pay(7, 1, { status: 'PENDING' });
  history.edit('c', { owner: 2, no: 12, limit: 3 });
  history.sell({ owner: 2, no: 13, orders: [{ b: 1, c: 2 }], checkoutKey: KEYS.checkout });
  history.openCart({ c: 9 });
  history.edit('c', { owner: 2, no: 14, limit: 2 });
  history.edit('c', { owner: 2, no: 15, price: 99, startsAt: Date.UTC(2026, 10, 27, 8, 0, 0, 1) });
  history.countUnits('c', 3);
  history.reach(8, { owner: 2, no: 16, status: 'PAID' });
  history.pay(8, 1, { status: 'SUCCEEDED' });
  history.shipLine(8, 'b', { owner: 2, no: 17, key: KEYS.shipment });
  history.answer(KEYS.command);
  return { history, startedAt, fencedAt };
}

/** Into a database that has the schema and nothing else. */
export async function insertHistory(database: TestDatabase): Promise<void> {
  const { history, startedAt, fencedAt } = tell();
  await database.query(INSERT_OWNERS, [startedAt, fencedAt]);
  await database.query('UPDATE partitions SET owner_id = 2');
  await database.query(`UPDATE engine_settings SET hold_ttl_max = '200 years'`);
  await database.query('UPDATE expiry_watermarks SET expired_until = $1', [startedAt]);
  const products = names().map((name) => ({
    id: PRODUCTS[name],
    name: `product ${name}`,
    ...history.products[name],
  }));
  await database.query(INSERT_SHOP, [MERCHANT, startedAt, JSON.stringify(products)]);
  for (const [table, rows] of Object.entries(history.tables)) {
    await database.query(
      `INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`,
      [JSON.stringify(rows)],
    );
  }
}
