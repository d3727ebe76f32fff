import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { Customer, expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';

const TIMEOUT_MS = 4000;
const ROUNDS = 6;
const CUSTOMERS = 400;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

it('sheds beyond the mailbox with 503 and Retry-After in time, in flat memory (I9)', async () => {
  const [id = ''] = productIds(1);
  await makeProducts(database, { ids: [id], stock: 1_000_000 });
  const env = {
    SHARDS: '1',
    MAILBOX_MAX: '100',
    BATCH_MAX_ORDERS: '10',
    COMMITS_IN_FLIGHT_MAX: '1',
    REQUEST_TIMEOUT_MS: `${TIMEOUT_MS}`,
  };
  const server = await ServerProcess.start({ databaseUrl: database.url, env });
  const customers = Array.from({ length: CUSTOMERS }, () => new Customer());
  const resident: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    // Commits stand still for as long as the test holds this lock, well below their timeout.
    const blocker = await database.pool.connect();
    await blocker.query('BEGIN; LOCK TABLE orders IN SHARE MODE');
    const started = performance.now();
    const answers = customers.map((customer) => customer.order(server.url, { items: [[id, 1]] }));
    const first = await Promise.race(answers);
    expect(first).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    await blocker.query('COMMIT');
    blocker.release();
    const all = await Promise.all(answers);
    expect(performance.now() - started).toBeLessThan(TIMEOUT_MS);
    const accepted = all.filter(({ status }) => status === 201);
    const shed = all.filter(({ status }) => status === 503);
    expect(accepted.length + shed.length).toBe(CUSTOMERS);
    expect(accepted.length).toBeGreaterThan(0);
    // In flight, in the open batch, and a third of the ninety places of orders in the mailbox.
    expect(shed.length).toBeGreaterThan(0);
    expect(shed.every(({ headers }) => Number(headers.get('retry-after')) >= 1)).toBe(true);
    resident.push(residentMiB(server.pid));
  }
  // The first rounds warm the process up; after that a full mailbox costs no memory.
  expect((resident.at(-1) ?? 0) - (resident[1] ?? 0)).toBeLessThan(32);
  expect(await server.stop()).toBe(0);
});
