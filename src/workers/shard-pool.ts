/**
 * The shard threads of this process: Piscina hosts one long-lived task per shard and reports its
 * death. The supervisor's whole policy for now: the first shard that ends by itself ends the
 * process, and a restart recovers everything from PostgreSQL.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { PARTITIONS, shardOf } from '../domain/ids.ts';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { ToShard } from '../domain/wire.ts';
import type { ShardEnd, ShardTask } from './shard-task.ts';
import { SHARD_THREAD_URL } from './worker-urls.ts';

export type ShardPoolOptions = Pick<
  ShardTask,
  'databaseUrl' | 'limits' | 'windowLinesMax' | 'statementTimeoutMs' | 'logLevel'
> & {
  /** By shard. */
  readonly owners: readonly OwnerId[];
};

export class ShardPool {
  /** `ports[i]` leads to shard i. */
  readonly ports: readonly MessagePort[];
  /** How the first shard ended that ended; never rejects. */
  readonly firstEnd: Promise<ShardEnd>;
  readonly #piscina: Piscina;
  readonly #ends: readonly Promise<ShardEnd>[];

  private constructor(
    piscina: Piscina,
    shards: readonly { readonly port: MessagePort; readonly end: Promise<ShardEnd> }[],
  ) {
    this.#piscina = piscina;
    this.ports = shards.map(({ port }) => port);
    this.#ends = shards.map(({ end }) => end);
    this.firstEnd = Promise.race(this.#ends);
  }

  /**
   * Resolves when every shard serves, or when one was fenced before it could (`firstEnd` says so);
   * rejects when one fails instead.
   */
  static async start(options: ShardPoolOptions): Promise<ShardPool> {
    const { owners, ...common } = options;
    const piscina = new Piscina({
      filename: fileURLToPath(SHARD_THREAD_URL),
      name: 'runShard',
      minThreads: owners.length,
      maxThreads: owners.length,
      atomics: 'disabled',
    });
    const shards = owners.map((ownerId, shard) => {
      const { port1, port2 } = new MessageChannel();
      const partitions = partitionsOf(shard, owners.length);
      const task: ShardTask = { ...common, shard, ownerId, partitions, ports: [port2] };
      return { port: port1, end: run(piscina, task) };
    });
    const pool = new ShardPool(piscina, shards);
    const ready = Promise.all(pool.ports.map((port) => once(port, 'message')));
    const end = await Promise.race([ready.then(() => null), pool.firstEnd]);
    if (end?.type === 'failed') {
      await piscina.destroy();
      throw new Error(`a shard did not start: ${describeEnd(end)}`);
    }
    return pool;
  }

  /** Commits and answers what was accepted, then ends the threads. */
  async stop(): Promise<void> {
    const message: ToShard = { type: 'stop' };
    for (const port of this.ports) port.postMessage(message);
    await Promise.all(this.#ends);
    await this.#piscina.destroy();
  }
}

export function describeEnd(end: ShardEnd): string {
  if (end.type === 'fenced') return `fenced by ${end.by}`;
  return end.type === 'failed' ? end.reason : end.type;
}

/** A thread that dies without a word is an end like any other. */
async function run(piscina: Piscina, task: ShardTask): Promise<ShardEnd> {
  try {
    // Piscina takes an array; its types, made for older Node types, ask for a property as well.
    const transferList = Object.assign([...task.ports], { transfer: [] });
    const end: ShardEnd = await piscina.run(task, { transferList });
    return end;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { type: 'failed', reason: `shard ${task.shard}: ${reason}` };
  }
}

function partitionsOf(shard: number, shards: number): PartitionId[] {
  const all = Array.from({ length: PARTITIONS }, (_, id) => id as PartitionId);
  return all.filter((partition) => shardOf(partition, shards) === shard);
}
