import { beforeEach, describe, expect, test, vi } from 'vitest';
import { METRICS } from '../../src/telemetry/metric-catalogue.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import {
  FakeSources,
  makeActor,
  makePart,
  makeRecord,
  makeShard,
  owner,
  parseExposition,
  productId,
  tellEverything,
  valueOf,
} from './fake-sources.ts';

/** The promise of a scrape, milliseconds. */
const SCRAPE_MS_MAX = 2_000;
let sources: FakeSources;
let metrics: Metrics;

beforeEach(() => {
  sources = new FakeSources();
  metrics = createMetrics(sources);
});

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

describe('the exposition', () => {
  test('has each metric of the catalogue, as it is described there, and no other', async () => {
    tellEverything(metrics);
    const text = await metrics.render();
    const found = [...parseExposition(text)].map(([name, { kind, unit, help, labels }]) => {
      return [name, { kind, unit, help, labels }] as const;
    });
    const described = Object.entries(METRICS).map(([name, entry]) => {
      const { kind, unit, help, labels } = entry;
      return [name, { kind, unit, help, labels: labels.toSorted() }] as const;
    });
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(described));
    expect(text.endsWith('\n')).toBe(true);
    expect(text).not.toMatch(/otel_scope|target_info|NaN|undefined|null/);
  });

  test('names what a rule or a dashboard asks for', async () => {
    tellEverything(metrics);
    const text = await metrics.render();
    const expected = {
      'hedonify_orders_total{outcome="accepted",code=""}': 1,
      'http_server_request_duration_seconds_bucket{http_request_method="POST",http_route="/orders",http_response_status_code="201",le="0.0025"}': 0,
      'http_server_request_duration_seconds_bucket{http_request_method="POST",http_route="/orders",http_response_status_code="201",le="0.005"}': 1,
      'hedonify_batch_size_sum{shard="0"}': 120,
      'hedonify_batch_duration_seconds_sum{shard="0",phase="commit"}': 0.004,
      'hedonify_batches_total{shard="0",outcome="committed",cause=""}': 1,
      'hedonify_cache_lookups_total{cache="carts",result="hit"}': 1,
      'hedonify_mailbox_oldest_age_seconds{shard="1"}': 0.25,
      hedonify_outbox_age_seconds: 1.5,
      'hedonify_jobs_due{queue="webhooks"}': 7,
      hedonify_requests_waiting: 11,
      'hedonify_holds_open{shard="0"}': 40,
      'db_client_connection_count{db_client_connection_pool_name="reads",db_client_connection_state="used"}': 3,
      'nodejs_eventloop_delay_p99_seconds{thread="shard-1"}': 0.012,
      [`hedonify_product_stock{product_id="${productId(2)}"}`]: 998,
    };
    const found = Object.keys(expected).map((series) => [series, valueOf(text, series)]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  test('has counters at zero before the first event, so that the first one is seen', async () => {
    const text = await metrics.render();
    for (const cause of ['fenced', 'rejected', 'passing']) {
      const series = `hedonify_batches_total{shard="1",outcome="aborted",cause="${cause}"}`;
      expect(valueOf(text, series)).toBe(0);
    }
    expect(valueOf(text, 'hedonify_cache_lookups_total{cache="products",result="miss"}')).toBe(0);
  });

  test('has no times of a batch that did not commit but of its wait and its end', async () => {
    const parts = { copyMs: null, mergeMs: null, commitMs: null };
    metrics.batch(makeRecord({ ...parts, outcome: 'aborted', cause: 'fenced' }));
    const text = await metrics.render();
    const series = [
      ...(parseExposition(text).get('hedonify_batch_duration_seconds')?.series ?? []),
    ];
    const counted = series.filter(([name, value]) => name.includes('_count') && value > 0);
    const phases = counted.map(([name]) => /phase="(\w+)"/.exec(name)?.[1]);
    expect(new Set(phases)).toEqual(new Set(['wait', 'total']));
  });

  test('escapes what a label holds', async () => {
    metrics.orders({ outcome: 'rejected', code: 'a"b\\c\nd' });
    expect(await metrics.render()).toContain('code="a\\"b\\\\c\\nd"');
  });
});

describe('products', () => {
  test('have series only while they are hot, and never more than twenty (I9)', async () => {
    sources.actors = async () => Array.from({ length: 50 }, (_, n) => makeActor(n + 1));
    const stocks = async () => [
      ...(parseExposition(await metrics.render()).get('hedonify_product_stock')?.series ?? []),
    ];
    expect(await stocks()).toHaveLength(20);
    sources.actors = async () => [makeActor(99)];
    expect((await stocks()).map(([name]) => name)).toEqual([
      `hedonify_product_stock{product_id="${productId(99)}"}`,
    ]);
    const idle = { ordersPerSecond: { s1: 0, s10: 0, s60: 0 } };
    const mailbox = { depth: 0, bound: 5000, oldestMs: null };
    sources.actors = async () => [
      makeActor(1, { ...idle, mailbox }),
      makeActor(2, { ...idle, mailbox, committing: 1 }),
    ];
    expect(await stocks()).toHaveLength(1);
    sources.actors = async () => [];
    expect(await stocks()).toEqual([]);
  });
});

describe('a shard', () => {
  const units = async () => valueOf(await metrics.render(), 'hedonify_units_sold_total{shard="0"}');
  const show = (changes: Parameters<typeof makeShard>[0]) => {
    sources.views = async () => [makeShard(changes)];
  };
  const sold = (ownerId: number, count: number) =>
    makePart({
      ownerId: owner(ownerId),
      totals: { orders: 0, units: count, replayed: 0, refused: {}, shed: {}, lapsed: 0 },
    });

  test('that is silent is not serving, keeps its counters and loses its gauges', async () => {
    await metrics.render();
    show({ state: 'silent', inside: null, restarts: 1 });
    const text = await metrics.render();
    expect(valueOf(text, 'hedonify_shard_serving{shard="0"}')).toBe(0);
    expect(valueOf(text, 'hedonify_shard_restarts_total{shard="0"}')).toBe(1);
    expect(valueOf(text, 'hedonify_units_sold_total{shard="0"}')).toBe(120);
    expect(valueOf(text, 'hedonify_mailbox_depth{shard="0"}')).toBeUndefined();
    expect(valueOf(text, 'nodejs_eventloop_delay_p99_seconds{thread="shard-0"}')).toBeUndefined();
  });

  test('counts on when its owner is replaced, and a late word of the former owner adds nothing', async () => {
    show({ inside: sold(1, 120) });
    expect(await units()).toBe(120);
    show({ inside: sold(2, 5) });
    expect(await units()).toBe(125);
    show({ inside: sold(1, 130) });
    expect(await units()).toBe(125);
    show({ inside: sold(2, 9) });
    expect(await units()).toBe(129);
  });

  test('that still loads its unpaid orders says nothing of them', async () => {
    show({ inside: makePart({ unpaid: null }) });
    expect(parseExposition(await metrics.render()).has('hedonify_holds_open')).toBe(false);
  });
});

describe('a scrape (I9)', () => {
  async function timed(): Promise<{ text: string; ms: number }> {
    const start = performance.now();
    const text = await metrics.render();
    return { text, ms: performance.now() - start };
  }

  test('answers in two seconds with what there is when nobody answers it, and asks nobody twice', async () => {
    let asked = 0;
    sources.views = () => {
      asked += 1;
      return never();
    };
    sources.actors = never;
    sources.readBacklog = never;
    for (let round = 0; round < 2; round += 1) {
      const { text, ms } = await timed();
      expect(ms).toBeLessThan(SCRAPE_MS_MAX);
      expect(valueOf(text, 'hedonify_ready')).toBe(1);
      expect(text).toContain('process_memory_usage_bytes');
      expect(text).not.toMatch(/hedonify_(shard_serving|outbox|jobs_due|product)/);
    }
    expect(asked).toBe(1);
    expect(sources.backlogReads).toBe(1);
  });

  test('survives sources that fail, at once or later, and has them again when they recover', async () => {
    const { views } = sources;
    sources.ready = false;
    sources.views = () => {
      throw new Error('at once');
    };
    sources.actors = () => Promise.reject(new Error('later'));
    sources.readBacklog = () => Promise.reject(new Error('PostgreSQL is away'));
    const text = await metrics.render();
    expect(valueOf(text, 'hedonify_ready')).toBe(0);
    expect(text).not.toMatch(/hedonify_(shard_serving|outbox|jobs_due|product)/);
    sources.views = views;
    expect(await metrics.render()).toContain('hedonify_shard_serving{shard="1"} 1');
  });

  test('asks PostgreSQL at most every five seconds, and forgets a backlog that it cannot read', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      await metrics.render();
      vi.advanceTimersByTime(4_999);
      expect(await metrics.render()).toContain('hedonify_outbox_backlog 5');
      expect(sources.backlogReads).toBe(1);
      vi.advanceTimersByTime(1);
      sources.readBacklog = () => Promise.reject(new Error('PostgreSQL is away'));
      expect(await metrics.render()).not.toContain('hedonify_outbox');
      expect(sources.backlogReads).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that many ask for at once is one', async () => {
    let asked = 0;
    const { views } = sources;
    sources.views = () => {
      asked += 1;
      return views();
    };
    const texts = await Promise.all(Array.from({ length: 50 }, () => metrics.render()));
    expect(new Set(texts).size).toBe(1);
    expect(asked).toBe(1);
  });

  test('asks nobody anything until somebody scrapes', () => {
    tellEverything(metrics);
    expect(sources.backlogReads).toBe(0);
  });
});
