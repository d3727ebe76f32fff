/**
 * The committed rows, and what db/merge.sql and the reads of a shard promise about them. Every
 * method is one transaction that takes effect at once; the time before and after it, and whatever
 * goes wrong on the way, are the business of whoever calls it.
 */
import type {
  AbortCause,
  Batch,
  Committed,
  DecidedOrder,
  ExpiringOrder,
  StoredEffect,
} from '../../src/domain/batch.ts';
import { shardOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, ProductId } from '../../src/domain/ids.ts';
import type { ProductState } from '../../src/domain/product.ts';
import { effectOf, mergeBatch, Rejection } from './fake-merge.ts';
import type { OrderRow, Rows } from './fake-merge.ts';
import { FakeShop } from './fake-shop.ts';

export type MergeEnd =
  | { readonly type: 'committed'; readonly committed: Committed }
  | { readonly type: 'aborted'; readonly cause: AbortCause };

export interface BatchName {
  readonly ownerId: OwnerId;
  readonly no: number;
}

export class FakePostgres {
  readonly orders = new Map<OrderId, OrderRow>();
  readonly shop = new FakeShop();
  readonly #rows: Rows;
  readonly #batches = new Map<string, MergeEnd>();
  readonly #fenced = new Set<OwnerId>();
  /** By shard: everything that expired until then was proven to be settled. */
  readonly #watermarks = new Map<number, number>();
  readonly #shards: number;
  #lastOwner = 0;

  constructor(shards: number, products: readonly ProductState[]) {
    this.#shards = shards;
    this.#rows = {
      products: new Map(products.map((product) => [product.id, product])),
      orders: this.orders,
      keyedEffects: new Map<string, StoredEffect>(),
      shop: this.shop,
    };
  }

  /** Fences the former owner and names a new one. */
  takeOver(former: OwnerId | null): OwnerId {
    if (former !== null) this.#fenced.add(former);
    this.#lastOwner += 1;
    return this.#lastOwner as OwnerId;
  }

  fence(owner: OwnerId): void {
    this.#fenced.add(owner);
  }

  isFenced(owner: OwnerId): boolean {
    return this.#fenced.has(owner);
  }

  /** By hand, behind the engine's back; at most what is there. Returns the units. */
  lowerStock(id: ProductId, units: number): number {
    const { products } = this.#rows;
    const row = products.get(id);
    if (row === undefined) throw new Error(`there is no product ${id}`);
    const taken = Math.min(units, row.stock);
    products.set(id, { ...row, stock: row.stock - taken, supplied: row.supplied - taken });
    return taken;
  }

  merge(batch: Batch): MergeEnd {
    const name = batchKey(batch);
    // The plain insert of its own name: once that is claimed, the batch can never commit.
    if (this.#batches.has(name)) return { type: 'aborted', cause: { type: 'passing' } };
    const owners = batch.owners.filter((owner) => this.#fenced.has(owner));
    if (owners.length > 0) return { type: 'aborted', cause: { type: 'fenced', owners } };
    try {
      const end: MergeEnd = { type: 'committed', committed: mergeBatch(this.#rows, batch) };
      this.#batches.set(name, end);
      return end;
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      return { type: 'aborted', cause: { type: 'rejected', id: error.id } };
    }
  }

  /** Claims the name of a batch as aborted, or tells how it ended. */
  resolve(name: BatchName): MergeEnd {
    const key = batchKey(name);
    const ended = this.#batches.get(key);
    if (ended !== undefined) return ended;
    const aborted: MergeEnd = { type: 'aborted', cause: { type: 'passing' } };
    this.#batches.set(key, aborted);
    return aborted;
  }

  products(ids: readonly ProductId[]): ProductState[] {
    return ids.flatMap((id) => this.#rows.products.get(id) ?? []);
  }

  effects(ids: readonly string[]): StoredEffect[] {
    return ids.flatMap((id) => effectOf(this.#rows, id) ?? []);
  }

  /** Products that the batches of an owner freed units of. */
  freedBy(owner: OwnerId): ProductId[] {
    const ends = [...this.#batches].filter(([name]) => name.startsWith(`${owner}/`));
    const freed = ends.flatMap(([, end]) => (end.type === 'committed' ? end.committed.freed : []));
    return [...new Set(freed.map(({ productId }) => productId))];
  }

  /** Orders whose home is `shard`, the newest last. */
  homeOrders(shard: number): DecidedOrder[] {
    const rows = [...this.orders.values()].map(({ decided }) => decided);
    return rows.filter(({ homePartition }) => shardOf(homePartition, this.#shards) === shard);
  }

  expiredUntil(shard: number, time: number): void {
    this.#watermarks.set(shard, Math.max(time, this.#watermarks.get(shard) ?? 0));
  }

  /** What expires after `after`, and all that expires at the same time as the last one (WITH TIES). */
  expiring(query: {
    readonly shard: number;
    readonly after: number | null;
    readonly max: number;
  }): {
    readonly orders: readonly ExpiringOrder[];
    readonly complete: boolean;
  } {
    const { shard, max } = query;
    const after = Math.max(query.after ?? 0, this.#watermarks.get(shard) ?? 0);
    const all: ExpiringOrder[] = [];
    for (const { decided, status } of this.orders.values()) {
      const { command, homePartition, order } = decided;
      if (shardOf(homePartition, this.#shards) !== shard) continue;
      if (status !== 'WAITING_PAYMENT' || order.expiresAt <= after) continue;
      all.push({ orderId: command.id, expiresAt: order.expiresAt, lines: command.lines });
    }
    all.sort((a, b) => a.expiresAt - b.expiresAt);
    const last = all[max - 1]?.expiresAt ?? Infinity;
    const orders = all.filter((order) => order.expiresAt <= last);
    return { orders, complete: orders.length === all.length };
  }
}

function batchKey({ ownerId, no }: BatchName): string {
  return `${ownerId}/${no}`;
}
