import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { auditSold } from '../../bench/audit-sold.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.close();
});

/** Five units that nobody ever supplied, if the opening is left out. */
const PRODUCT_SQL = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        supplied, stock_version, sequence, version, created_at, updated_at)
  VALUES ($1, $2, 'Hot product', '', 1999, 'USD', 'active', 5, 5, 1, 0, 1, now(), now())`;
const MERCHANT_SQL = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  VALUES ($1, 'merchant', 'merchant@bench', '', 'merchant', now())`;

describe('the audit at the end of a benchmark', () => {
  test('a run is reported when every rule holds, and is not when one does not (I1)', async () => {
    const said: string[] = [];
    const audit = () =>
      auditSold(
        { say: (line) => said.push(line) },
        { name: 'the engine', databaseUrl: database.url },
      );
    expect(await audit()).toBe(0);
    const merchant = randomUUID();
    await database.query(MERCHANT_SQL, [merchant]);
    await database.query(PRODUCT_SQL, [randomUUID(), merchant]);
    await expect(audit()).rejects.toThrow(/^the audit of the engine failed: .*supplied \(1\)/);
    expect(said).toContain('audit of the engine: 0 orders, 0 violations');
  });
});
