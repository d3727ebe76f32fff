import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTENDERS } from '../../bench/contenders/catalogue.ts';
import { auditContender } from '../../bench/contenders/contender-audit.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { productIds } from '../support/shop.ts';
import { expectSellsExactly } from './contender-crowd.ts';

const contenders = CONTENDERS.filter(({ kind }) => kind !== 'redis');
const ids = productIds(contenders.length);

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

test.each(contenders.map((contender, place) => [contender.name, contender, ids[place] ?? '']))(
  '%s sells exactly its stock to a crowd that asks twice, once a key (I1, I3)',
  async (_, contender, product) => {
    await expectSellsExactly(contender, { database, product });
  },
);

test('the audit reports units that appear, orders without lines and lines without orders', async () => {
  await database.query('UPDATE products SET stock = stock + 1 WHERE id = $1', [ids[0]]);
  await database.query(
    /* sql */ `UPDATE order_items SET order_id = $1
                WHERE order_id = (SELECT min(id::text)::uuid FROM orders)`,
    [randomUUID()],
  );
  expect((await auditContender(database.url)).broken).toEqual([
    'what was stocked is in stock or sold (1)',
    'an order has lines that add up to its total (1)',
    'a line has its order (1)',
  ]);
});
