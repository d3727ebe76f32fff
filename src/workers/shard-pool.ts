/**
 * The supervisor of this process's shard threads. Piscina hosts one long-lived task per shard and
 * reports its death, whatever killed the thread.
 *
 * Owns: which owner serves which shard, the channels between the shards. A shard that ends is
 * replaced in place: its owner is fenced in PostgreSQL, a new owner loads what is committed, and the
 * other shards never stop (I5: a channel joins two incarnations, and ends with either of them).
 * A shard that was fenced by another node is not replaced: that node has taken over.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { PARTITIONS, shardOf } from '../domain/ids.ts';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { Control, Peer, ShardEnd, ShardTask } from './shard-task.ts';
import { SHARD_THREAD_URL } from './worker-urls.ts';

/** Milliseconds before a shard is replaced again, doubled each time until it serves steadily. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1000;
const STEADY_MS = 10_000;

export type ShardPoolOptions = Pick<
  ShardTask,
  'databaseUrl' | 'limits' | 'windowLinesMax' | 'statementTimeoutMs' | 'silenceMsMax' | 'logLevel'
> & {
  /** By shard. */
  readonly owners: readonly OwnerId[];
  /** A shard serves; `port` leads to it. Whoever served it before is fenced. */
  readonly onServing: (shard: number, port: MessagePort) => void;
  /** A shard ended by itself. */
  readonly onLost: (shard: number, reason: string) => void;
  /** Fences the shard's former owner and makes another one, unless another node fenced it. */
  readonly replaceOwner: (replacement: {
    readonly shard: number;
    readonly former: OwnerId;
  }) => Promise<{ readonly owner: OwnerId } | { readonly fencedBy: string }>;
};

interface Incarnation {
  readonly ownerId: OwnerId;
  readonly router: MessagePort;
  readonly control: MessagePort;
  /** Never rejects. */
  readonly end: Promise<ShardEnd>;
}

export class ShardPool {
  /** How the pool ended by itself: by another node's takeover; never rejects. */
  readonly ended: Promise<ShardEnd>;
  readonly #options: ShardPoolOptions;
  readonly #piscina: Piscina;
  /** By shard; null while it is being replaced. */
  readonly #serving: (Incarnation | null)[];
  readonly #owners: OwnerId[];
  readonly #watches: Promise<void>[] = [];
  #end: (end: ShardEnd) => void = () => undefined;
  readonly #stopping = new AbortController();

  private constructor(options: ShardPoolOptions) {
    this.#options = options;
    this.#owners = [...options.owners];
    this.#serving = options.owners.map(() => null);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#piscina = new Piscina({
      filename: fileURLToPath(SHARD_THREAD_URL),
      name: 'runShard',
      minThreads: options.owners.length,
      maxThreads: options.owners.length,
      atomics: 'disabled',
    });
  }

  /**
   * Resolves when every shard serves, or when one was fenced before it could (`ended` says so);
   * rejects when one fails instead.
   */
  static async start(options: ShardPoolOptions): Promise<ShardPool> {
    const pool = new ShardPool(options);
    const shards = options.owners.map((ownerId, shard) => pool.#launch(shard, ownerId));
    const ends = await Promise.all(shards.map(readyOrEnd));
    for (const [shard, end] of ends.entries()) {
      const incarnation = shards[shard];
      if (end?.type === 'failed') {
        await pool.stop();
        throw new Error(`shard ${shard} did not start: ${end.reason}`);
      }
      if (end?.type === 'fenced') pool.#end(end);
      if (end === null && incarnation !== undefined) pool.#serve(shard, incarnation);
    }
    return pool;
  }

  /** The owners that serve now or served last, by shard. */
  get owners(): readonly OwnerId[] {
    return this.#owners;
  }

  /** Commits and answers what was accepted, then ends the threads. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const message: Control = { type: 'stop' };
    for (const incarnation of this.#serving) incarnation?.control.postMessage(message);
    await Promise.all(this.#serving.map(async (incarnation) => incarnation?.end));
    await Promise.all(this.#watches);
    await this.#piscina.destroy();
  }

  /** Starts a thread for the owner, with channels to all shards that are there. */
  #launch(shard: number, ownerId: OwnerId): Incarnation {
    const { databaseUrl, limits, windowLinesMax, logLevel } = this.#options;
    const { statementTimeoutMs, silenceMsMax } = this.#options;
    const router = new MessageChannel();
    const control = new MessageChannel();
    const peers: Peer[] = [];
    for (const [other, incarnation] of this.#serving.entries()) {
      if (incarnation === null) continue;
      const { port1, port2 } = new MessageChannel();
      const message: Control = { type: 'peer', peer: { shard, ownerId, port: port1 } };
      incarnation.control.postMessage(message, [port1]);
      peers.push({ shard: other, ownerId: incarnation.ownerId, port: port2 });
    }
    const shards = this.#serving.length;
    const task: ShardTask = {
      shard,
      shards,
      ownerId,
      partitions: partitionsOf(shard, shards),
      databaseUrl,
      limits,
      windowLinesMax,
      statementTimeoutMs,
      silenceMsMax,
      logLevel,
      routers: [router.port2],
      control: control.port2,
      peers,
    };
    const incarnation: Incarnation = {
      ownerId,
      router: router.port1,
      control: control.port1,
      end: run(this.#piscina, task),
    };
    this.#owners[shard] = ownerId;
    this.#serving[shard] = incarnation;
    return incarnation;
  }

  #serve(shard: number, incarnation: Incarnation): void {
    this.#options.onServing(shard, incarnation.router);
    this.#watches.push(this.#watch(shard, incarnation));
  }

  /** Waits for the end of the shard and replaces it, until the pool stops or is fenced. */
  async #watch(shard: number, first: Incarnation): Promise<void> {
    let incarnation = first;
    let servedSince: number | null = performance.now();
    let retryMs = RETRY_MS_MIN;
    for (;;) {
      const end = await incarnation.end;
      incarnation.control.close();
      if (this.#stopping.signal.aborted) return;
      this.#serving[shard] = null;
      if (end.type === 'fenced') {
        this.#end(end);
        return;
      }
      this.#options.onLost(shard, describeEnd(end));
      const lost: Control = { type: 'peer-lost', shard };
      for (const other of this.#serving) other?.control.postMessage(lost);
      const steady = servedSince !== null && performance.now() - servedSince > STEADY_MS;
      servedSince = null;
      if (steady) retryMs = RETRY_MS_MIN;
      else await this.#pause(retryMs);
      retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
      const next = await this.#replace(shard, incarnation.ownerId);
      if (next === null) return;
      incarnation = next;
      if ((await readyOrEnd(incarnation)) !== null) continue;
      servedSince = performance.now();
      this.#options.onServing(shard, incarnation.router);
    }
  }

  /** Null when the pool stops, or another node fenced the owner. */
  async #replace(shard: number, former: OwnerId): Promise<Incarnation | null> {
    while (!this.#stopping.signal.aborted) {
      try {
        const replaced = await this.#options.replaceOwner({ shard, former });
        if (this.#stopping.signal.aborted) return null;
        if ('owner' in replaced) return this.#launch(shard, replaced.owner);
        this.#end({ type: 'fenced', by: replaced.fencedBy });
        return null;
      } catch (error) {
        this.#options.onLost(shard, `not replaced yet: ${String(error)}`);
        await this.#pause(RETRY_MS_MAX / 4);
      }
    }
    return null;
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}

export function describeEnd(end: ShardEnd): string {
  if (end.type === 'fenced') return `fenced by ${end.by}`;
  return end.type === 'failed' ? end.reason : end.type;
}

/** Null when the shard serves. */
function readyOrEnd(incarnation: Incarnation): Promise<ShardEnd | null> {
  const ready = once(incarnation.router, 'message').then(() => null);
  return Promise.race([ready, incarnation.end]);
}

/** A thread that dies without a word is an end like any other. */
async function run(piscina: Piscina, task: ShardTask): Promise<ShardEnd> {
  try {
    // Piscina takes an array; its types, made for older Node types, ask for a property as well.
    const ports = [...task.routers, task.control, ...task.peers.map(({ port }) => port)];
    const transferList = Object.assign(ports, { transfer: [] });
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
