/**
 * The supervisor of this process's shard threads.
 *
 * Owns: which owner serves which shard, the channels between the shards. A shard that ends is
 * replaced in place: its owner is fenced in PostgreSQL, a new owner loads what is committed, and the
 * other shards never stop (I5: a channel joins two incarnations, and ends with either of them).
 * A shard that was fenced by another node is not replaced: that node has taken over.
 *
 * A restart is an end that was asked for. Its router is disconnected first, so that what waits there
 * moves to the next owner as if the thread had died, and nobody is told that the service is shutting
 * down (I8); the shard then commits what it has accepted, which the next owner finds (I2, I3).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { PARTITIONS, shardOf } from '../domain/ids.ts';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { BatchRecord, Inspections } from '../domain/inspection.ts';
import { Incarnation } from './incarnation.ts';
import type { ShardHost } from './shard-host.ts';
import type { Ask, Peer, ShardEnd, ShardTask } from './shard-task.ts';

/** Milliseconds before a shard is replaced again, doubled each time until it serves steadily. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1000;
const STEADY_MS = 10_000;

export type ShardPoolOptions = Pick<
  ShardTask,
  'databaseUrl' | 'limits' | 'windowLinesMax' | 'statementTimeoutMs' | 'silenceMsMax' | 'logLevel'
> & {
  readonly host: ShardHost;
  /** Milliseconds for a shard that is restarted to commit what it accepted. */
  readonly drainMsMax: number;
  /** Milliseconds for which a restart is waited for; it goes on beyond that. */
  readonly restartMsMax: number;
  /** By shard. */
  readonly owners: readonly OwnerId[];
  /** A shard serves; `port` leads to it. Whoever served it before is fenced. */
  readonly onServing: (shard: number, port: MessagePort) => void;
  /** A shard ended by itself; `reason` null: it is about to end for a restart. */
  readonly onLost: (shard: number, reason: string | null) => void;
  /** A shard tells of each try to commit a batch. */
  readonly onBatch: (record: BatchRecord) => void;
  /** Fences the shard's former owner and makes another one, unless another node fenced it. */
  readonly replaceOwner: (replacement: {
    readonly shard: number;
    readonly former: OwnerId;
  }) => Promise<{ readonly owner: OwnerId } | { readonly fencedBy: string }>;
};

/** How one shard is doing, as far as its supervisor knows. */
export interface SupervisedShard {
  /** The one that serves now or served last. */
  readonly ownerId: OwnerId;
  readonly partitions: number;
  readonly serves: boolean;
  /** Owners after the first. */
  readonly restarts: number;
}

export class ShardPool {
  /** How the pool ended by itself: by another node's takeover; never rejects. */
  readonly ended: Promise<ShardEnd>;
  readonly #options: ShardPoolOptions;
  /** By shard; null while there is none: the former one is dead, and its owner not yet replaced. */
  readonly #incarnations: (Incarnation | null)[];
  readonly #owners: OwnerId[];
  readonly #restarts: number[];
  /** By shard, while somebody waits for it to be restarted. */
  readonly #awaited = new Map<number, PromiseWithResolvers<OwnerId | undefined>>();
  readonly #watches: Promise<void>[] = [];
  #end: (end: ShardEnd) => void = () => undefined;
  readonly #stopping = new AbortController();

  private constructor(options: ShardPoolOptions) {
    this.#options = options;
    this.#owners = [...options.owners];
    this.#incarnations = options.owners.map(() => null);
    this.#restarts = options.owners.map(() => 0);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /**
   * Resolves when every shard serves, or when one was fenced before it could (`ended` says so);
   * rejects when one fails instead.
   */
  static async start(options: ShardPoolOptions): Promise<ShardPool> {
    const pool = new ShardPool(options);
    const shards = options.owners.map((ownerId, shard) => pool.#launch(shard, ownerId));
    const ends = await Promise.all(shards.map(({ ready }) => ready));
    for (const [shard, end] of ends.entries()) {
      const incarnation = shards[shard];
      if (end?.type === 'failed') {
        await pool.stop();
        throw new Error(`shard ${shard} did not start: ${end.reason}`);
      }
      if (end?.type === 'fenced') pool.#giveUp(end);
      if (end !== null || incarnation === undefined) continue;
      pool.#serve(shard, incarnation);
      pool.#watches.push(pool.#watch(shard, incarnation));
    }
    return pool;
  }

  /** The owners that serve now or served last, by shard. */
  get owners(): readonly OwnerId[] {
    return this.#owners;
  }

  /** By shard. */
  get shards(): readonly SupervisedShard[] {
    return this.#owners.map((ownerId, shard) => ({
      ownerId,
      partitions: partitionsOf(shard, this.#owners.length).length,
      serves: this.#incarnations[shard]?.serves ?? false,
      restarts: this.#restarts[shard] ?? 0,
    }));
  }

  /** Undefined when the shard does not serve, or does not answer. Never rejects. */
  async ask<A extends Ask>(
    shard: number,
    ask: A,
    query: Inspections[A]['query'],
  ): Promise<Inspections[A]['reply'] | undefined> {
    return this.#incarnations[shard]?.ask(ask, query);
  }

  /**
   * The next owner that serves the shard; undefined when none does in time, or when this pool stops or
   * is fenced. A restart while there is one, or while the shard is being replaced, is the same one.
   */
  async restart(shard: number): Promise<OwnerId | undefined> {
    if (this.#owners[shard] === undefined) throw new RangeError(`there is no shard ${shard}`);
    if (this.#stopping.signal.aborted) return undefined;
    const underWay = this.#awaited.get(shard);
    if (underWay !== undefined) return underWay.promise;
    const restart = Promise.withResolvers<OwnerId | undefined>();
    this.#awaited.set(shard, restart);
    const timer = setTimeout(() => restart.resolve(undefined), this.#options.restartMsMax);
    const incarnation = this.#incarnations[shard];
    if (incarnation?.serves === true) void this.#drain(shard, incarnation);
    try {
      return await restart.promise;
    } finally {
      clearTimeout(timer);
      this.#awaited.delete(shard);
    }
  }

  /** Commits and answers what was accepted, then ends the threads. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const { resolve } of this.#awaited.values()) resolve(undefined);
    for (const incarnation of this.#incarnations) incarnation?.tell({ type: 'stop' });
    await Promise.all(this.#incarnations.map(async (incarnation) => incarnation?.end));
    await Promise.all(this.#watches);
    await this.#options.host.destroy();
  }

  /** Starts a thread for the owner, with channels to all shards that are there. */
  #launch(shard: number, ownerId: OwnerId): Incarnation {
    const { host, databaseUrl, limits, windowLinesMax, logLevel, onBatch } = this.#options;
    const { statementTimeoutMs, silenceMsMax } = this.#options;
    const peers: Peer[] = [];
    for (const [other, incarnation] of this.#incarnations.entries()) {
      if (incarnation === null) continue;
      const { port1, port2 } = new MessageChannel();
      incarnation.tell({ type: 'peer', peer: { shard, ownerId, port: port1 } }, [port1]);
      peers.push({ shard: other, ownerId: incarnation.ownerId, port: port2 });
    }
    const shards = this.#owners.length;
    const task = {
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
      peers,
    };
    const incarnation = new Incarnation({ host, task, onBatch });
    this.#owners[shard] = ownerId;
    this.#incarnations[shard] = incarnation;
    return incarnation;
  }

  #serve(shard: number, incarnation: Incarnation): void {
    incarnation.serve();
    this.#options.onServing(shard, incarnation.router);
    this.#awaited.get(shard)?.resolve(incarnation.ownerId);
  }

  /** Ends a shard that serves; whoever watches it replaces it. */
  async #drain(shard: number, incarnation: Incarnation): Promise<void> {
    this.#options.onLost(shard, null);
    incarnation.leave();
    await Promise.race([incarnation.end, this.#pause(this.#options.drainMsMax)]);
    // A process that stops gives its shards the time that it has itself.
    if (!this.#stopping.signal.aborted) incarnation.kill();
  }

  /** Another node has the partitions: nobody is replaced any more. */
  #giveUp(end: ShardEnd): void {
    for (const { resolve } of this.#awaited.values()) resolve(undefined);
    this.#end(end);
  }

  /** Waits for the end of the shard and replaces it, until the pool stops or is fenced. */
  async #watch(shard: number, first: Incarnation): Promise<void> {
    let incarnation = first;
    let servedSince: number | null = performance.now();
    let retryMs = RETRY_MS_MIN;
    for (;;) {
      const end = await incarnation.end;
      if (this.#stopping.signal.aborted) return;
      this.#incarnations[shard] = null;
      if (end.type === 'fenced') {
        this.#giveUp(end);
        return;
      }
      // That it leaves was told before it did.
      if (!incarnation.leaves || end.type === 'failed') {
        this.#options.onLost(shard, describeEnd(end));
      }
      for (const other of this.#incarnations) other?.tell({ type: 'peer-lost', shard });
      const steady = servedSince !== null && performance.now() - servedSince > STEADY_MS;
      servedSince = null;
      if (steady || incarnation.leaves) retryMs = RETRY_MS_MIN;
      else await this.#pause(retryMs);
      retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
      const next = await this.#replace(shard, incarnation.ownerId);
      if (next === null) return;
      incarnation = next;
      if ((await incarnation.ready) !== null) continue;
      servedSince = performance.now();
      this.#serve(shard, incarnation);
    }
  }

  /** Null when the pool stops, or another node fenced the owner. */
  async #replace(shard: number, former: OwnerId): Promise<Incarnation | null> {
    while (!this.#stopping.signal.aborted) {
      try {
        const replaced = await this.#options.replaceOwner({ shard, former });
        if (this.#stopping.signal.aborted) return null;
        if ('owner' in replaced) {
          this.#restarts[shard] = (this.#restarts[shard] ?? 0) + 1;
          return this.#launch(shard, replaced.owner);
        }
        this.#giveUp({ type: 'fenced', by: replaced.fencedBy });
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

function partitionsOf(shard: number, shards: number): PartitionId[] {
  const all = Array.from({ length: PARTITIONS }, (_, id) => id as PartitionId);
  return all.filter((partition) => shardOf(partition, shards) === shard);
}
