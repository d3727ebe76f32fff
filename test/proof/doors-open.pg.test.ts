/** A sale window: everybody is there before the doors open, and nobody gets in before or after. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  count,
  Customer,
  edit,
  expectCleanAudit,
  makeProducts,
  productIds,
  stocksOf,
} from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';

const STOCK = 100;
const CUSTOMERS = 200;
/** Milliseconds from now until the doors open, and from then on until they close. */
const EARLY_MS = 1500;
const OPEN_MS = 1000;

const [scarce = '', plenty = ''] = productIds(2);
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [scarce], stock: STOCK });
  await makeProducts(database, { ids: [plenty], stock: 1_000_000 });
  server = await ServerProcess.start({ databaseUrl: database.url });
});

afterAll(async () => {
  await expectCleanAudit(database);
  await server.stop();
  await database.close();
});

/** Everybody asks again and again from before the start until after the end. */
async function besiege(productId: string, until: number): Promise<Answered[]> {
  const answers = await Promise.all(
    Array.from({ length: CUSTOMERS }, async () => {
      const customer = new Customer();
      const own: Answered[] = [];
      while (Date.now() < until) {
        own.push(await customer.order(server.url, { key: randomUUID(), items: [[productId, 1]] }));
      }
      return own;
    }),
  );
  return answers.flat();
}

it('sells exactly the stock between the millisecond of its start and that of its end (I1)', async () => {
  const startsAt = Date.now() + EARLY_MS;
  const endsAt = startsAt + OPEN_MS;
  const window = {
    sale_starts_at: new Date(startsAt).toISOString(),
    sale_ends_at: new Date(endsAt).toISOString(),
  };
  for (const productId of [scarce, plenty]) {
    expect(await edit(server.url, { productId, changes: window })).toBe(200);
  }
  const answers = await Promise.all(
    [scarce, plenty].map((productId) => besiege(productId, endsAt + 500)),
  );
  for (const [i, own] of answers.entries()) {
    const sold = own.filter(({ status }) => status === 201);
    const times = sold.map(({ body }) => Date.parse(String(body['created_at'])));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(startsAt);
    expect(Math.max(...times)).toBeLessThan(endsAt);
    const counts = count(own);
    expect(counts['409 sale-not-started']).toBeGreaterThan(0);
    expect(counts['409 sale-ended']).toBeGreaterThan(0);
    if (i === 1) expect(counts['409 out-of-stock']).toBeUndefined();
    if (i === 0) expect(sold).toHaveLength(STOCK);
  }
  expect(await stocksOf(database, [scarce])).toEqual([0]);
  const early = answers.flat().find(({ body }) => body['code'] === 'sale-not-started');
  expect(early?.body).toMatchObject({ starts_at: window.sale_starts_at });
  expect(Number(early?.headers.get('retry-after'))).toBeGreaterThan(0);
});
