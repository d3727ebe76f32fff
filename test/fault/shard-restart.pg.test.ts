/** An operator restarts a shard while customers order; the engine without HTTP. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseProductId } from '../../src/domain/ids.ts';
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { BatchRecord } from '../../src/domain/inspection.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { Engine } from '../../src/workers/engine.ts';
import { CommitGate } from '../db/commit-gate.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds, stocksOf } from '../support/shop.ts';
import { until } from '../support/until.ts';

const SHARDS = 2;
const CUSTOMERS = 16;
const STOCK = 1_000_000;
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Of shard 0 and of shard 1. */
const ids = productIds(SHARDS);
let database: TestDatabase;
let gate: CommitGate;
let engine: Engine;
const batches: BatchRecord[] = [];
const lost: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  gate = await CommitGate.build(database);
  await makeProducts(database, { ids, stock: STOCK });
  engine = new Engine({
    node: 'restarts',
    shards: SHARDS,
    batchOrdersMax: 1000,
    batchWaitMsMax: 0,
    commitsInFlightMax: 2,
    mailboxMax: 10_000,
    requestTimeoutMs: 8000,
    holdTtlMs: 900_000,
    idempotencyWindowMax: 10_000,
    logLevel: 'warn',
    onImpediment: () => undefined,
    onBatch: (record) => batches.push(record),
  });
  expect(await engine.inspector.shards()).toEqual([]);
  await engine.start({
    databaseUrl: database.url,
    onProgress: () => undefined,
    onShardLost: (shard, reason) => lost.push(`${shard}: ${reason}`),
  });
});

afterAll(async () => {
  await gate.open();
  await engine.stop();
  await expectCleanAudit(database);
  await database.close();
});

function productOf(n: number): ProductId {
  const product = parseProductId(ids[n] ?? '');
  if (product === undefined) throw new Error(`there is no product ${n}`);
  return product;
}

/** One unit of each of the products. */
function order(
  products: readonly number[],
  key: string = randomUUID(),
): Promise<PlaceOrderOutcome> {
  return engine.gateway.placeOrder({
    userId: customer,
    idempotencyKey: key,
    lines: products.map((n) => ({ productId: productOf(n), quantity: 1 })),
    reference: null,
    metadata: null,
    cart: null,
    traceparent: TRACEPARENT,
  });
}

const customer = randomUUID() as UserId;
const CARTS = [[0], [1], [0, 1]] as const;

/** Customers who insist: each asks under the same key until the order is accepted. */
async function underLoad(
  work: () => Promise<void>,
): Promise<{ accepted: number; seen: Set<string> }> {
  const seen = new Set<string>();
  let accepted = 0;
  let over = false;
  const load = Array.from({ length: CUSTOMERS }, async (_, n) => {
    while (!over) {
      const key = randomUUID();
      const cart = CARTS[(n + accepted) % CARTS.length] ?? [0];
      await until('the order is accepted', async () => {
        const outcome = await order(cart, key);
        seen.add(outcome.type === 'shed' ? outcome.code : outcome.type);
        return outcome.type === 'accepted';
      });
      accepted += 1;
    }
  });
  try {
    await until('they buy', () => accepted >= CUSTOMERS);
    await work();
    const before = accepted;
    await until('they go on buying', () => accepted >= before + 2 * CUSTOMERS);
  } finally {
    over = true;
    await Promise.all(load);
  }
  return { accepted, seen };
}

async function countOrders(): Promise<number> {
  const [row] = await database.query<{ n: number }>('SELECT count(*)::integer AS n FROM orders');
  return row?.n ?? 0;
}

it('loses and doubles nothing, and nobody is told that the service is shutting down (I2, I3, I8)', async () => {
  const before = await engine.inspector.shards();
  const { accepted, seen } = await underLoad(async () => {
    // Two operators at once want the same.
    const owners = await Promise.all([0, 0, 1].map((shard) => engine.control.restartShard(shard)));
    expect(owners[0]).toBeGreaterThan(before[1]?.ownerId ?? Infinity);
    expect(owners[1]).toBe(owners[0]);
    expect(owners[2]).not.toBe(owners[0]);
    await until('it is seen', async () => {
      const now = await engine.inspector.shards();
      return now.every(({ state, ownerId }, n) => state === 'serving' && ownerId === owners[2 * n]);
    });
  });
  expect(await countOrders()).toBe(accepted);
  expect([...seen].filter((what) => !['accepted', 'overloaded', 'unknown'].includes(what))).toEqual(
    [],
  );
  expect(lost.toSorted()).toEqual(['0: null', '1: null']);
  expect((await engine.inspector.shards()).map(({ restarts }) => restarts)).toEqual([1, 1]);

  // Every order was in a batch that was told of, with its trace; the parts make up the whole.
  const committed = (): BatchRecord[] => batches.filter(({ outcome }) => outcome === 'committed');
  const told = (): number => committed().reduce((sum, { orders }) => sum + orders, 0);
  await until('all are told of', () => told() >= accepted);
  expect(told()).toBe(accepted);
  for (const { orders, traced, copyMs, mergeMs, commitMs, totalMs } of committed()) {
    expect(traced).toHaveLength(orders);
    expect(copyMs).toBeGreaterThan(0);
    expect(mergeMs).toBeGreaterThan(0);
    expect((copyMs ?? 0) + (mergeMs ?? 0) + (commitMs ?? 0)).toBeCloseTo(totalMs);
  }
});

it('ends a shard that cannot commit after two seconds; what waits is decided by the next owner (I2, I8)', async () => {
  const [stockBefore = 0] = await stocksOf(database, ids);
  await gate.shut('in_commit');
  const waiting = order([0]);
  await gate.waiter();
  const owner = await engine.control.restartShard(0);
  expect(owner).toBeDefined();
  await gate.open();
  expect(await waiting).toMatchObject({ type: 'accepted' });
  expect(await stocksOf(database, ids.slice(0, 1))).toEqual([stockBefore - 1]);
});

it('sees what the shards hold: units in orders that wait for payment, whichever shard is their home', async () => {
  const left = await stocksOf(database, ids);
  await until('an answer that is newer than the last order', async () => {
    const actors = await engine.inspector.actors({ sort: 'stock', limit: 10 });
    const stocks = new Map(actors.map(({ productId, stock }) => [`${productId}`, stock]));
    return ids.every((id, n) => {
      const stock = stocks.get(id);
      const sold = STOCK - (left[n] ?? 0);
      return stock?.available === left[n] && stock?.held === sold && stock?.sold === 0;
    });
  });
  const [shard] = await engine.inspector.shards();
  expect(shard).toMatchObject({ shard: 0, partitions: 128, state: 'serving' });
  expect(shard?.inside?.heapBytes).toBeGreaterThan(0);
  expect(shard?.inside?.eventLoop.utilization).toBeLessThanOrEqual(1);
  expect(engine.inspector.batches(3)).toHaveLength(3);
  const gone = await engine.inspector.actor('10000000-0000-7000-8000-00000000ffff' as ProductId);
  expect(gone).toBeUndefined();
});

it('is given up when the process stops', async () => {
  const restart = engine.control.restartShard(1);
  await engine.stop();
  expect(await restart).toBeUndefined();
  expect(await engine.control.restartShard(1)).toBeUndefined();
  await until('it is seen', async () => {
    const shards = await engine.inspector.shards();
    return shards.every(({ state }) => state === 'replacing');
  });
});
