/**
 * The Inspector of this process: asks the shard threads, puts their parts together, and remembers
 * their last batches.
 *
 * Looking must cost the orders nothing, however many look: an answer serves everybody for
 * `CACHE_MS`, and the same shards are asked for the same list whatever its limit. A shard that does
 * not answer in time is left out, or named as silent.
 *
 * I9 `ACTORS_MAX` of a list, `SINGLES_MAX` single actors, `BATCHES_KEPT` batches of a shard.
 */
import { LRUCache } from 'lru-cache';
import { effectId } from '../db/effect-id.ts';
import { partitionOf, shardOf } from '../domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../domain/ids.ts';
import { ACTOR_SORTS } from '../domain/inspection.ts';
import type {
  ActorPart,
  ActorSort,
  ActorView,
  BatchRecord,
  Held,
  Inspections,
  Inspector,
  RefusalRecord,
  ShardView,
} from '../domain/inspection.ts';
import { BatchRing } from './batch-ring.ts';
import type { SupervisedShard } from './shard-pool.ts';
import type { Ask } from './shard-task.ts';

/** Milliseconds for which an answer is used again. */
const CACHE_MS = 500;
/** Of the actors, as many as a page can show. */
const ACTORS_MAX = 100;
/** Single actors whose answers are kept. */
const SINGLES_MAX = 64;

/** What is asked: a ShardPool. */
export interface Shards {
  /** By shard. */
  readonly shards: readonly SupervisedShard[];
  ask<A extends Ask>(
    shard: number,
    ask: A,
    query: Inspections[A]['query'],
  ): Promise<Inspections[A]['reply'] | undefined>;
}

export interface ShardInspectorOptions {
  /** Of shards. */
  readonly count: number;
  /** Null while they do not run. */
  readonly running: () => Shards | null;
  /** A clock that is never set, milliseconds. */
  readonly now: () => number;
}

export class ShardInspector implements Inspector {
  readonly #options: ShardInspectorOptions;
  readonly #rings: readonly BatchRing[];
  readonly #lists: Cache<ActorSort, readonly ActorView[]>;
  readonly #singles: Cache<ProductId, ActorView | undefined>;
  readonly #views: Cache<'all', readonly ShardView[]>;

  constructor(options: ShardInspectorOptions) {
    this.#options = options;
    const { count, now } = options;
    this.#rings = Array.from({ length: count }, () => new BatchRing());
    const fresh = { ttl: CACHE_MS, ttlResolution: 0, perf: { now } };
    this.#lists = new LRUCache({ ...fresh, max: ACTOR_SORTS.length });
    this.#singles = new LRUCache({ ...fresh, max: SINGLES_MAX });
    this.#views = new LRUCache({ ...fresh, max: 1 });
  }

  /** A shard told of a batch. */
  add(record: BatchRecord): void {
    this.#rings[record.shard]?.add(record, this.#options.now());
  }

  /** What was answered before is true no more. */
  forget(): void {
    for (const cache of [this.#lists, this.#singles, this.#views]) cache.clear();
  }

  async actors(query: {
    readonly sort: ActorSort;
    readonly limit: number;
  }): Promise<readonly ActorView[]> {
    const { sort, limit } = query;
    const shards = this.#options.running();
    if (shards === null) return [];
    const views = await once(this.#lists, sort, () => listActors(shards, sort));
    return views.slice(0, limit);
  }

  async actor(id: ProductId): Promise<ActorView | undefined> {
    const shards = this.#options.running();
    return shards === null ? undefined : once(this.#singles, id, () => findActor(shards, id));
  }

  async shards(): Promise<readonly ShardView[]> {
    const shards = this.#options.running();
    if (shards === null) return [];
    return once(this.#views, 'all', () => {
      return Promise.all(shards.shards.map((_, shard) => this.#shard(shards, shard)));
    });
  }

  /** Without their traced orders. */
  batches(limit: number): readonly BatchRecord[] {
    return this.#rings
      .flatMap((ring) => ring.kept)
      .toSorted((a, b) => b.toldAt - a.toldAt)
      .slice(0, limit)
      .map(({ record }) => record);
  }

  /** Its home shard remembers it, and which one that was is as little known as its products. */
  async refusal(order: {
    readonly userId: UserId;
    readonly key: string;
  }): Promise<RefusalRecord | undefined> {
    const shards = this.#options.running();
    if (shards === null) return undefined;
    const id: OrderId = effectId(order.userId, order.key);
    let latest: RefusalRecord | undefined;
    for (const record of await askAll(shards, 'refusal', id)) {
      if (record === undefined || record === null) continue;
      if (latest === undefined || record.decidedAt > latest.decidedAt) latest = record;
    }
    return latest;
  }

  async #shard(shards: Shards, shard: number): Promise<ShardView> {
    const inside = await shards.ask(shard, 'shard', null);
    // Looked up after the question, over which it may have died.
    const supervised = shards.shards[shard];
    if (supervised === undefined) throw new Error(`there is no shard ${shard}`);
    const { ownerId, partitions, restarts, serves } = supervised;
    return {
      shard,
      partitions,
      state: stateOf(serves, inside),
      ownerId,
      restarts,
      batches: this.#rings[shard]?.summary(this.#options.now()) ?? null,
      inside: serves ? (inside ?? null) : null,
    };
  }
}

/** By shard; undefined where one does not answer. */
function askAll<A extends Ask>(
  shards: Shards,
  ask: A,
  query: Inspections[A]['query'],
): Promise<readonly (Inspections[A]['reply'] | undefined)[]> {
  return Promise.all(shards.shards.map((_, shard) => shards.ask(shard, ask, query)));
}

async function listActors(shards: Shards, sort: ActorSort): Promise<readonly ActorView[]> {
  const answers = await askAll(shards, 'actors', { sort, limit: ACTORS_MAX });
  const parts = answers
    .flatMap((answer) => answer ?? [])
    .toSorted(ORDERS[sort])
    .slice(0, ACTORS_MAX);
  // Who is silent would be asked in vain once more.
  const ids = parts.map(({ productId }) => productId);
  const held = answers.includes(undefined) ? null : await findHeld(shards, ids);
  return parts.map((part) => viewOf(part, held));
}

async function findActor(shards: Shards, id: ProductId): Promise<ActorView | undefined> {
  const shard = shardOf(partitionOf(id), shards.shards.length);
  const [part, held] = await Promise.all([shards.ask(shard, 'actor', id), findHeld(shards, [id])]);
  return part === undefined || part === null ? undefined : viewOf(part, held);
}

/** An order is held by its home shard, which need not own the product. Null unless all answer. */
async function findHeld(
  shards: Shards,
  ids: readonly ProductId[],
): Promise<ReadonlyMap<ProductId, Held> | null> {
  const sums = new Map<ProductId, Held>();
  if (ids.length === 0) return sums;
  for (const answer of await askAll(shards, 'held', ids)) {
    if (answer === undefined || answer === null) return null;
    for (const [id, held] of answer) sums.set(id, plus(sums.get(id) ?? NOTHING_HELD, held));
  }
  return sums;
}

const ORDERS: Readonly<Record<ActorSort, (a: ActorPart, b: ActorPart) => number>> = {
  depth: (a, b) => b.mailbox.depth - a.mailbox.depth,
  oldest: (a, b) => (b.mailbox.oldestMs ?? -1) - (a.mailbox.oldestMs ?? -1),
  rate: (a, b) => b.ordersPerSecond.s10 - a.ordersPerSecond.s10,
  stock: (a, b) => a.available - b.available,
};

const NOTHING_HELD: Held = { units: 0, lapsing10s: 0, lapsing60s: 0 };

function plus(a: Held, b: Held): Held {
  return {
    units: a.units + b.units,
    lapsing10s: a.lapsing10s + b.lapsing10s,
    lapsing60s: a.lapsing60s + b.lapsing60s,
  };
}

/** `held` null: it is not known of every shard. */
function viewOf(part: ActorPart, held: ReadonlyMap<ProductId, Held> | null): ActorView {
  const { available, live, ...rest } = part;
  if (held === null) {
    return { ...rest, stock: { available, held: null, sold: null }, lapsing: null };
  }
  const { units, lapsing10s, lapsing60s } = held.get(part.productId) ?? NOTHING_HELD;
  return {
    ...rest,
    // The shards were not asked at the same moment.
    stock: { available, held: units, sold: Math.max(0, live - units) },
    lapsing: { within10s: lapsing10s, within60s: lapsing60s },
  };
}

function stateOf(
  serves: boolean,
  inside: Inspections['shard']['reply'] | undefined,
): ShardView['state'] {
  if (!serves) return 'replacing';
  if (inside === undefined) return 'silent';
  return inside.proven ? 'serving' : 'unproven';
}

type Cache<K extends string, V> = LRUCache<K, Promise<V>>;

/** Also while the answer is under way. */
function once<K extends string, V>(known: Cache<K, V>, key: K, ask: () => Promise<V>): Promise<V> {
  const answer = known.get(key);
  if (answer !== undefined) return answer;
  const asked = ask();
  known.set(key, asked);
  return asked;
}
