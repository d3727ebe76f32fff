/** What the page knows: the last event, and for five minutes what came before it. No DOM in here. */
import type { ActorJson, BatchJson, ShardJson, StateJson } from './admin-api.ts';
import { GAP_MS, Histories, History, HISTORY_SPAN_MS } from './history.ts';

/** Rows of the list of actors, and so what is asked for. */
export const ACTORS_SHOWN = 40;
/** The newest batches. */
export const BATCHES_SHOWN = 200;
/** As many as there can be (SHARDS). */
const SHARDS_MAX = 64;
/** A rate is taken over this time: the totals it is made of may be half a second old. */
const RATE_WINDOW_MS = 3_000;
/** Totals older than this are of before the connection was lost. */
const TOTALS_KEPT_MS = 8_000;
/** Batches of before the stream are drawn to the second; told ones may be late by as much. */
const SECOND_MS = 1_000;

export type ActorColumn = 's1' | 's10' | 'depth';
export type ShardColumn = 'depth' | 'orders' | 'ordersMost' | 'total' | 'totalMost';
export type EngineColumn = 'orders' | 'refused' | 'shed';
export type EngineRates = Readonly<Record<EngineColumn, number | null>>;

const NO_RATES: EngineRates = { orders: null, refused: null, shed: null };

interface Totals {
  readonly at: number;
  readonly byOwner: ReadonlyMap<number, Readonly<Record<EngineColumn, number>>>;
}

export class LiveState {
  latest: StateJson | null = null;
  /** By the server's clock, milliseconds since the epoch. */
  at = 0;
  /** The product that the last event was asked about. */
  followed: string | null = null;
  rates: EngineRates = NO_RATES;
  readonly engine = new History<EngineColumn>(['orders', 'refused', 'shed']);
  readonly #actors = new Histories<string, ActorColumn>(['s1', 's10', 'depth'], ACTORS_SHOWN + 1);
  readonly #shards = new Histories<number, ShardColumn>(
    ['depth', 'orders', 'ordersMost', 'total', 'totalMost'],
    SHARDS_MAX,
  );
  #batches: readonly BatchJson[] = [];
  #totals: readonly Totals[] = [];

  /** Newest first. */
  get batches(): readonly BatchJson[] {
    return this.#batches;
  }

  actorHistory(productId: string): History<ActorColumn> | undefined {
    return this.#actors.get(productId);
  }

  shardHistory(shard: number): History<ShardColumn> | undefined {
    return this.#shards.get(shard);
  }

  /** The actor as the last event has it, whether it was asked for or is among the hottest. */
  actor(productId: string): ActorJson | undefined {
    const asked = this.latest?.actor;
    if (asked?.product_id === productId) return asked;
    return this.latest?.actors.find((actor) => actor.product_id === productId);
  }

  shard(shard: number): ShardJson | undefined {
    return this.latest?.shards.find((view) => view.shard === shard);
  }

  /** `followed`: the product that the stream was opened for. */
  apply(event: StateJson, followed: string | null): void {
    this.latest = event;
    this.at = Date.parse(event.at);
    this.followed = followed;
    const fresh = this.addBatches(event.batches);
    this.#pushActors(event);
    this.#pushShards(event.shards, fresh);
    this.#pushEngine(event);
  }

  /** Of one batch told twice, once. The new ones are returned. */
  addBatches(batches: readonly BatchJson[]): readonly BatchJson[] {
    const known = new Set(this.#batches.map(batchName));
    const fresh = batches.filter((batch) => !known.has(batchName(batch)));
    if (fresh.length === 0) return fresh;
    const all = [...fresh, ...this.#batches];
    all.sort((a, b) => Date.parse(b.sent_at) - Date.parse(a.sent_at));
    this.#batches = all.slice(0, BATCHES_SHOWN);
    return fresh;
  }

  #pushActors({ actors, actor }: StateJson): void {
    const shown = new Map(
      [...actors, ...(actor === null ? [] : [actor])].map((it) => [it.product_id, it]),
    );
    for (const { product_id, orders_per_second, mailbox } of shown.values()) {
      const { s1, s10 } = orders_per_second;
      this.#actors.push(product_id, this.at, { s1, s10, depth: mailbox.depth });
    }
  }

  #pushShards(shards: readonly ShardJson[], batches: readonly BatchJson[]): void {
    const byShard = Map.groupBy(batches, ({ shard }) => shard);
    for (const { shard, inside } of shards) {
      const last = this.#shards.get(shard)?.times.at(-1);
      const byTime = batchesByTime(byShard.get(shard) ?? [], { at: this.at, last });
      const now = byTime.get(this.at) ?? [];
      byTime.delete(this.at);
      for (const [time, before] of [...byTime].toSorted(([a], [b]) => a - b)) {
        this.#shards.push(shard, time, { depth: null, ...figuresOf(before) });
      }
      const depth = inside?.mailbox.depth ?? null;
      this.#shards.push(shard, this.at, { depth, ...figuresOf(now) });
    }
  }

  #pushEngine({ shards }: StateJson): void {
    const now: Totals = { at: this.at, byOwner: totalsOf(shards) };
    const before = this.#totals.filter(({ at }) => at < now.at && at > now.at - TOTALS_KEPT_MS);
    const since = before.findLast(({ at }) => at <= now.at - RATE_WINDOW_MS) ?? before[0];
    this.#totals = [...before, now];
    this.rates = since === undefined ? NO_RATES : ratesBetween(since, now);
    this.engine.push(this.at, this.rates);
  }
}

export function batchName({ owner_id, no }: BatchJson): string {
  return `${owner_id} ${no}`;
}

/**
 * Where batches are drawn. While the stream goes on they belong to its event, also those that were
 * sent before the last one: a slow commit must be seen. A stream that begins tells older ones.
 */
function batchesByTime(
  batches: readonly BatchJson[],
  { at, last = at - HISTORY_SPAN_MS }: { readonly at: number; readonly last: number | undefined },
): Map<number, BatchJson[]> {
  const endOf = ({ sent_at, total_ms }: BatchJson) => Math.min(at, Date.parse(sent_at) + total_ms);
  if (at - last <= GAP_MS) {
    const own = batches.filter((batch) => endOf(batch) > last - SECOND_MS);
    return new Map([[at, own]]);
  }
  const later = batches.filter((batch) => Date.parse(batch.sent_at) > last);
  return Map.groupBy(later, ({ sent_at }) => {
    const age = Math.max(0, at - Date.parse(sent_at));
    return at - Math.floor(age / SECOND_MS) * SECOND_MS;
  });
}

function figuresOf(
  batches: readonly BatchJson[],
): Omit<Record<ShardColumn, number | null>, 'depth'> {
  const orders = batches.map((batch) => batch.orders + batch.changes);
  const committed = batches.filter(({ outcome }) => outcome === 'committed');
  const total = committed.map(({ total_ms }) => total_ms);
  return {
    orders: median(orders),
    ordersMost: most(orders),
    total: median(total),
    totalMost: most(total),
  };
}

function totalsOf(shards: readonly ShardJson[]): Totals['byOwner'] {
  return new Map(
    shards.flatMap(({ owner_id, inside }) =>
      inside === null
        ? []
        : [
            [
              owner_id,
              {
                orders: inside.totals.orders,
                refused: sum(Object.values(inside.totals.refused)),
                shed: sum(Object.values(inside.totals.shed)),
              },
            ],
          ],
    ),
  );
}

/** Of the owners seen both times: one that was silent the first time did not gain all it has. */
function ratesBetween(since: Totals, now: Totals): EngineRates {
  const seconds = (now.at - since.at) / 1000;
  const rate = (name: EngineColumn) => {
    const gained = [...now.byOwner].map(
      ([owner, totals]) => totals[name] - (since.byOwner.get(owner)?.[name] ?? totals[name]),
    );
    return Math.max(0, sum(gained)) / seconds;
  };
  return { orders: rate('orders'), refused: rate('refused'), shed: rate('shed') };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, it) => total + it, 0);
}

function most(numbers: readonly number[]): number | null {
  return numbers.length === 0 ? null : Math.max(...numbers);
}

function median(numbers: readonly number[]): number | null {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? null;
}
