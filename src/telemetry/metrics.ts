/**
 * The metrics of the process, rendered as Prometheus's text by the OpenTelemetry SDK. What happens is
 * counted as it happens, with each request and batch by bound series and else by the SDK's counter;
 * what is the case is asked at a scrape (scrape.ts), and nothing runs between two of them.
 *
 * Labels are bounded: routes by the app, codes by the registry, shards by config, products by
 * PRODUCTS_MAX. Past the SDK's own 2,000 series of an instrument it counts under one that says
 * `otel_metric_overflow`.
 */
import type { Counter } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { BatchRecord } from '../domain/inspection.ts';
import { BoundCounters, BoundHistograms } from './bound-series.ts';
import type { BoundCounter, BoundHistogram } from './bound-series.ts';
import { METRICS } from './metric-catalogue.ts';
import type { Labels } from './metric-catalogue.ts';
import { Scrape } from './scrape.ts';
import type { ScrapeSources } from './scrape.ts';

/** Upper bounds of the buckets. */
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const BATCH_ROWS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const BATCH_SECONDS = [
  0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
];

const BATCH_ENDS = [
  { outcome: 'committed', cause: '' },
  { outcome: 'aborted', cause: 'fenced' },
  { outcome: 'aborted', cause: 'rejected' },
  { outcome: 'aborted', cause: 'passing' },
  { outcome: 'unknown', cause: '' },
] as const;

export const CACHE_NAMES = ['products', 'carts'] as const;
export type CacheName = (typeof CACHE_NAMES)[number];

export interface MetricSources extends ScrapeSources {
  /** How many there are. */
  readonly shards: number;
}

/** What the HTTP edge tells of: ask for a series once, and count with it. */
export interface RequestMetrics {
  /** Of seconds. */
  requests(labels: Labels<'http_server_request_duration_seconds'>): BoundHistogram;
  orders(labels: Labels<'hedonify_orders_total'>): BoundCounter;
}

export interface Metrics extends RequestMetrics {
  /** A try to commit a batch ended. */
  batch(record: BatchRecord): void;
  /** A cache was asked. */
  lookedUp(cache: CacheName, hit: boolean): void;
  /** Prometheus's text format 0.0.4, within two seconds; never rejects. */
  render(): Promise<string>;
}

/** Measures from now on. */
export function createMetrics(sources: MetricSources): Metrics {
  return new SdkMetrics(sources);
}

class SdkMetrics implements Metrics {
  readonly #reader: PrometheusExporter;
  // Without resource and scope: Prometheus names the target, and there is one scope.
  readonly #serializer = new PrometheusSerializer('', false, undefined, true, true);
  readonly #requests = new BoundHistograms('http_server_request_duration_seconds', REQUEST_SECONDS);
  readonly #orders = new BoundCounters('hedonify_orders_total');
  readonly #batchRows = new BoundHistograms('hedonify_batch_size', BATCH_ROWS);
  readonly #batchSeconds = new BoundHistograms('hedonify_batch_duration_seconds', BATCH_SECONDS);
  readonly #batches = new BoundCounters('hedonify_batches_total');
  readonly #shards: readonly ShardSeries[];
  readonly #lookUps: Counter;
  #rendering: Promise<string> | null = null;

  constructor(sources: MetricSources) {
    this.#reader = new PrometheusExporter({
      preventServerStart: true,
      metricProducers: [
        this.#requests,
        this.#orders,
        this.#batchRows,
        this.#batchSeconds,
        this.#batches,
        new Scrape(sources),
      ],
    });
    const meter = new MeterProvider({ readers: [this.#reader] }).getMeter('hedonify');
    const { unit, help: description } = METRICS.hedonify_cache_lookups_total;
    this.#lookUps = meter.createCounter('hedonify_cache_lookups_total', { unit, description });
    // A series that first appears at 1 has never risen, and no alert would see the first event.
    this.#shards = Array.from({ length: sources.shards }, (_, shard) => this.#seriesOf(shard));
    for (const cache of CACHE_NAMES) {
      for (const result of ['hit', 'miss']) this.#lookUps.add(0, { cache, result });
    }
  }

  #seriesOf(shard: number): ShardSeries {
    const phase = (name: string) => this.#batchSeconds.bind({ shard, phase: name });
    const ends = BATCH_ENDS.map(
      (end) => [endName(end), this.#batches.bind({ shard, ...end })] as const,
    );
    return {
      ends: new Map(ends),
      rows: this.#batchRows.bind({ shard }),
      wait: phase('wait'),
      copy: phase('copy'),
      merge: phase('merge'),
      commit: phase('commit'),
      total: phase('total'),
    };
  }

  requests(labels: Labels<'http_server_request_duration_seconds'>): BoundHistogram {
    return this.#requests.bind(labels);
  }

  orders(labels: Labels<'hedonify_orders_total'>): BoundCounter {
    return this.#orders.bind(labels);
  }

  batch(record: BatchRecord): void {
    const series = this.#shards[record.shard];
    if (series === undefined) return;
    series.ends.get(endName(record))?.increment();
    series.rows.record(record.orders + record.changes);
    recordMs(series.wait, record.waitMs);
    recordMs(series.copy, record.copyMs);
    recordMs(series.merge, record.mergeMs);
    recordMs(series.commit, record.commitMs);
    recordMs(series.total, record.totalMs);
  }

  lookedUp(cache: CacheName, hit: boolean): void {
    this.#lookUps.add(1, { cache, result: hit ? 'hit' : 'miss' });
  }

  render(): Promise<string> {
    // Whoever asks while it is asked gets the same (I9), and the event loop is measured once.
    this.#rendering ??= this.#render().finally(() => {
      this.#rendering = null;
    });
    return this.#rendering;
  }

  async #render(): Promise<string> {
    const { resourceMetrics } = await this.#reader.collect();
    return this.#serializer.serialize(resourceMetrics);
  }
}

/** Of one shard. */
interface ShardSeries {
  /** By `endName`. */
  readonly ends: ReadonlyMap<string, BoundCounter>;
  readonly rows: BoundHistogram;
  readonly wait: BoundHistogram;
  readonly copy: BoundHistogram;
  readonly merge: BoundHistogram;
  readonly commit: BoundHistogram;
  readonly total: BoundHistogram;
}

function endName(end: { readonly outcome: string; readonly cause: string | null }): string {
  return `${end.outcome} ${end.cause ?? ''}`;
}

function recordMs(series: BoundHistogram, ms: number | null): void {
  // Clocks of two threads, or of PostgreSQL and us, may disagree by a little.
  if (ms !== null) series.record(Math.max(0, ms / 1000));
}
