import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AUDIT_RULES, AuditError, runAudit, SHOWN_MAX } from '../../src/db/audit.ts';
import type { AuditReport } from '../../src/db/audit.ts';
import { connectClient } from '../../src/db/client.ts';
import { applySchema } from '../../src/db/schema.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { insertHistory } from './audit-history.ts';
import { PRODUCTS } from './audit-history-rows.ts';
import { ENGINE_PLANTS } from './audit-plants.ts';
import { SHOP_PLANTS } from './audit-shop-plants.ts';

const { b } = PRODUCTS;
const PLANTS = [...ENGINE_PLANTS, ...SHOP_PLANTS];

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
    expect(report).toMatchObject({ violations: 0, orders: 8, lines: 12, products: 3 });
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
      { product_id: b, stocked: 18, stock: 14, live: 3 },
    ]);
    expect(shown(report, 'ledger-end')).toEqual([
      { product_id: b, stock_version: 7, stock: 14, ledger_version: 7, ledger_stock: 15 },
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
