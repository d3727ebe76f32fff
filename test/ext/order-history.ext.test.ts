import { afterEach, expect, test } from 'vitest';
import { addProducts } from '../../bench/more-products.ts';
import { writeHistory } from '../../bench/order-history.ts';
import { runAudit } from '../../src/db/audit.ts';
import { withClient } from '../../src/db/client.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const MERCHANT = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  VALUES (gen_random_uuid(), 'merchant', 'merchant@bench', '', 'merchant', now())`;

let database: TestDatabase;

afterEach(() => database.close());

test.each(['paid', 'unpaid'] as const)(
  'orders that a benchmark finds stored, %s ones, pass the audit (I1, I10)',
  async (kind) => {
    database = await createTestDatabase();
    await database.query(MERCHANT);
    const products = await addProducts(database.url, { count: 2, units: 5000 });
    const onProgress = () => undefined;
    const history = { orders: 3000, products, customers: 100, kind, onProgress };
    await writeHistory(database.url, history);
    const connection = { databaseUrl: database.url, applicationName: 'history-under-test' };
    const audit = await withClient(connection, (client) => runAudit(client, { onProgress }));
    expect(audit.rules.filter(({ violations }) => violations > 0)).toEqual([]);
    expect(audit).toMatchObject({ orders: 3000, lines: 3000, products: 2 });
  },
);
