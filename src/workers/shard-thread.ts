/**
 * Entry of a shard thread: Piscina calls `runShard` once per thread, and the call lasts as long as
 * the shard lives.
 */
import { IdempotencyWindow } from '../actors/idempotency-window.ts';
import { ShardCore } from '../actors/shard-core.ts';
import { createLogger } from '../telemetry/logger.ts';
import { ShardDatabase } from '../db/shard-database.ts';
import { ShardRunner } from './shard-runner.ts';
import type { ShardEnd, ShardTask } from './shard-task.ts';

export async function runShard(task: ShardTask): Promise<ShardEnd> {
  const { shard, shards, ownerId, limits, partitions } = task;
  const logger = createLogger({ level: task.logLevel, base: { shard, owner_id: ownerId } });
  const database = await ShardDatabase.open({
    databaseUrl: task.databaseUrl,
    applicationName: `hedonify-shard-${shard}`,
    statementTimeoutMs: task.statementTimeoutMs,
    silenceMsMax: task.silenceMsMax,
    commitsInFlightMax: limits.commitsInFlightMax,
    onRejected: (denial) => logger.error({ ...denial }, 'PostgreSQL denied a batch'),
  });
  try {
    const window = await loadWindow(database, task);
    // Loading took a while: somebody may have taken over meanwhile.
    const provenAt = Date.now();
    const by = await database.fence(ownerId);
    if (by !== null) return { type: 'fenced', by };
    const { routers, control, peers } = task;
    const core = new ShardCore({ ownerId, shard, shards, provenAt }, limits, window);
    const parts = { ownerId, partitions, core, database, routers, control, peers };
    const runner = new ShardRunner(parts);
    logger.info({ window: window.size, window_complete: window.complete }, 'shard serves');
    const end = await runner.ended;
    logger.info({ end }, 'shard ended');
    return end;
  } finally {
    await database.close().catch(() => undefined);
    for (const port of [...task.routers, task.control]) port.close();
    for (const { port } of task.peers) port.close();
  }
}

async function loadWindow(database: ShardDatabase, task: ShardTask): Promise<IdempotencyWindow> {
  const { partitions, windowLinesMax: linesMax } = task;
  const { orders, complete } = await database.newestOrders({ partitions, linesMax });
  const window = new IdempotencyWindow({ linesMax, complete });
  for (const order of orders) window.add(order.id, order);
  return window;
}
