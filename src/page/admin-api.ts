/**
 * What the admin routes send, as the page reads it: JSON of the service that serves the page too,
 * so its shape is trusted. Texts in it are not: they are shown with textContent only.
 *
 * Times are RFC 3339, durations milliseconds.
 */

export const ACTOR_SORTS = ['rate', 'depth', 'oldest', 'stock'] as const;
export type ActorSort = (typeof ACTOR_SORTS)[number];

export type Counts = Readonly<Record<string, number>>;

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

export interface MailboxJson {
  readonly depth: number;
  readonly bound: number;
  readonly oldest_ms: number | null;
}

/** What is null of a product that is not in memory is not known. */
type Known<Fields> = { readonly [Name in keyof Fields]: Fields[Name] | null };

export interface StockJson {
  readonly available: number;
  /** Null while the shard still loads its unpaid orders, as is `sold`. */
  readonly held: number | null;
  readonly sold: number | null;
}

export interface ActorJson {
  readonly product_id: string;
  readonly name: string | null;
  readonly status: string | null;
  readonly shard: number | null;
  readonly partition: number;
  readonly owner_id: number | null;
  readonly mailbox: Known<MailboxJson>;
  readonly decided: number | null;
  readonly committing: number | null;
  readonly stock: StockJson;
  readonly lapsing: { readonly within_10s: number; readonly within_60s: number } | null;
  readonly orders_per_second: Known<Record<'s1' | 's10' | 's60', number>>;
  readonly refused: Counts;
  readonly sequence: number | null;
  readonly sold_out_at: string | null;
}

export interface ShardTotalsJson {
  readonly orders: number;
  readonly units: number;
  readonly replayed: number;
  readonly refused: Counts;
  readonly shed: Counts;
  readonly lapsed: number;
}

export interface ShardInsideJson {
  readonly proven: boolean;
  readonly actors: number;
  readonly mailbox: MailboxJson;
  readonly decided: number;
  readonly in_flight: number;
  readonly attempts: number;
  readonly holds: number;
  readonly unpaid: number | null;
  readonly window: number;
  readonly totals: ShardTotalsJson;
  readonly event_loop: { readonly delay_ms: Percentiles; readonly utilization: number };
  readonly heap_bytes: number;
}

export interface ShardJson {
  readonly shard: number;
  readonly partitions: number;
  readonly state: 'serving' | 'unproven' | 'replacing' | 'silent';
  readonly owner_id: number;
  readonly restarts: number;
  readonly batches: {
    readonly per_second: number;
    readonly orders: Percentiles;
    readonly commit_ms: Percentiles;
  } | null;
  /** Null unless its thread answered. */
  readonly inside: ShardInsideJson | null;
}

export interface BatchJson {
  readonly owner_id: number;
  readonly no: number;
  readonly shard: number;
  readonly sent_at: string;
  readonly orders: number;
  readonly changes: number;
  readonly wait_ms: number;
  /** Null unless it committed, as are the next two. */
  readonly copy_ms: number | null;
  readonly merge_ms: number | null;
  readonly commit_ms: number | null;
  readonly total_ms: number;
  readonly outcome: 'committed' | 'aborted' | 'unknown';
  readonly cause: string | null;
}

/** One event of GET /admin/events. */
export interface StateJson {
  readonly at: string;
  readonly actors: readonly ActorJson[];
  readonly shards: readonly ShardJson[];
  /** Those since the last event, newest first. */
  readonly batches: readonly BatchJson[];
  /** Of the product asked for; null when it is not in memory. */
  readonly actor: ActorJson | null;
}

export interface ActionJson {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly reason: string | null;
  readonly author: string;
  readonly created_at: string;
  /** `done`, an error code, or null while it is under way or was cut off. */
  readonly outcome: string | null;
}

export interface PageJson<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

export interface SessionJson {
  readonly token: string;
  readonly expires_at: string;
  readonly user: { readonly email: string; readonly username: string; readonly role: string };
}

/** The members of a problem document that the page shows. */
export interface ProblemJson {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly request_id?: string;
}
