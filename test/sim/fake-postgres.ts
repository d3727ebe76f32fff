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
  StatusChange,
  StoredEffect,
} from '../../src/domain/batch.ts';
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, ProductId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { FreedUnits, ProductState } from '../../src/domain/product.ts';

export type MergeEnd =
  | { readonly type: 'committed'; readonly committed: Committed }
  | { readonly type: 'aborted'; readonly cause: AbortCause };

export interface BatchName {
  readonly ownerId: OwnerId;
  readonly no: number;
}

interface OrderRow {
  readonly decided: DecidedOrder;
  readonly ownerId: OwnerId;
  status: OrderStatus;
}

/** The CHECK of a product's stock, or (null) one id twice in a batch. */
class Rejection extends Error {
  readonly id: ProductId | null;

  constructor(id: ProductId | null) {
    super(`rejected because of ${id}`);
    this.id = id;
  }
}

/** Products as one transaction sees and changes them. */
class ProductRows {
  readonly rows: Map<ProductId, ProductState>;

  constructor(committed: ReadonlyMap<ProductId, ProductState>) {
    this.rows = new Map(committed);
  }

  add(id: ProductId, delta: number, sequence = 0): ProductState {
    const row = this.rows.get(id);
    if (row === undefined) throw new Error(`a batch holds the unknown product ${id}`);
    const stock = row.stock + delta;
    if (stock < 0) throw new Rejection(id);
    const stockVersion = row.stockVersion + 1;
    const changed = { ...row, stock, stockVersion, sequence: Math.max(row.sequence, sequence) };
    this.rows.set(id, changed);
    return changed;
  }
}

export class FakePostgres {
  readonly orders = new Map<OrderId, OrderRow>();
  #products: Map<ProductId, ProductState>;
  readonly #keyedEffects = new Map<string, StoredEffect>();
  readonly #batches = new Map<string, MergeEnd>();
  readonly #fenced = new Set<OwnerId>();
  /** By shard: everything that expired until then was proven to be settled. */
  readonly #watermarks = new Map<number, number>();
  readonly #shards: number;
  #lastOwner = 0;

  constructor(shards: number, products: readonly ProductState[]) {
    this.#shards = shards;
    this.#products = new Map(products.map((product) => [product.id, product]));
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
    const row = this.#products.get(id);
    if (row === undefined) throw new Error(`there is no product ${id}`);
    const taken = Math.min(units, row.stock);
    this.#products.set(id, { ...row, stock: row.stock - taken });
    return taken;
  }

  merge(batch: Batch): MergeEnd {
    const name = batchKey(batch);
    // The plain insert of its own name: once that is claimed, the batch can never commit.
    if (this.#batches.has(name)) return { type: 'aborted', cause: { type: 'passing' } };
    const owners = batch.owners.filter((owner) => this.#fenced.has(owner));
    if (owners.length > 0) return { type: 'aborted', cause: { type: 'fenced', owners } };
    try {
      const end: MergeEnd = { type: 'committed', committed: this.#apply(batch) };
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
    return ids.flatMap((id) => this.#products.get(id) ?? []);
  }

  effects(ids: readonly string[]): StoredEffect[] {
    return ids.flatMap((id) => this.#effect(id) ?? []);
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
      const partitions = [...new Set(command.lines.map((line) => partitionOf(line.productId)))];
      all.push({ orderId: command.id, expiresAt: order.expiresAt, partitions });
    }
    all.sort((a, b) => a.expiresAt - b.expiresAt);
    const last = all[max - 1]?.expiresAt ?? Infinity;
    const orders = all.filter((order) => order.expiresAt <= last);
    return { orders, complete: orders.length === all.length };
  }

  #apply(batch: Batch): Committed {
    const products = new ProductRows(this.#products);
    const duplicates: string[] = [];
    const ids = new Set<string>();
    const isBound = (id: string): boolean => {
      if (ids.has(id)) throw new Rejection(null);
      ids.add(id);
      if (this.#effect(id) === undefined) return false;
      duplicates.push(id);
      return true;
    };
    const orders = batch.orders.filter(({ command }) => !isBound(command.id));
    const changes = batch.stockChanges.filter(({ id, keyed }) => !keyed || !isBound(id));
    const asked = batch.statusChanges.filter(({ key }) => key === null || !isBound(key.id));
    const unchanged: Record<string, OrderStatus> = {};
    const orderIds = new Set(asked.map(({ orderId }) => orderId));
    if (orderIds.size < asked.length) throw new Rejection(null);
    const moves = asked.filter((change) => {
      const status = this.#statusOf(change);
      if (change.from.includes(status)) return true;
      unchanged[change.orderId] = status;
      return false;
    });
    const stockAfter: Record<string, number> = {};
    for (const { id, productId, delta } of changes.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      stockAfter[id] = products.add(productId, delta).stock;
    }
    sell(orders, products);
    const freed = this.#free(moves, products);
    // Nothing can fail from here on.
    this.#products = products.rows;
    for (const { id, keyed, requestHash } of changes) {
      const available = stockAfter[id] ?? 0;
      if (keyed) this.#keyedEffects.set(id, { kind: 'stock-change', id, requestHash, available });
    }
    for (const { orderId, to, key } of moves) {
      const row = this.orders.get(orderId);
      if (row !== undefined) row.status = to;
      if (key !== null) this.#keyedEffects.set(key.id, { kind: 'status-change', ...key });
    }
    for (const decided of orders) {
      const { ownerId } = batch;
      this.orders.set(decided.command.id, { decided, ownerId, status: 'WAITING_PAYMENT' });
    }
    return { duplicates, stockAfter, unchanged, freed };
  }

  #statusOf({ orderId }: StatusChange): OrderStatus {
    const row = this.orders.get(orderId);
    if (row === undefined) throw new Error(`a batch changes the unknown order ${orderId}`);
    return row.status;
  }

  #free(moves: readonly StatusChange[], products: ProductRows): FreedUnits[] {
    const units = new Map<ProductId, number>();
    for (const { orderId, to } of moves) {
      if (to !== 'EXPIRED' && to !== 'CANCELLED') continue;
      for (const { productId, quantity } of this.orders.get(orderId)?.decided.command.lines ?? []) {
        units.set(productId, (units.get(productId) ?? 0) + quantity);
      }
    }
    return [...units].map(([productId, freed]) => {
      const { stockVersion } = products.add(productId, freed);
      return { productId, units: freed, stockVersion };
    });
  }

  #effect(id: string): StoredEffect | undefined {
    const row = this.orders.get(id as OrderId);
    if (row === undefined) return this.#keyedEffects.get(id);
    const { command, order } = row.decided;
    return {
      kind: 'order',
      id: command.id,
      requestHash: command.requestHash,
      lines: command.lines,
      order,
    };
  }
}

/** All sales of a product in a batch are one update. */
function sell(orders: readonly DecidedOrder[], products: ProductRows): void {
  const sales = new Map<ProductId, { units: number; sequence: number }>();
  for (const { command, order } of orders) {
    command.lines.forEach(({ productId, quantity }, i) => {
      const sale = sales.get(productId) ?? { units: 0, sequence: 0 };
      sale.units += quantity;
      sale.sequence = Math.max(sale.sequence, order.lines[i]?.sequence ?? 0);
      sales.set(productId, sale);
    });
  }
  for (const [id, { units, sequence }] of sales) products.add(id, -units, sequence);
}

function batchKey({ ownerId, no }: BatchName): string {
  return `${ownerId}/${no}`;
}
