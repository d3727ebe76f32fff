/**
 * What the rows say of a contender's sales, whatever its code says: nothing oversold, nothing lost,
 * every order whole, each key at most one order. `npm run audit` would not do, since it also proves
 * the ledger, which contenders do not write.
 */
import { withClient } from '../../src/db/client.ts';

/** By rule: a row per violation. */
const RULES: Readonly<Record<string, string>> = {
  'stock is never negative': /* sql */ `
    SELECT id FROM products WHERE stock < 0`,
  'what was stocked is in stock or sold': /* sql */ `
    SELECT p.id FROM products p
      JOIN (SELECT product_id, sum(delta) AS units FROM stock_ledger GROUP BY product_id) opening
        ON opening.product_id = p.id
      LEFT JOIN (SELECT product_id, sum(quantity) AS units FROM order_items GROUP BY 1) sold
        ON sold.product_id = p.id
     WHERE opening.units <> p.stock + coalesce(sold.units, 0)`,
  'an order has lines that add up to its total': /* sql */ `
    SELECT o.id FROM orders o LEFT JOIN order_items i ON i.order_id = o.id
     GROUP BY o.id, o.total HAVING coalesce(sum(i.unit_price * i.quantity), -1) <> o.total`,
  'a line has its order': /* sql */ `
    SELECT i.order_id FROM order_items i LEFT JOIN orders o ON o.id = i.order_id
     WHERE o.id IS NULL`,
  'a place in the order of a product is given once': /* sql */ `
    SELECT product_id, sequence FROM order_items
     GROUP BY product_id, sequence HAVING count(*) > 1`,
};

export interface ContenderAudit {
  readonly orders: number;
  /** As `rule (violations)`; empty = clean. */
  readonly broken: readonly string[];
}

/** Once the contender has stopped. */
export async function auditContender(databaseUrl: string): Promise<ContenderAudit> {
  const connection = { databaseUrl, applicationName: 'hedonify-contender-audit' };
  return await withClient(connection, async (client) => {
    const broken: string[] = [];
    for (const [rule, sql] of Object.entries(RULES)) {
      const { rowCount } = await client.query(sql);
      if (rowCount !== 0) broken.push(`${rule} (${rowCount})`);
    }
    const { rows } = await client.query<{ orders: number }>(
      'SELECT count(*)::integer AS orders FROM orders',
    );
    return { orders: rows[0]?.orders ?? 0, broken };
  });
}
