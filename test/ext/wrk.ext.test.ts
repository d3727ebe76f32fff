import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import { Customer, expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';

const SCRIPT = fileURLToPath(new URL('./orders.lua', import.meta.url));
/** Sold out well before wrk stops, so that no accepted answer is cut off. */
const STOCK = 1500;
const CUSTOMERS = 100;
const SECONDS = 2;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

/** Answers by status. @throws Error when wrk is missing or counts socket errors */
async function fire(serverUrl: string, productId: string): Promise<ReadonlyMap<number, number>> {
  const tokens = Array.from({ length: CUSTOMERS }, () => tokenOf(randomUUID()));
  const args = ['-t', '1', '-c', '64', '-d', `${SECONDS}s`, '-s', SCRIPT, serverUrl];
  const env = { PATH: process.env['PATH'], TOKENS: tokens.join(), PRODUCT_ID: productId };
  const { stdout } = await promisify(execFile)('wrk', args, { env }).catch((cause: unknown) => {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw missing ? new Error('wrk is missing: apt-get install wrk (see .ci/run)', { cause }) : cause; // prettier-ignore
  });
  expect(stdout).not.toContain('Socket errors');
  const counted = stdout.matchAll(/^status (?<status>\d+): (?<count>\d+)$/gm);
  return new Map(
    [...counted].map(({ groups }) => [Number(groups?.['status']), Number(groups?.['count'])]),
  );
}

it('sells the stock of one product exactly, to whoever hammers it, and refuses the rest (I1)', async () => {
  const [id = ''] = productIds(1);
  await makeProducts(database, { ids: [id], stock: STOCK });
  const server = await ServerProcess.start({ databaseUrl: database.url, env: { SHARDS: '1' } });
  const answers = await fire(server.url, id);
  expect(new Set(answers.keys())).toEqual(new Set([201, 409]));
  expect(answers.get(201)).toBe(STOCK);
  expect(answers.get(409)).toBeGreaterThan(0);
  const late = await new Customer().order(server.url, { items: [[id, 1]] });
  expect(late).toMatchObject({ status: 409, body: { code: 'out-of-stock' } });
  expect(await server.stop()).toBe(0);
  const rows = await database.query(/* sql */ `SELECT (SELECT stock FROM products)::integer AS left,
                      (SELECT count(*) FROM orders)::integer AS orders,
                      (SELECT max(sequence) FROM order_items)::integer AS last`);
  expect(rows).toEqual([{ left: 0, orders: STOCK, last: STOCK }]);
  await expectCleanAudit(database);
});
