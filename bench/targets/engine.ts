/**
 * The engine without HTTP: commands in, durable answers out, one product, a closed loop of waiting
 * customers. Prints the URL at which it is told to measure; nothing else goes over it.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { UserId } from '../../src/domain/ids.ts';
import { Engine } from '../../src/workers/engine.ts';
import { HOT_PRODUCT } from '../bench-database.ts';

const CUSTOMERS = 1000;
/** Requests waiting for their answer; the batch grows to what this allows. */
const IN_FLIGHT = 3000;

/** The answer to GET /?seconds=S. */
export interface EngineFigures {
  readonly perSecond: number;
  readonly accepted: number;
}

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

const server = createServer((request, response) => {
  const seconds = Number(new URL(request.url ?? '/', 'http://engine').searchParams.get('seconds'));
  void measure(seconds).then((figures) => response.end(JSON.stringify(figures)));
}).listen(0, '127.0.0.1');
await once(server, 'listening');
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  void engine.stop();
});
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('listens on no port');
process.stdout.write(`http://127.0.0.1:${address.port}\n`);

async function measure(seconds: number): Promise<EngineFigures> {
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
  return { perSecond: accepted / ((performance.now() - started) / 1000), accepted };
}
