import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AUDIT_RULES, AuditError, runAudit, SHOWN_MAX } from '../../src/db/audit.ts';
import type { AuditReport } from '../../src/db/audit.ts';
import { connectClient } from '../../src/db/client.ts';
import { applySchema } from '../../src/db/schema.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { insertHistory, orderId, PRODUCTS } from './audit-history.ts';

const UNKNOWN = '99999999-0000-4000-8000-0000000000ff';

interface Plant {
  readonly what: string;
  readonly sql: string;
  /** Exactly these rules report it. */
  readonly rules: readonly string[];
}

const { a, b, c } = PRODUCTS;
const inOrder = (number: number): string => `order_id = '${orderId(number)}'`;
const batch = (owner: number, no: number): string => `owner_id = ${owner} AND batch_no = ${no}`;

const STOCK_PLANTS: readonly Plant[] = [
  {
    what: 'more units sold than were ever stocked',
    sql: `UPDATE order_items SET quantity = quantity + 100 WHERE ${inOrder(1)};
          UPDATE orders SET total = total + 100 * 1999 WHERE id = '${orderId(1)}'`,
    rules: ['no-oversell', 'conservation', 'ledger-sales'],
  },
  {
    what: 'a unit sold beyond what was stocked, with a ledger that agrees',
    sql: `ALTER TABLE products DROP CONSTRAINT products_stock_check;
          ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_stock_after_check;
          UPDATE order_items SET quantity = 6 WHERE ${inOrder(7)};
          UPDATE orders SET total = 6 * 1999 WHERE id = '${orderId(7)}';
          UPDATE stock_ledger SET delta = -6, stock_after = -1
           WHERE product_id = '${a}' AND ${batch(2, 5)};
          UPDATE products SET stock = -1 WHERE id = '${a}'`,
    rules: ['no-oversell', 'stock-not-negative', 'stock-check'],
  },
  {
    what: 'a unit that vanished from stock',
    sql: `UPDATE products SET stock = stock - 1 WHERE id = '${b}'`,
    rules: ['conservation', 'ledger-end'],
  },
  {
    what: 'an expired order whose units did not come back',
    sql: `UPDATE orders SET status = 'EXPIRED' WHERE id = '${orderId(1)}'`,
    rules: ['conservation'],
  },
  {
    what: 'a movement that starts from another stock than the one before it left',
    sql: `UPDATE stock_ledger SET stock_after = stock_after + 1
           WHERE product_id = '${a}' AND stock_version = 2`,
    rules: ['ledger-chain'],
  },
  {
    what: 'a movement missing from the ledger',
    sql: `DELETE FROM stock_ledger WHERE product_id = '${a}' AND stock_version = 2`,
    rules: ['ledger-chain', 'ledger-sales'],
  },
  {
    what: 'a second opening',
    sql: `UPDATE stock_ledger SET kind = 'opening' WHERE product_id = '${c}' AND kind = 'change'`,
    rules: ['ledger-chain', 'keyed-effect'],
  },
  {
    what: 'a product whose version is ahead of its ledger',
    sql: `UPDATE products SET stock_version = stock_version + 1 WHERE id = '${c}'`,
    rules: ['ledger-end'],
  },
  {
    what: 'a product without a ledger',
    sql: `DELETE FROM stock_ledger WHERE product_id = '${c}';
          DELETE FROM keyed_effects`,
    rules: ['no-oversell', 'conservation', 'ledger-end', 'ledger-sales'],
  },
  {
    what: 'a unit that the ledger books in another batch than the order',
    sql: `UPDATE stock_ledger SET delta = delta - 1, stock_after = stock_after - 1
           WHERE product_id = '${a}' AND stock_version = 2;
          UPDATE stock_ledger SET delta = delta + 1 WHERE product_id = '${a}' AND stock_version = 3`,
    rules: ['ledger-sales'],
  },
  {
    what: 'a sale in the ledger without any order',
    sql: `INSERT INTO stock_ledger SELECT id, stock_version + 1, -1, stock - 1, 'sale', 2, 1, NULL,
                                          NULL, now() FROM products WHERE id = '${b}';
          UPDATE products SET stock = stock - 1, stock_version = stock_version + 1
           WHERE id = '${b}'`,
    rules: ['conservation', 'ledger-sales'],
  },
  {
    what: 'a movement of a product that does not exist',
    sql: `INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
          VALUES ('${UNKNOWN}', 1, 5, 5, 'opening', now())`,
    rules: ['ledger-product'],
  },
  {
    what: 'a stock change that no batch made',
    sql: `UPDATE stock_ledger SET batch_no = NULL WHERE product_id = '${b}' AND kind = 'change'`,
    rules: ['ledger-batch'],
  },
  {
    what: 'a key bound to a stock change that is not in the ledger',
    sql: `UPDATE keyed_effects SET stock_after = stock_after + 1`,
    rules: ['keyed-effect'],
  },
];

const ORDER_PLANTS: readonly Plant[] = [
  {
    what: 'an order that lost one of its lines',
    sql: `DELETE FROM order_items WHERE ${inOrder(2)} AND product_id = '${b}'`,
    rules: ['conservation', 'ledger-sales', 'order-total'],
  },
  {
    what: 'an order that lost all of its lines',
    sql: `DELETE FROM order_items WHERE ${inOrder(1)}`,
    rules: ['conservation', 'ledger-sales', 'order-lines'],
  },
  {
    what: 'a line that belongs to no order',
    sql: `UPDATE products SET sequence = 100 WHERE id = '${a}';
          INSERT INTO order_items VALUES ('${UNKNOWN}', '${a}', 1, 1999, 100, 'a')`,
    rules: ['line-order'],
  },
  {
    what: 'an order that was lost while its lines stayed',
    sql: `DELETE FROM orders WHERE id = '${orderId(1)}'`,
    rules: ['conservation', 'ledger-sales', 'line-order'],
  },
  {
    what: 'a line of a product that does not exist',
    sql: `INSERT INTO order_items VALUES ('${orderId(1)}', '${UNKNOWN}', 1, 0, 1, 'unknown')`,
    rules: ['no-oversell', 'ledger-sales', 'line-product'],
  },
  {
    what: 'an order stored twice for one key, behind a missing primary key',
    sql: `ALTER TABLE orders DROP CONSTRAINT orders_pkey;
          INSERT INTO orders SELECT * FROM orders WHERE id = '${orderId(7)}'`,
    rules: [
      'no-oversell',
      'conservation',
      'ledger-sales',
      'order-once',
      'batch-orders',
      'unique-index',
    ],
  },
  {
    what: 'an order stored a second time under another id',
    sql: `INSERT INTO orders SELECT '${UNKNOWN}', user_id, request_hash, owner_id, batch_no,
                 home_partition, status, currency, total, reference, metadata, created_at,
                 expires_at FROM orders WHERE id = '${orderId(1)}';
          INSERT INTO order_items SELECT '${UNKNOWN}', product_id, quantity, unit_price, sequence,
                 name FROM order_items WHERE ${inOrder(1)}`,
    rules: ['no-oversell', 'conservation', 'ledger-sales', 'sequence-once', 'batch-orders'],
  },
  {
    what: 'a line stored twice',
    sql: `ALTER TABLE order_items DROP CONSTRAINT order_items_pkey;
          INSERT INTO order_items SELECT * FROM order_items WHERE ${inOrder(4)}`,
    rules: [
      'conservation',
      'ledger-sales',
      'line-once',
      'order-total',
      'sequence-once',
      'unique-index',
    ],
  },
  {
    what: 'a key of a stock change bound twice',
    sql: `ALTER TABLE keyed_effects DROP CONSTRAINT keyed_effects_pkey;
          INSERT INTO keyed_effects SELECT * FROM keyed_effects`,
    rules: ['effect-once', 'unique-index'],
  },
  {
    what: 'an order with another total than its lines',
    sql: `UPDATE orders SET total = total + 1 WHERE id = '${orderId(3)}'`,
    rules: ['order-total'],
  },
  {
    what: 'two lines with the same place in the order of service',
    sql: `UPDATE order_items SET sequence = 1 WHERE ${inOrder(2)} AND product_id = '${a}'`,
    rules: ['sequence-once'],
  },
  {
    what: 'a line served after the last one',
    sql: `UPDATE products SET sequence = sequence - 1 WHERE id = '${a}'`,
    rules: ['sequence-range'],
  },
  {
    what: 'a line without a place in the order of service',
    sql: `UPDATE order_items SET sequence = 0 WHERE ${inOrder(1)}`,
    rules: ['sequence-range'],
  },
  {
    what: 'an order at home in another partition than its lowest',
    sql: `UPDATE orders SET home_partition = 32 WHERE id = '${orderId(2)}'`,
    rules: ['home-partition'],
  },
  {
    what: 'an order of a batch that never committed',
    sql: `DELETE FROM commit_batches WHERE owner_id = 2 AND no = 5`,
    rules: ['ledger-batch', 'order-batch'],
  },
  {
    what: 'an order of a batch that was proven aborted',
    sql: `UPDATE commit_batches SET aborted = true WHERE owner_id = 2 AND no = 5`,
    rules: ['ledger-batch', 'order-batch'],
  },
  {
    what: 'a batch that stored more orders than were sent with it',
    sql: `UPDATE commit_batches SET orders = 1 WHERE owner_id = 1 AND no = 1`,
    rules: ['batch-orders'],
  },
];

const OWNERSHIP_PLANTS: readonly Plant[] = [
  {
    what: 'a missing partition',
    sql: `DELETE FROM partitions WHERE id = 17`,
    rules: ['partitions-complete'],
  },
  {
    what: 'a partition that there should not be',
    sql: `ALTER TABLE partitions DROP CONSTRAINT partitions_id_check;
          INSERT INTO partitions VALUES (256, 2)`,
    rules: ['partitions-complete'],
  },
  {
    what: 'a partition held by a fenced owner',
    sql: `UPDATE partitions SET owner_id = 1 WHERE id = 17`,
    rules: ['partition-owner'],
  },
  {
    what: 'a partition held by nobody that ever was',
    sql: `ALTER TABLE partitions DROP CONSTRAINT partitions_owner_id_fkey;
          UPDATE partitions SET owner_id = 77 WHERE id = 17`,
    rules: ['partition-owner'],
  },
  {
    what: 'a batch of nobody that ever was',
    sql: `INSERT INTO commit_batches VALUES (77, 1, false, 0, now())`,
    rules: ['batch-owner'],
  },
  {
    what: 'a batch that an owner committed after it was fenced',
    sql: `UPDATE commit_batches SET committed_at = now() WHERE owner_id = 1 AND no = 2`,
    rules: ['batch-fence'],
  },
  {
    what: 'a product of a merchant that does not exist',
    sql: `ALTER TABLE products DROP CONSTRAINT products_merchant_id_fkey;
          UPDATE products SET merchant_id = '${UNKNOWN}' WHERE id = '${a}'`,
    rules: ['product-merchant'],
  },
  {
    what: 'a unique index that was dropped',
    sql: `DROP INDEX users_email_key`,
    rules: ['unique-index'],
  },
  {
    what: 'a unique index that was replaced by one that allows doubles',
    sql: `ALTER TABLE orders DROP CONSTRAINT orders_pkey;
          CREATE INDEX orders_pkey ON orders (id)`,
    rules: ['unique-index'],
  },
  {
    what: 'a unique index that is not valid',
    sql: `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'order_items_pkey'::regclass`,
    rules: ['unique-index'],
  },
  {
    what: 'a check against negative stock that was dropped',
    sql: `ALTER TABLE products DROP CONSTRAINT products_stock_check`,
    rules: ['stock-check'],
  },
];

const PLANTS = [...STOCK_PLANTS, ...ORDER_PLANTS, ...OWNERSHIP_PLANTS];

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
// Not a database per test: half a hundred of them are half a gigabyte.
beforeEach(async () => {
  await database.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  const client = await database.pool.connect();
  try {
    await applySchema(client);
  } finally {
    client.release();
  }
});
afterAll(async () => {
  await database.close();
});

async function audit(onRule: (name: string) => void = () => undefined): Promise<AuditReport> {
  const client = await connectClient({
    databaseUrl: database.url,
    applicationName: 'audit-under-test',
  });
  try {
    return await runAudit(client, { onProgress: ({ rule }) => onRule(rule.name) });
  } finally {
    await client.end();
  }
}

function brokenRules(report: AuditReport): readonly string[] {
  return report.rules.filter((rule) => rule.violations > 0).map(({ rule }) => rule.name);
}

/** The rows that a broken rule reported. */
function shown(report: AuditReport, name: string): readonly unknown[] {
  return report.rules.find(({ rule }) => rule.name === name)?.shown ?? [];
}

describe('the audit of an honest history', () => {
  test('finds that every rule holds, and counts what it saw', async () => {
    await insertHistory(database);
    const report = await audit();
    expect(brokenRules(report)).toEqual([]);
    expect(report).toMatchObject({ violations: 0, orders: 7, lines: 10, products: 3 });
    expect(report.rules.map(({ rule }) => rule)).toEqual(AUDIT_RULES);
  });

  test('finds that every rule holds in a database that nothing was sold in', async () => {
    const report = await audit();
    expect(brokenRules(report)).toEqual([]);
    expect(report.orders).toBe(0);
  });

  test('reports each rule before it checks it', async () => {
    const seen: string[] = [];
    await audit((name) => seen.push(name));
    expect(seen).toEqual(AUDIT_RULES.map((rule) => rule.name));
  });
});

describe('the audit of a planted violation', () => {
  test.each(PLANTS)('reports $what: $rules', async ({ sql, rules }) => {
    await insertHistory(database);
    await database.query(sql);
    expect([...brokenRules(await audit())].sort()).toEqual([...rules].sort());
  });

  test('is tried for every rule: one that cannot fail proves nothing', () => {
    const reported = new Set(PLANTS.flatMap((plant) => plant.rules));
    expect(AUDIT_RULES.map((rule) => rule.name).filter((name) => !reported.has(name))).toEqual([]);
  });

  test('names the ids, and the figures that disagree', async () => {
    await insertHistory(database);
    await database.query(`UPDATE products SET stock = stock - 1 WHERE id = '${b}'`);
    const report = await audit();
    expect(shown(report, 'conservation')).toEqual([
      { product_id: b, stocked: 18, stock: 12, live: 5 },
    ]);
    expect(shown(report, 'ledger-end')).toEqual([
      { product_id: b, stock_version: 5, stock: 12, ledger_version: 5, ledger_stock: 13 },
    ]);
  });

  test('counts every violation but hands out only the first ones (I9)', async () => {
    await database.query(`UPDATE partitions SET owner_id = NULL`);
    await database.query(
      `INSERT INTO commit_batches SELECT n, 1, false, 0, now() FROM generate_series(1, 250) n`,
    );
    const report = await audit();
    const found = report.rules.find(({ rule }) => rule.name === 'batch-owner');
    expect(found?.violations).toBe(250);
    expect(found?.shown).toHaveLength(SHOWN_MAX);
    expect(report.violations).toBe(250);
  });
});

describe('the audit beside a running server', () => {
  test('sees one snapshot: what commits meanwhile is not half seen', async () => {
    await insertHistory(database);
    // The audit stops in its middle, at a table that somebody else has locked.
    const blocker = await database.pool.connect();
    try {
      await blocker.query('BEGIN; LOCK TABLE keyed_effects IN ACCESS EXCLUSIVE MODE');
      const running = audit();
      await waitForBlockedAudit();
      await database.query(`DELETE FROM order_items; DELETE FROM commit_batches`);
      await blocker.query('COMMIT');
      expect(brokenRules(await running)).toEqual([]);
    } finally {
      blocker.release();
    }
    expect(brokenRules(await audit())).toContain('order-lines');
  });

  test('leaves the connection outside a transaction', async () => {
    const client = await connectClient({
      databaseUrl: database.url,
      applicationName: 'audit-under-test',
    });
    try {
      await runAudit(client, { onProgress: () => undefined });
      const written = await client.query('CREATE TABLE written_afterwards ()');
      expect(written.command).toBe('CREATE');
    } finally {
      await client.end();
    }
  });
});

describe('an audit that cannot run', () => {
  test('says so when the database has no schema', async () => {
    await database.query('DROP TABLE order_items');
    await expect(audit()).rejects.toThrow(AuditError);
    await expect(audit()).rejects.toThrow(/no Hedonify schema \(missing: order_items\)/);
  });

  test('names the rule that PostgreSQL refused to check', async () => {
    await database.query('ALTER TABLE order_items DROP COLUMN sequence');
    await expect(audit()).rejects.toThrow('rule sequence-once could not be checked');
  });
});

async function waitForBlockedAudit(): Promise<void> {
  for (;;) {
    const blocked = await database.query(
      `SELECT 1 FROM pg_stat_activity
        WHERE application_name = 'audit-under-test' AND wait_event_type = 'Lock'
          AND datname = current_database()`,
    );
    if (blocked.length > 0) return;
    await delay(10);
  }
}
