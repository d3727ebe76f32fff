/**
 * What is only asked when somebody scrapes: shards, hottest products, backlog, pools, the process.
 *
 * A producer of metrics rather than observable instruments: those of the SDK go on exporting every
 * series they ever saw with its last value, so a product that is no longer hot, a shard that is
 * silent and a backlog that nobody can count would stay in the exposition for ever, and look well.
 *
 * I9: a scrape ends within ASK_MS_MAX, with what there is by then; a question that takes longer is
 * not asked a second time meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CollectionResult, MetricProducer } from '@opentelemetry/sdk-metrics';
import type { Backlog, BacklogReader } from '../domain/backlog.ts';
import type { Inspector } from '../domain/inspection.ts';
import type { Readiness } from '../domain/ports.ts';
import { collected } from './metric-data.ts';
import { ProcessSamples } from './process-samples.ts';
import { ScrapeSample } from './scrape-sample.ts';
import { putProducts, ShardSamples } from './shard-samples.ts';

/** Products with series of their own. */
const PRODUCTS_MAX = 20;
/** A Prometheus gives up after 10 s unless told otherwise, and a shard is silent after one. */
const ASK_MS_MAX = 1_500;
/** However often somebody scrapes, PostgreSQL is asked no more often than this. */
const BACKLOG_AGE_MS_MAX = 5_000;

export interface PoolCounts {
  /** Connections that are open, and how many of them nobody uses. */
  readonly total: number;
  readonly idle: number;
  /** Callers without one. */
  readonly waiting: number;
  readonly max: number;
}

/** Where the numbers come from. */
export interface ScrapeSources {
  readonly inspector: Pick<Inspector, 'actors' | 'shards'>;
  readonly readiness: Readiness;
  readonly backlog: BacklogReader;
  /** Commands that wait for an answer of the shards. */
  readonly requestsWaiting: () => number;
  /** By name. */
  readonly pools: () => Readonly<Record<string, PoolCounts>>;
}

export class Scrape implements MetricProducer {
  readonly #sources: ScrapeSources;
  readonly #shards = new ShardSamples();
  readonly #process = new ProcessSamples();
  readonly #questions: ReturnType<typeof questionsTo>;

  constructor(sources: ScrapeSources) {
    this.#sources = sources;
    this.#questions = questionsTo(sources);
  }

  async collect(): Promise<CollectionResult> {
    const sample = new ScrapeSample();
    const [shards, products, backlog] = await Promise.all([
      this.#questions.shards(),
      this.#questions.products(),
      this.#questions.backlog(),
    ]);
    const { readiness, requestsWaiting, pools } = this.#sources;
    sample.put('hedonify_ready', {}, readiness.check().ready ? 1 : 0);
    sample.put('hedonify_requests_waiting', {}, requestsWaiting());
    for (const view of shards ?? []) this.#shards.put(sample, view);
    putProducts(sample, (products ?? []).slice(0, PRODUCTS_MAX));
    if (backlog !== undefined) putBacklog(sample, backlog);
    for (const [pool, counts] of Object.entries(pools())) putPool(sample, pool, counts);
    this.#process.put(sample);
    return collected(sample.toMetrics());
  }
}

function questionsTo({ inspector, backlog }: ScrapeSources) {
  const hottest = { sort: 'rate', limit: PRODUCTS_MAX } as const;
  return {
    shards: patient(() => inspector.shards(), 0),
    products: patient(() => inspector.actors(hottest), 0),
    backlog: patient(() => backlog.readBacklog(), BACKLOG_AGE_MS_MAX),
  };
}

/**
 * A question that never rejects and is answered within ASK_MS_MAX: with undefined when its answer
 * fails or comes later. An answer serves everybody who asks within `ageMsMax` of the question.
 */
function patient<T>(ask: () => Promise<T>, ageMsMax: number): () => Promise<T | undefined> {
  let answer: Promise<T | undefined> = Promise.resolve(undefined);
  let underWay = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (!underWay && performance.now() - askedAt >= ageMsMax) {
      underWay = true;
      askedAt = performance.now();
      answer = asked(ask).finally(() => {
        underWay = false;
      });
    }
    return inTime(answer);
  };
}

async function asked<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch {
    // Whoever is asked says in its own log why it cannot answer.
    return undefined;
  }
}

async function inTime<T>(answer: Promise<T | undefined>): Promise<T | undefined> {
  const ended = new AbortController();
  const late = delay(ASK_MS_MAX, undefined, { signal: ended.signal }).catch(() => undefined);
  try {
    return await Promise.race([answer, late]);
  } finally {
    ended.abort();
  }
}

function putBacklog(sample: ScrapeSample, backlog: Backlog): void {
  const { jobsDue } = backlog;
  sample.put('hedonify_outbox_backlog', {}, backlog.outboxBatches);
  sample.put('hedonify_outbox_age_seconds', {}, (backlog.outboxAgeMs ?? 0) / 1000);
  sample.put('hedonify_jobs_due', { queue: 'payments' }, jobsDue.payments);
  sample.put('hedonify_jobs_due', { queue: 'webhooks' }, jobsDue.webhooks);
}

function putPool(sample: ScrapeSample, pool: string, counts: PoolCounts): void {
  const name = { db_client_connection_pool_name: pool };
  const { total, idle, waiting, max } = counts;
  const used = { ...name, db_client_connection_state: 'used' };
  sample.put('db_client_connection_count', used, total - idle);
  sample.put('db_client_connection_count', { ...name, db_client_connection_state: 'idle' }, idle);
  sample.put('db_client_connection_pending_requests', name, waiting);
  sample.put('db_client_connection_max', name, max);
}
