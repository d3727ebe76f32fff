/** The engine as operators see it: what it is told to show, and what it was asked to do. */
import type { CustomerKey, Decisions } from '../../src/domain/decision.ts';
import { partitionOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, ProductId } from '../../src/domain/ids.ts';
import type {
  ActorView,
  BatchRecord,
  EngineControl,
  Inspector,
  RefusalRecord,
  ShardView,
} from '../../src/domain/inspection.ts';
import type {
  OperatorAction,
  OperatorLog,
  RecordOutcome,
} from '../../src/domain/operator-action.ts';
import type { Order } from '../../src/domain/order.ts';
import type { EffectKey, Page, PageRequest } from '../../src/domain/ports.ts';
import { pageOf } from './fake-pages.ts';

const owner = (n: number): OwnerId => n as OwnerId;

export function makeActor(productId: ProductId, changes: Partial<ActorView> = {}): ActorView {
  return {
    productId,
    name: 'Product 1',
    status: 'active',
    shard: 0,
    partition: partitionOf(productId),
    ownerId: owner(7),
    mailbox: { depth: 3, bound: 5000, oldestMs: 1.23456 },
    decided: 2,
    committing: 4,
    stock: { available: 10, held: 5, sold: 6 },
    lapsing: { within10s: 1, within60s: 2 },
    ordersPerSecond: { s1: 100, s10: 90.5, s60: 20 },
    refused: { 'out-of-stock': 8 },
    sequence: 11,
    soldOutAt: null,
    ...changes,
  };
}

export function makeShard(shard: number, changes: Partial<ShardView> = {}): ShardView {
  return {
    shard,
    partitions: 128,
    state: 'serving',
    ownerId: owner(7 + shard),
    restarts: 0,
    batches: { perSecond: 12.5, orders: { p50: 20, p99: 80 }, commitMs: { p50: 1.5, p99: 4 } },
    inside: {
      ownerId: owner(7 + shard),
      proven: true,
      actors: 30,
      mailbox: { depth: 3, bound: 10_000, oldestMs: null },
      decided: 2,
      inFlight: 1,
      attempts: 0,
      holds: 0,
      unpaid: 5,
      window: 400,
      totals: {
        orders: 400,
        units: 500,
        replayed: 3,
        refused: { 'out-of-stock': 8 },
        shed: { overloaded: 1 },
        lapsed: 2,
      },
      eventLoop: { delayMs: { p50: 0.1, p99: 2.5 }, utilization: 0.4 },
      heapBytes: 50_000_000,
    },
    ...changes,
  };
}

export function makeBatch(no: number, changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    shard: 0,
    ownerId: owner(7),
    no,
    sentAt: Date.parse('2030-01-02T03:04:05.678Z') + no,
    orders: 20,
    changes: 1,
    waitMs: 0.5,
    copyMs: 0.3,
    mergeMs: 1.2,
    commitMs: 0.7,
    totalMs: 2.2,
    outcome: 'committed',
    cause: null,
    traced: [],
    ...changes,
  };
}

export class FakeInspector implements Inspector {
  readonly actorRows: ActorView[] = [];
  readonly shardRows: ShardView[] = [makeShard(0), makeShard(1)];
  /** Newest first. */
  readonly batchRows: BatchRecord[] = [];
  readonly refusals = new Map<string, RefusalRecord>();
  readonly asked: Parameters<Inspector['actors']>[0][] = [];
  /** Actors are looked at only when it has resolved. */
  gate: () => Promise<void> = async () => {};

  async actors(query: Parameters<Inspector['actors']>[0]): Promise<readonly ActorView[]> {
    this.asked.push(query);
    await this.gate();
    return this.actorRows.slice(0, query.limit);
  }

  async actor(id: ProductId): Promise<ActorView | undefined> {
    return this.actorRows.find(({ productId }) => productId === id);
  }

  async shards(): Promise<readonly ShardView[]> {
    return this.shardRows;
  }

  batches(limit: number): readonly BatchRecord[] {
    return this.batchRows.slice(0, limit);
  }

  async refusal({ userId, key }: CustomerKey): Promise<RefusalRecord | undefined> {
    return this.refusals.get(`${userId} ${key}`);
  }
}

export class FakeControl implements EngineControl {
  readonly restarted: number[] = [];
  /** What a restart comes to. */
  outcome: OwnerId | undefined = owner(99);

  async restartShard(shard: number): Promise<OwnerId | undefined> {
    this.restarted.push(shard);
    return this.outcome;
  }
}

export class FakeOperatorLog implements OperatorLog {
  readonly rows: OperatorAction[] = [];
  readonly #keys = new Map<string, { readonly request: string; readonly id: string }>();
  /** Of `settle`. */
  failure: Error | null = null;

  async record(
    action: Parameters<OperatorLog['record']>[0],
    key: EffectKey | null,
  ): Promise<RecordOutcome> {
    const name = key === null ? null : `${key.userId} ${key.key}`;
    const known = name === null ? undefined : this.#keys.get(name);
    if (known !== undefined) {
      if (known.request !== key?.request) return { type: 'key-reused' };
      const outcome = this.rows.find(({ id }) => id === known.id)?.outcome ?? null;
      return { type: 'recorded', id: known.id, replayed: true, outcome };
    }
    const n = this.rows.length + 1;
    const id = `00000000-0000-7000-8005-${String(n).padStart(12, '0')}`;
    if (name !== null) this.#keys.set(name, { request: key?.request ?? '', id });
    this.rows.push({ ...action, id, createdAt: n, outcome: null });
    return { type: 'recorded', id, replayed: false, outcome: null };
  }

  async settle(id: string, outcome: string): Promise<void> {
    if (this.failure !== null) throw this.failure;
    const at = this.rows.findIndex((row) => row.id === id);
    const row = this.rows[at];
    if (row !== undefined) this.rows[at] = { ...row, outcome };
  }

  async list(page: PageRequest): Promise<Page<OperatorAction>> {
    return pageOf(this.rows, page);
  }
}

export class FakeDecisions implements Decisions {
  /** By customer and key. */
  readonly accepted = new Map<string, Order>();

  orderIdOf({ userId, key }: CustomerKey): OrderId {
    return `${userId} ${key}` as OrderId;
  }

  async findAccepted({ userId, key }: CustomerKey): Promise<Order | undefined> {
    return this.accepted.get(`${userId} ${key}`);
  }
}
