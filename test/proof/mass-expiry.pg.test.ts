/** Ten thousand holds lapse together while others buy; the engine without HTTP. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseProductId } from '../../src/domain/ids.ts';
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { Engine } from '../../src/workers/engine.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds, stocksOf } from '../support/shop.ts';
import { until } from '../support/until.ts';

const HOLDS = 10_000;
const HOLD_TTL_MS = 2000;
const IN_FLIGHT = 1000;
/** Who go on buying something else meanwhile. */
const CUSTOMERS = 32;
/** The promise is one second; this machine may have other things to do. */
const LATE_MS_MAX = 2000;

const SHARDS = 2;
/** Of one shard; the third product is of the other one. */
const [hot = '', beside = '', other = ''] = [0, 2, 1].map((n) => productIds(3)[n]);
let database: TestDatabase;
let engine: Engine;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [hot], stock: HOLDS });
  await makeProducts(database, { ids: [beside, other], stock: 1_000_000 });
  engine = new Engine({
    node: 'mass expiry',
    shards: SHARDS,
    batchOrdersMax: 1000,
    batchWaitMsMax: 0,
    commitsInFlightMax: 2,
    mailboxMax: 10_000,
    requestTimeoutMs: 5000,
    holdTtlMs: HOLD_TTL_MS,
    idempotencyWindowMax: 200_000,
    logLevel: 'warn',
    onImpediment: () => undefined,
    onBatch: () => undefined,
  });
  await engine.start({
    databaseUrl: database.url,
    onProgress: () => undefined,
    onShardLost: (shard, reason) => {
      throw new Error(`shard ${shard} ended: ${reason}`);
    },
  });
});

afterAll(async () => {
  await database.close();
});

function productOf(id: string): ProductId {
  const product = parseProductId(id);
  if (product === undefined) throw new Error(`${id} is no product id`);
  return product;
}

function order(product: string, quantity: number): Promise<PlaceOrderOutcome> {
  return engine.gateway.placeOrder({
    userId: randomUUID() as UserId,
    idempotencyKey: randomUUID(),
    lines: [{ productId: productOf(product), quantity }],
    reference: null,
    metadata: null,
    cart: null,
    traceparent: null,
  });
}

/** @returns the deadline of each (milliseconds since the epoch) */
async function placeHolds(): Promise<number[]> {
  const deadlines: number[] = [];
  let left = HOLDS;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while ((left -= 1) >= 0) {
        const outcome = await order(hot, 1);
        if (outcome.type !== 'accepted') throw new Error(`a hold was ${outcome.type}`);
        deadlines.push(outcome.order.expiresAt);
      }
    }),
  );
  return deadlines;
}

/** Buys until the signal comes. @returns the milliseconds that each order took */
async function goOnBuying(signal: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  await Promise.all(
    Array.from({ length: CUSTOMERS }, async (_, n) => {
      while (!signal.aborted) {
        const sentAt = performance.now();
        const { type } = await order(n % 2 === 0 ? beside : other, 1);
        expect(type).toBe('accepted');
        times.push(performance.now() - sentAt);
      }
    }),
  );
  return times.toSorted((a, b) => a - b);
}

/** Of each hold, milliseconds from its deadline to the commit that freed its unit. */
function lateness(): Promise<{ count: number; median: number; max: number }[]> {
  return database.query<{ count: number; median: number; max: number }>(
    /* sql */ `
    SELECT count(*)::integer AS count, max(late)::float8 AS max,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY late)::float8 AS median
      FROM (SELECT 1000 * extract(epoch FROM b.committed_at - o.expires_at) AS late
              FROM order_events e
              JOIN orders o ON o.id = e.order_id
              JOIN order_items i ON i.order_id = o.id
              JOIN commit_batches b ON (b.owner_id, b.no) = (e.owner_id, e.batch_no)
             WHERE i.product_id = $1 AND e.status = 'EXPIRED') AS expiries`,
    [hot],
  );
}

it(
  `${HOLDS} units are on sale again within one second of their deadlines, while others buy (I9, I10)`,
  { timeout: 60_000 },
  async () => {
    const deadlines = await placeHolds();
    const last = Math.max(...deadlines);
    const spread = last - Math.min(...deadlines);
    const bought = new AbortController();
    const buying = goOnBuying(bought.signal);
    await until('the deadline has come', () => Date.now() >= last);
    await until('all units are on sale again', async () => {
      const outcome = await order(hot, HOLDS);
      return outcome.type === 'accepted';
    });
    const onSaleMs = Date.now() - last;
    bought.abort();
    const times = await buying;
    const [late] = await lateness();
    await engine.stop();
    await expectCleanAudit(database);
    expect(await stocksOf(database, [hot])).toEqual([0]);
    process.stdout.write(
      `${HOLDS} holds with deadlines within ${spread} ms: each freed ${Math.round(late?.median ?? 0)}` +
        ` (median) to ${Math.round(late?.max ?? 0)} ms (the last) after its own, all in one order` +
        ` ${onSaleMs} ms after the last; ${times.length} orders beside,` +
        ` p50 ${Math.round(times[times.length >> 1] ?? 0)}, max ${Math.round(times.at(-1) ?? 0)} ms\n`,
    );
    expect(late?.count).toBe(HOLDS);
    expect(late?.max).toBeLessThan(LATE_MS_MAX);
    expect(onSaleMs).toBeLessThan(LATE_MS_MAX);
  },
);
