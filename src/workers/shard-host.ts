/**
 * Runs shards in threads: Piscina hosts one long-lived task per shard and reports its death, whatever
 * killed the thread. A thread whose shard ended by itself runs the next owner.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { ShardEnd, ShardTask } from './shard-task.ts';
import { SHARD_THREAD_URL } from './worker-urls.ts';

export interface ShardHost {
  /** Until the shard ends, however that is; `signal` ends its thread at once. Never rejects. */
  run(task: ShardTask, signal: AbortSignal): Promise<ShardEnd>;
  /** Ends all threads. */
  destroy(): Promise<void>;
}

export class ShardThreads implements ShardHost {
  readonly #piscina: Piscina;

  constructor(shards: number) {
    this.#piscina = new Piscina({
      filename: fileURLToPath(SHARD_THREAD_URL),
      name: 'runShard',
      minThreads: shards,
      maxThreads: shards,
      atomics: 'disabled',
    });
  }

  /** A thread that dies without a word is an end like any other. */
  async run(task: ShardTask, signal: AbortSignal): Promise<ShardEnd> {
    try {
      // Piscina takes an array; its types, made for older Node types, ask for a property as well.
      const ports = [...task.routers, task.control, ...task.peers.map(({ port }) => port)];
      const transferList = Object.assign(ports, { transfer: [] });
      const end: ShardEnd = await this.#piscina.run(task, { transferList, signal });
      return end;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { type: 'failed', reason: `shard ${task.shard}: ${reason}` };
    }
  }

  destroy(): Promise<void> {
    return this.#piscina.destroy();
  }
}
