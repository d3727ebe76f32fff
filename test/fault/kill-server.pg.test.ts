import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { Journal } from './journal.ts';

const ROUNDS = 10;
const CUSTOMERS = 48;
/** Milliseconds of load before the kill: from before the first commit to well into the flow. */
const LOAD_MS_MAX = 400;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

it(
  `keeps every promise over ${ROUNDS} kills under load (I2, I3)`,
  { timeout: 120_000 },
  async () => {
    const ids = productIds(8);
    await makeProducts(database, { ids, stock: 100_000 });
    const journal = new Journal({ productIds: ids });
    let lost = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const server = await ServerProcess.start({ databaseUrl: database.url });
      await journal.settle(server.url);
      const load = journal.load(server.url, { customers: CUSTOMERS });
      await delay((LOAD_MS_MAX * (round + 0.5)) / ROUNDS);
      await server.kill();
      await load;
      lost += journal.unanswered;
    }
    const server = await ServerProcess.start({ databaseUrl: database.url });
    await journal.settle(server.url);
    expect(await server.stop()).toBe(0);
    await journal.expectTrue(database);
    await expectCleanAudit(database);
    expect(lost).toBeGreaterThan(ROUNDS);
    process.stdout.write(
      `${ROUNDS} kills: ${journal.accepted} orders accepted, ${lost} requests without an answer\n`,
    );
  },
);
