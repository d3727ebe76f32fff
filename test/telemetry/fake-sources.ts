/** Sources of metrics that say what a test wants, and an exposition taken apart. */
import { parseProductId } from '../../src/domain/ids.ts';
import type { OwnerId, PartitionId, ProductId } from '../../src/domain/ids.ts';
import type { Backlog } from '../../src/domain/backlog.ts';
import type {
  ActorView,
  BatchRecord,
  Inspector,
  ShardPart,
  ShardView,
} from '../../src/domain/inspection.ts';
import type { Metrics, MetricSources } from '../../src/telemetry/metrics.ts';
import type { PoolCounts } from '../../src/telemetry/scrape.ts';

export const owner = (id: number): OwnerId => id as OwnerId;

export function productId(n: number): ProductId {
  const id = parseProductId(`00000000-0000-7000-8002-${String(n).padStart(12, '0')}`);
  if (id === undefined) throw new Error('not an id');
  return id;
}

export function makePart(changes: Partial<ShardPart> = {}): ShardPart {
  return {
    ownerId: owner(1),
    proven: true,
    actors: 3,
    mailbox: { depth: 7, bound: 10_000, oldestMs: 250 },
    decided: 2,
    inFlight: 1,
    attempts: 0,
    holds: 0,
    unpaid: 40,
    window: 100,
    totals: { orders: 90, units: 120, replayed: 1, refused: {}, shed: {}, lapsed: 4 },
    eventLoop: { delayMs: { p50: 1, p99: 12 }, utilization: 0.25 },
    heapBytes: 30_000_000,
    ...changes,
  };
}

export function makeShard(changes: Partial<ShardView> = {}): ShardView {
  return {
    shard: 0,
    partitions: 128,
    state: 'serving',
    ownerId: owner(1),
    restarts: 0,
    batches: null,
    inside: makePart(),
    ...changes,
  };
}

export function makeActor(n: number, changes: Partial<ActorView> = {}): ActorView {
  return {
    productId: productId(n),
    name: `Product ${n}`,
    status: 'active',
    shard: 0,
    partition: 0 as PartitionId,
    ownerId: owner(1),
    mailbox: { depth: n, bound: 5000, oldestMs: 10 },
    decided: 0,
    committing: 0,
    stock: { available: 1000 - n, held: 1, sold: 2 },
    lapsing: { within10s: 0, within60s: 1 },
    ordersPerSecond: { s1: 9, s10: 8, s60: 7 },
    refused: {},
    sequence: 3,
    soldOutAt: null,
    ...changes,
  };
}

export function makeRecord(changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    shard: 0,
    ownerId: owner(1),
    no: 1,
    sentAt: 0,
    orders: 100,
    changes: 20,
    waitMs: 3,
    copyMs: 1,
    mergeMs: 2,
    commitMs: 4,
    totalMs: 7,
    outcome: 'committed',
    cause: null,
    traced: [],
    ...changes,
  };
}

export class FakeSources implements MetricSources {
  readonly shards = 2;
  views: () => Promise<readonly ShardView[]> = async () => [makeShard(), makeShard({ shard: 1 })];
  actors: Inspector['actors'] = async () => [makeActor(1), makeActor(2)];
  backlogReads = 0;
  readBacklog = async (): Promise<Backlog> => ({
    outboxBatches: 5,
    outboxAgeMs: 1500,
    jobsDue: { payments: 6, webhooks: 7 },
  });
  ready = true;

  readonly inspector = {
    shards: () => this.views(),
    actors: (query: Parameters<Inspector['actors']>[0]) => this.actors(query),
  };
  readonly backlog = {
    readBacklog: () => {
      this.backlogReads += 1;
      return this.readBacklog();
    },
  };
  readonly readiness = {
    check: () =>
      this.ready ? { ready: true as const } : { ready: false as const, reason: 'starting' },
  };

  requestsWaiting(): number {
    return 11;
  }

  pools(): Record<string, PoolCounts> {
    return { reads: { total: 4, idle: 1, waiting: 2, max: 10 } };
  }
}

const POST_ORDERS = {
  http_request_method: 'POST',
  http_route: '/orders',
  http_response_status_code: 201,
};

/** Some of everything that is told and not asked. */
export function tellEverything(metrics: Metrics): void {
  metrics.requests(POST_ORDERS).record(0.003);
  metrics.orders({ outcome: 'accepted', code: '' }).increment();
  metrics.batch(makeRecord());
  metrics.lookedUp('carts', true);
}

export interface Metric {
  readonly kind: string;
  readonly unit: string;
  readonly help: string;
  /** Value by series as Prometheus prints it: `name{label="value"}`. */
  readonly series: ReadonlyMap<string, number>;
  /** Names of all labels but `le`. */
  readonly labels: readonly string[];
}

/** An exposition by name of the metric. */
export function parseExposition(text: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  for (const block of text.split(/^(?=# HELP )/m)) {
    const [, name = '', help = ''] = /^# HELP (\S+) (.+)$/m.exec(block) ?? [];
    const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const series = new Map(lines.map((line) => seriesOf(line)));
    const labels = [...block.matchAll(/[{,](?<label>\w+)="/g)].map(
      (it) => it.groups?.['label'] ?? '',
    );
    metrics.set(name, {
      help,
      kind: /^# TYPE \S+ (\S+)$/m.exec(block)?.[1] ?? '',
      unit: /^# UNIT \S+ (\S+)$/m.exec(block)?.[1] ?? '',
      series,
      labels: [...new Set(labels)].filter((it) => it !== 'le').toSorted(),
    });
  }
  return metrics;
}

function seriesOf(line: string): [string, number] {
  const space = line.lastIndexOf(' ');
  return [line.slice(0, space), Number(line.slice(space + 1))];
}

/** The value of one series. */
export function valueOf(text: string, series: string): number | undefined {
  const name = /^\w+/.exec(series)?.[0] ?? '';
  const metrics = parseExposition(text);
  const metric = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
  return metric?.series.get(series);
}
