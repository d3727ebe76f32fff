/** Unpaid orders end by their deadline, by their customer, or while nobody was there to end them. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  expectSellsOut,
  makeProducts,
  productIds,
  stocksOf,
} from '../support/shop.ts';
import { until } from '../support/until.ts';

const ENV = { SHARDS: '4' };
const SHORT_HOLDS = { ...ENV, HOLD_TTL_SECONDS: '2' };
const STOCK = 1000;
const ORDERS = 400;
/** Of two shards, so that the freed units of an order go to both. */
const CART = [1, 2];
/** Milliseconds before and after its deadline at which the first and the last is cancelled. */
const EARLY_MS = 1000;
const LATE_MS = 200;
/** The promise is one second; this machine may have other things to do. */
const RELEASE_MS_MAX = 2000;

const ids = productIds(4);
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: STOCK });
});

afterEach(async () => {
  await expectCleanAudit(database);
});

afterAll(async () => {
  await server.kill();
  await database.close();
});

interface Placed {
  readonly customer: Customer;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

function place(count: number): Promise<Placed[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const customer = new Customer();
      const items = CART.map((step) => [ids[(n * step) % ids.length] ?? '', 1] as const);
      const { status, body } = await customer.order(server.url, { items });
      expect(status).toBe(201);
      return {
        customer,
        id: String(body['id']),
        expiresAt: Date.parse(String(body['expires_at'])),
      };
    }),
  );
}

it('an order that is cancelled as it expires is either, and its units are freed once (I1, I8, I10)', async () => {
  server = await ServerProcess.start({ databaseUrl: database.url, env: SHORT_HOLDS });
  const orders = await place(ORDERS);
  const ends = await Promise.all(
    orders.map(async ({ customer, id, expiresAt }, n) => {
      // Most of them close to it.
      const at = expiresAt + LATE_MS - (EARLY_MS + LATE_MS) * (1 - n / ORDERS) ** 3;
      await until('its time', () => Date.now() >= at);
      const { status, body } = await customer.cancel(server.url, id);
      const end = status === 200 ? body['status'] : `${String(body['code'])}, ${String(body['order_status'])}`; // prettier-ignore
      return { id, end };
    }),
  );
  const stored = await database.query<{ id: string; status: string; events: string[] }>(
    /* sql */ `
    SELECT id, status, (SELECT array_agg(e.status::text) FROM order_events e
                         WHERE e.order_id = o.id) AS events
      FROM orders o WHERE id = ANY ($1::uuid[])`,
    [orders.map(({ id }) => id)],
  );
  const found = new Map(stored.map(({ id, status, events }) => [id, { status, events }]));
  const told = { CANCELLED: 0, 'order-not-cancellable, EXPIRED': 0 };
  for (const { id, end } of ends) {
    if (end !== 'CANCELLED' && end !== 'order-not-cancellable, EXPIRED') {
      throw new Error(`a cancellation was answered with ${String(end)}`);
    }
    told[end] += 1;
    const status = end === 'CANCELLED' ? 'CANCELLED' : 'EXPIRED';
    expect(found.get(id)).toEqual({ status, events: [status] });
  }
  process.stdout.write(`cancelled at the deadline: ${JSON.stringify(told)}\n`);
  expect(told.CANCELLED).toBeGreaterThan(0);
  expect(told['order-not-cancellable, EXPIRED']).toBeGreaterThan(0);
  expect(await stocksOf(database, ids)).toEqual(ids.map(() => STOCK));
});

it('what lapsed while the service was down is on sale again right after its start (I9, I10)', async () => {
  const orders = await place(ORDERS);
  await server.kill();
  const last = Math.max(...orders.map(({ expiresAt }) => expiresAt));
  await until('every hold has lapsed', () => Date.now() > last);
  expect(await stocksOf(database, ids)).not.toEqual(ids.map(() => STOCK));
  server = await ServerProcess.start({ databaseUrl: database.url, env: ENV });
  const readyAt = performance.now();
  await until('all units are on sale again', async () => {
    const stocks = await stocksOf(database, ids);
    return stocks.every((stock) => stock === STOCK);
  });
  const ms = performance.now() - readyAt;
  process.stdout.write(
    `${ORDERS} holds that lapsed meanwhile: on sale again ${Math.round(ms)} ms after ready\n`,
  );
  expect(ms).toBeLessThan(RELEASE_MS_MAX);
  await expectSellsOut(server.url, { database, ids });
});
