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
  const { shard, ownerId, limits } = task;
  const logger = createLogger({ level: task.logLevel, base: { shard, owner_id: ownerId } });
  const database = await ShardDatabase.open({
    databaseUrl: task.databaseUrl,
    applicationName: `hedonify-shard-${shard}`,
    statementTimeoutMs: task.statementTimeoutMs,
    commitsInFlightMax: limits.commitsInFlightMax,
  });
  const provenAt = Date.now();
  const newest = await database.newestOrders({
    partitions: task.partitions,
    max: task.windowMax,
  });
  const window = new IdempotencyWindow({ max: task.windowMax, complete: newest.complete });
  for (const order of newest.orders) window.add(order.id, order);
  const core = new ShardCore({ ownerId, provenAt }, limits, window);
  const runner = new ShardRunner({ ownerId, core, database, ports: task.ports });
  void database.lost.then((error) => runner.fail(error));
  logger.info({ window: window.size, window_complete: window.complete }, 'shard serves');
  const end = await runner.ended;
  logger.info({ end }, 'shard ended');
  await database.close().catch(() => undefined);
  for (const port of task.ports) port.close();
  return end;
}
