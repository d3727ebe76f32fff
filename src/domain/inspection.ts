/**
 * What an operator sees of the engine while it runs. Gathered in the shard threads when somebody
 * asks, at most a few times a second, so that looking costs the orders nothing.
 *
 * Times are milliseconds since the epoch, durations milliseconds. Everything is plain data.
 */
import type { OrderId, OwnerId, PartitionId, ProductId, UserId } from './ids.ts';
import type { RefusalCode, RefusedItem, ShedCode } from './outcome.ts';
import type { ProductStatus } from './product.ts';

export const ACTOR_SORTS = ['depth', 'oldest', 'rate', 'stock'] as const;
/** Deepest mailbox, oldest wait, most orders per second (10 s), or least stock left first. */
export type ActorSort = (typeof ACTOR_SORTS)[number];

/** Committed orders per second, over the last 1, 10 and 60 s. */
export interface Rates {
  readonly s1: number;
  readonly s10: number;
  readonly s60: number;
}

/** Orders that wait for payment, as far as one shard is their home. */
export interface Held {
  /** Units of the product in them. */
  readonly units: number;
  /** Orders that expire within the next 10 and 60 s. */
  readonly lapsing10s: number;
  readonly lapsing60s: number;
}

/** One product's actor as its shard sees it. */
export interface ActorView {
  readonly productId: ProductId;
  /** Null when there is no such product, or it is being loaded. */
  readonly name: string | null;
  readonly status: ProductStatus | null;
  readonly shard: number;
  readonly partition: PartitionId;
  readonly ownerId: OwnerId;
  readonly mailbox: {
    readonly depth: number;
    /** Orders are shed above this depth: half of what is free in the shard, at this moment. */
    readonly bound: number;
    /** Age of the oldest command; null when the mailbox is empty. */
    readonly oldestMs: number | null;
  };
  /** Decisions in the open batch, not yet flushed. */
  readonly decided: number;
  /** Decisions in batches on their way to PostgreSQL. */
  readonly committing: number;
  readonly stock: {
    /** Units that can be promised now. */
    readonly available: number;
    /** Units in orders that wait for payment; null while the shard is still loading those. */
    readonly held: number | null;
    /** Units in orders that are paid or further; null when `held` is. */
    readonly sold: number | null;
  };
  /** Orders that expire soon; null when `stock.held` is. */
  readonly lapsing: { readonly within10s: number; readonly within60s: number } | null;
  readonly ordersPerSecond: Rates;
  /** Refused lines by reason since the actor is in memory; reasons that never occurred are absent. */
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
  /** The last one given. */
  readonly sequence: number;
  /** When the stock will be gone at the pace of the last 10 s; null when nothing is being sold. */
  readonly soldOutAt: number | null;
}

/** What an actor's shard alone can say; `Inspector` adds what the other shards hold of it. */
export interface ActorPart extends Omit<ActorView, 'stock' | 'lapsing'> {
  readonly available: number;
  /** Units in all live orders. */
  readonly live: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** What a shard thread tells of itself. */
export interface ShardPart {
  readonly ownerId: OwnerId;
  /** It can prove that it owns its products. */
  readonly proven: boolean;
  /** In memory. */
  readonly actors: number;
  readonly mailbox: {
    /** Undecided commands, and how many may be. */
    readonly depth: number;
    readonly bound: number;
    readonly oldestMs: number | null;
  };
  /** Decisions in the open batch. */
  readonly decided: number;
  /** Batches on their way to PostgreSQL. */
  readonly inFlight: number;
  /** Orders waiting for other shards, and holds for orders of other shards. */
  readonly attempts: number;
  readonly holds: number;
  /** Orders that wait for payment; null while they are being loaded. */
  readonly unpaid: number | null;
  /** Orders in the idempotency window. */
  readonly window: number;
  readonly totals: ShardTotals;
  readonly eventLoop: {
    /** Delay since the last look. */
    readonly delayMs: Percentiles;
    /** Since the last look, 0 to 1. */
    readonly utilization: number;
  };
  readonly heapBytes: number;
}

/** Since the owner began. */
export interface ShardTotals {
  /** Orders committed, and units in them as far as this shard owns their products. */
  readonly orders: number;
  readonly units: number;
  readonly replayed: number;
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
  /** Commands that this shard shed, by code. */
  readonly shed: Readonly<Partial<Record<ShedCode, number>>>;
  /** Orders that expired. */
  readonly lapsed: number;
}

export interface ShardView {
  readonly shard: number;
  readonly partitions: number;
  /** `silent`: its thread did not answer within a second. */
  readonly state: 'serving' | 'unproven' | 'replacing' | 'silent';
  /** The one that serves or served last. */
  readonly ownerId: OwnerId;
  /** Since the process began. */
  readonly restarts: number;
  /** Of its last batches (`BATCHES_KEPT`); null when there were none. */
  readonly batches: {
    readonly perSecond: number;
    readonly orders: Percentiles;
    /** From sending to COMMIT, of those that committed. */
    readonly commitMs: Percentiles;
  } | null;
  /** Null unless it answered. */
  readonly inside: ShardPart | null;
}

/** The newest batches of each shard that are remembered. */
export const BATCHES_KEPT = 200;

/** An order of a batch whose request is traced. */
export interface TracedOrder {
  /** Of the request's span. */
  readonly traceparent: string;
  readonly orderId: OrderId;
  readonly receivedAt: number;
  readonly decidedAt: number;
}

/** One try to commit a batch, told when it ended. */
export interface BatchRecord {
  readonly shard: number;
  readonly ownerId: OwnerId;
  /** With `ownerId` the batch's name. */
  readonly no: number;
  /** When it was sent. */
  readonly sentAt: number;
  readonly orders: number;
  /** Changes of stock, statuses and products. */
  readonly changes: number;
  /** From its first decision to its sending. */
  readonly waitMs: number;
  /** Parts of the transaction by PostgreSQL's clock; null unless it committed. */
  readonly copyMs: number | null;
  readonly mergeMs: number | null;
  /** What is left of `totalMs`: COMMIT, and the way there and back. */
  readonly commitMs: number | null;
  /** From sending to its end. */
  readonly totalMs: number;
  readonly outcome: 'committed' | 'aborted' | 'unknown';
  /** Why it aborted. */
  readonly cause: 'fenced' | 'rejected' | 'passing' | null;
  readonly traced: readonly TracedOrder[];
}

/** A refusal that is remembered for its customer; see `REFUSALS_KEPT_MS`. */
export interface RefusalRecord {
  readonly id: OrderId;
  readonly code: RefusalCode;
  readonly decidedAt: number;
  readonly items: readonly (RefusedItem & {
    /** Places in the product's order of service that were given before. */
    readonly ahead: number;
  })[];
}

/** How long a shard remembers why it refused a key, and how many of them at most. */
export const REFUSALS_KEPT_MS = 900_000;
export const REFUSALS_KEPT_MAX = 50_000;

/** What one asks a shard thread, and what it answers. */
export interface Inspections {
  readonly shard: { readonly query: null; readonly reply: ShardPart };
  readonly actors: {
    readonly query: { readonly sort: ActorSort; readonly limit: number };
    readonly reply: readonly ActorPart[];
  };
  /** Null: it is not in memory. */
  readonly actor: { readonly query: ProductId; readonly reply: ActorPart | null };
  /** By product, those of the list of which something is held; null while it is being loaded. */
  readonly held: {
    readonly query: readonly ProductId[];
    readonly reply: ReadonlyMap<ProductId, Held> | null;
  };
  readonly refusal: { readonly query: OrderId; readonly reply: RefusalRecord | null };
}

/** Answers come from the shards, and may be as old as half a second. Never rejects. */
export interface Inspector {
  /** Sorted, at most `limit`; without those of shards that are silent. */
  actors(query: {
    readonly sort: ActorSort;
    readonly limit: number;
  }): Promise<readonly ActorView[]>;
  /** Undefined when it is not in memory, or its shard is silent. */
  actor(id: ProductId): Promise<ActorView | undefined>;
  shards(): Promise<readonly ShardView[]>;
  /** The last ones, newest first. */
  batches(limit: number): readonly BatchRecord[];
  /**
   * Why the order of this key was refused lately; undefined when that is not known, or not any more.
   * It says nothing of a key that was used again later: ask for an accepted order first.
   */
  refusal(order: {
    readonly userId: UserId;
    readonly key: string;
  }): Promise<RefusalRecord | undefined>;
}

/** What an operator may do to the engine itself. */
export interface EngineControl {
  /**
   * Ends a shard's owner, after it has committed what it accepted if it can within two seconds, else
   * together with its thread. Resolves with the owner that serves in its place: undefined when none
   * does in time.
   *
   * @throws RangeError when there is no such shard.
   */
  restartShard(shard: number): Promise<OwnerId | undefined>;
}
