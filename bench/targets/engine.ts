/**
 * The engine without HTTP: commands in, durable answers out, one product, a closed loop of waiting
 * customers. Told what to do over IPC: a number of seconds, answered with orders per second.
 */
import { randomUUID } from 'node:crypto';
import type { UserId } from '../../src/domain/ids.ts';
import { Engine } from '../../src/workers/engine.ts';
import { HOT_PRODUCT } from '../bench-database.ts';

const CUSTOMERS = 1000;
/** Requests waiting for their answer; the batch grows to what this allows. */
const IN_FLIGHT = 3000;

const [databaseUrl, commitsInFlightMax] = process.argv.slice(2);
if (databaseUrl === undefined || commitsInFlightMax === undefined) {
  throw new Error('usage: engine.ts DATABASE_URL COMMITS_IN_FLIGHT_MAX');
}

const engine = new Engine({
  node: 'engine benchmark',
  shards: 1,
  batchOrdersMax: 1000,
  batchWaitMsMax: 0,
  commitsInFlightMax: Number(commitsInFlightMax),
  mailboxMax: 10_000,
  requestTimeoutMs: 5000,
  holdTtlMs: 900_000,
  idempotencyWindowMax: 200_000,
  logLevel: 'warn',
  onImpediment: () => undefined,
  onBatch: () => undefined,
});
await engine.start({
  databaseUrl,
  onProgress: () => undefined,
  onShardLost: (shard, reason) => {
    throw new Error(`shard ${shard} ended: ${reason}`);
  },
});
const customers = Array.from({ length: CUSTOMERS }, () => randomUUID() as UserId);

process.on('message', (seconds: number) => {
  void measure(seconds).then((perSecond) => process.send?.(perSecond));
});
process.on('disconnect', () => void engine.stop());
process.send?.('ready');

async function measure(seconds: number): Promise<number> {
  const started = performance.now();
  const deadline = started + seconds * 1000;
  let accepted = 0;
  const lines = [{ productId: HOT_PRODUCT, quantity: 1 }];
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async (_, n) => {
      while (performance.now() < deadline) {
        const outcome = await engine.gateway.placeOrder({
          userId: customers[n % CUSTOMERS] ?? ('' as UserId),
          idempotencyKey: randomUUID(),
          lines,
          reference: null,
          metadata: null,
          cart: null,
          traceparent: null,
        });
        if (outcome.type !== 'accepted') throw new Error(`an order was ${outcome.type}`);
        accepted += 1;
      }
    }),
  );
  return accepted / ((performance.now() - started) / 1000);
}
