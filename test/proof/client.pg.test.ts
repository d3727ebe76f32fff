/** The example of the TypeScript client, as a customer's program would run it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { expectCleanAudit, makeProducts, productIds, stocksOf } from '../support/shop.ts';

const EXAMPLE = fileURLToPath(new URL('../../clients/typescript/example.ts', import.meta.url));
const STOCK = 10;
const ids = productIds(1);
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: STOCK });
  server = await ServerProcess.start({ databaseUrl: database.url });
});

afterAll(async () => {
  await server.stop();
  await expectCleanAudit(database);
  await database.close();
});

it('the example loses the answer to its checkout, gets it again, and has one paid order (I3)', async () => {
  const args = [EXAMPLE, server.url, ids[0] ?? ''];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(/the answer 201 is lost/);
  expect(stdout).toMatch(/replayed: true/);
  expect(stdout).toMatch(/ PAID\n$/);
  const orders = await database.query<{ status: string }>('SELECT status::text FROM orders');
  expect(orders).toEqual([{ status: 'PAID' }]);
  expect(await stocksOf(database, ids)).toEqual([STOCK - 2]);
});
