/** Money and orders: each is paid once or given back, whatever comes late, twice, never, or dies. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { send } from '../support/send.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  expectSellsOut,
  makeProducts,
  productIds,
  stocksOf,
} from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';
import { until } from '../support/until.ts';

const STOCK = 5000;
const SHORT_HOLDS = { HOLD_TTL_SECONDS: '3' };
const RACERS = 300;
/** Milliseconds before and after the deadline at which the money of the racers is there. */
const RACE_MS = { early: 2000, late: 200 };
const KILLS = 3;
const ORDERS_PER_KILL = 40;
/** Payments that were answered when it is killed: none the first time, so many more each time. */
const ANSWERED_PER_ROUND = 8;
const SCENARIOS = ['success', 'failure', 'timeout_then_success', 'duplicate_confirmation'];
const ADMIN = { id: randomUUID(), role: 'admin' } as const;

const ids = productIds(4);
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: STOCK });
  await start();
});
afterEach(async () => {
  await expectCleanAudit(database);
});
afterAll(async () => {
  await server.kill();
  await database.close();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  const options = { databaseUrl: database.url, env: { SHARDS: '4', ...env } };
  server = await ServerProcess.start(options);
}

interface Placed {
  readonly customer: Customer;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Two products of two shards. */
const cartOf = (n: number) => [1, 2].map((step) => ids[(n * step + step) % ids.length] ?? '');

async function place(n = 0): Promise<Placed> {
  const customer = new Customer();
  const items = cartOf(n).map((id) => [id, 1] as const);
  const { status, body } = await customer.order(server.url, { items });
  expect(status).toBe(201);
  expect(body['payments']).toEqual([]);
  const expiresAt = Date.parse(String(body['expires_at']));
  return { customer, id: String(body['id']), expiresAt };
}

function placeMany(count: number): Promise<Placed[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => place(n)));
}

function pay({ id, customer }: Placed, body: object = {}, key?: string): Promise<Answered> {
  const keyed = key === undefined ? {} : { key };
  return send(`${server.url}/orders/${id}/payment`, customer, { body, ...keyed });
}

/** Status of the order, and of its payments by attempt. */
async function stateOf({ id, customer }: Placed): Promise<readonly string[]> {
  const { body } = await send(`${server.url}/orders/${id}`, customer);
  const payments = body['payments'] as readonly { status: string; attempt: number }[];
  expect(payments.map(({ attempt }) => attempt)).toEqual(payments.map((_, n) => n + 1));
  return [String(body['status']), ...payments.map(({ status }) => status)];
}

async function untilState(order: Placed, ...expected: readonly string[]): Promise<void> {
  await until(`order ${order.id} is ${expected.join(', ')}`, async () => {
    const state = await stateOf(order);
    return state.join() === expected.join();
  });
}

async function untilAllEnded(): Promise<void> {
  await until('every payment has ended', async () => {
    const open = await database.query(
      /* sql */ `SELECT FROM payments WHERE due_at IS NOT NULL OR status = 'PENDING'`,
    );
    return open.length === 0;
  });
}

it('does what each scenario says, and a key starts one payment (I3)', async () => {
  const [plain, failing, slow, twice] = await placeMany(4);
  if (!plain || !failing || !slow || !twice) throw new Error('not placed');
  const slowly = pay(slow, { scenario: 'timeout_then_success', delay_ms: 100 });

  const started = { payment: { status: 'PENDING', attempt: 1 } };
  const first = await pay(plain, {}, 'once');
  expect(first).toMatchObject({ status: 202, body: started });
  const again = await pay(plain, {}, 'once');
  expect(again).toMatchObject({ status: 202, body: first.body });
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  const reused = await pay(plain, { scenario: 'failure' }, 'once');
  expect(reused).toMatchObject({ status: 422, body: { code: 'idempotency-key-reused' } });
  await untilState(plain, 'PAID', 'SUCCEEDED');
  const paid = { payment: { status: 'SUCCEEDED', attempt: 1 } };
  expect(await pay(plain)).toMatchObject({ status: 202, body: paid });

  await pay(failing, { scenario: 'failure' });
  await untilState(failing, 'WAITING_PAYMENT', 'FAILED');
  await pay(failing);
  await untilState(failing, 'PAID', 'FAILED', 'SUCCEEDED');

  await pay(twice, { scenario: 'duplicate_confirmation' });
  await untilState(twice, 'PAID', 'SUCCEEDED');

  expect(await slowly).toMatchObject({ status: 202, body: started });
  const meanwhile = await pay(slow);
  expect(meanwhile).toMatchObject({ status: 409, body: { code: 'payment-in-progress' } });
  await untilState(slow, 'PAID', 'SUCCEEDED');
});

it('gives the money of a paid order that is cancelled back, and its units are for sale (I10)', async () => {
  const before = await stocksOf(database, ids);
  const order = await place();
  await pay(order);
  await untilState(order, 'PAID', 'SUCCEEDED');
  const own = await order.customer.cancel(server.url, order.id);
  expect(own).toMatchObject({ status: 409, body: { code: 'order-not-cancellable' } });
  const url = `${server.url}/orders/${order.id}`;
  const cancelled = await send(`${url}/cancel`, ADMIN, { body: { reason: 'recalled' } });
  expect(cancelled).toMatchObject({ status: 200, body: { status: 'CANCELLED' } });
  await untilState(order, 'CANCELLED', 'REFUNDED');
  expect(await stocksOf(database, ids)).toEqual(before);
  const late = await pay(order);
  expect(late).toMatchObject({ status: 409, body: { code: 'order-not-payable' } });

  const { body } = await send(`${url}/events`, order.customer);
  const customer = { role: 'customer', user_id: order.customer.id };
  expect(body['items']).toMatchObject([
    { from: null, to: 'WAITING_PAYMENT', author: customer, reason: null },
    {
      from: 'WAITING_PAYMENT',
      to: 'PAID',
      author: { role: 'system', user_id: null },
      reason: 'payment 1 succeeded',
    },
    {
      from: 'PAID',
      to: 'CANCELLED',
      author: { role: 'admin', user_id: ADMIN.id },
      reason: 'recalled',
    },
  ]);
});

it(`every payment reaches its end over ${KILLS} kills`, { timeout: 60_000 }, async () => {
  const orders: Placed[] = [];
  for (let round = 0; round < KILLS; round += 1) {
    const placed = await placeMany(ORDERS_PER_KILL);
    let answered = 0;
    const asked = placed.map(async (order, n) => {
      const scenario = SCENARIOS[n % SCENARIOS.length];
      // Some are over, some under way and some never started when the process dies.
      const payment = pay(order, { scenario, delay_ms: (n % 5) * 100 });
      await payment.then(() => (answered += 1)).catch(() => undefined);
    });
    await until('some are answered', () => answered >= round * ANSWERED_PER_ROUND);
    await server.kill();
    await Promise.all(asked);
    orders.push(...placed);
    await start();
  }
  await untilAllEnded();
  const states = await Promise.all(orders.map(stateOf));
  for (const [n, state] of states.entries()) {
    const scenario = SCENARIOS[(n % ORDERS_PER_KILL) % SCENARIOS.length];
    const end = scenario === 'failure' ? ['WAITING_PAYMENT', 'FAILED'] : ['PAID', 'SUCCEEDED'];
    expect(state).toEqual(state.length === 1 ? ['WAITING_PAYMENT'] : end);
  }
  const started = states.filter(({ length }) => length > 1).length;
  process.stdout.write(`${KILLS} kills: ${started} of ${orders.length} payments were started\n`);
  expect(started).toBeGreaterThan(KILLS);
});

it('a payment that meets the deadline has one winner, and who loses gets the money back', async () => {
  // A payment under way does not keep it from stopping in order, and the next start ends it.
  const slow = await place();
  await pay(slow, { scenario: 'timeout_then_success' });
  expect(await server.stop()).toBe(0);
  await start(SHORT_HOLDS);
  await untilState(slow, 'PAID', 'SUCCEEDED');

  const before = await stocksOf(database, ids);
  const orders = await placeMany(RACERS);
  await Promise.all(
    orders.map(async (order, n) => {
      const readyAt =
        order.expiresAt - RACE_MS.early + (n / RACERS) * (RACE_MS.early + RACE_MS.late);
      const delayMs = Math.max(0, Math.round(readyAt - Date.now()));
      expect((await pay(order, { delay_ms: delayMs })).status).toBe(202);
    }),
  );
  await untilAllEnded();
  const states = await Promise.all(orders.map(stateOf));
  const left = new Map(ids.map((id, at) => [id, before[at] ?? 0]));
  let won = 0;
  for (const [n, state] of states.entries()) {
    const isPaid = state[0] === 'PAID';
    expect(state).toEqual(isPaid ? ['PAID', 'SUCCEEDED'] : ['EXPIRED', 'REFUNDED']);
    if (!isPaid) continue;
    won += 1;
    for (const id of cartOf(n)) left.set(id, (left.get(id) ?? 0) - 1);
  }
  process.stdout.write(`${RACERS} payments at the deadline: ${won} won\n`);
  expect(won).toBeGreaterThan(0);
  expect(won).toBeLessThan(RACERS);
  expect(await stocksOf(database, ids)).toEqual([...left.values()]);
  const loser = orders.find((_, n) => states[n]?.[0] === 'EXPIRED');
  if (loser === undefined) throw new Error('nobody lost');
  expect(await pay(loser)).toMatchObject({ status: 409, body: { code: 'order-expired' } });
  await expectSellsOut(server.url, { database, ids });
});
