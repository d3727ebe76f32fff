/**
 * Entry of a shard thread: Piscina calls `runShard`, and the call lasts as long as the shard lives. A
 * shard that ended by itself leaves its thread to the next owner.
 */
import { IdempotencyWindow } from '../actors/idempotency-window.ts';
import { ShardCore } from '../actors/shard-core.ts';
import { createLogger } from '../telemetry/logger.ts';
import { ShardDatabase } from '../db/shard-database.ts';
import type { Denial } from '../db/shard-database.ts';
import { ShardRunner } from './shard-runner.ts';
import type { ShardEnd, ShardTask } from './shard-task.ts';
import { ThreadInspection } from './thread-inspection.ts';

/** Milliseconds between two lines about batches that PostgreSQL cannot take. */
const FAILING_LINE_MS = 10_000;

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
    onPassing: failingLine((facts) => logger.warn(facts, 'batches fail and are tried again')),
  });
  try {
    const window = await loadWindow(database, task);
    // Loading took a while: somebody may have taken over meanwhile.
    const provenAt = Date.now();
    const by = await database.fence(ownerId);
    if (by !== null) return { type: 'fenced', by };
    const { routers, control, peers } = task;
    const core = new ShardCore({ ownerId, shard, shards, provenAt }, limits, window);
    const inspection = new ThreadInspection(core.inspection);
    const runner = new ShardRunner({
      shard,
      ownerId,
      partitions,
      core,
      database,
      inspection,
      onLookFailed: (err) => logger.error({ err }, 'a look into the shard failed'),
      routers,
      control,
      peers,
    });
    logger.info({ window: window.size, window_complete: window.complete }, 'shard serves');
    const end = await runner.ended;
    inspection.close();
    logger.info({ end }, 'shard ended');
    return end;
  } finally {
    await database.close().catch(() => undefined);
    for (const port of [...task.routers, task.control]) port.close();
    for (const { port } of task.peers) port.close();
  }
}

/** Writes at once, and then once in FAILING_LINE_MS for all that failed meanwhile. */
function failingLine(
  write: (facts: { code: string | undefined; reason: string; batches: number }) => void,
): (denial: Denial) => void {
  let batches = 0;
  let nextAt = 0;
  return ({ code, message }) => {
    batches += 1;
    if (performance.now() < nextAt) return;
    write({ code, reason: message, batches });
    batches = 0;
    nextAt = performance.now() + FAILING_LINE_MS;
  };
}

async function loadWindow(database: ShardDatabase, task: ShardTask): Promise<IdempotencyWindow> {
  const { partitions, windowLinesMax: linesMax } = task;
  const { orders, complete } = await database.newestOrders({ partitions, linesMax });
  const window = new IdempotencyWindow({ linesMax, complete });
  for (const order of orders) window.add(order.id, order);
  return window;
}
