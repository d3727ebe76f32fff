/**
 * Every metric there is: name, kind, unit, labels and what it says, in one table; docs/metrics.md
 * says the same and a test compares the two, both ways.
 *
 * Names are spelled as Prometheus shows them, so that one search finds a metric in code, rules and
 * dashboards: the exporter would make the same of the dots of a semantic convention, but adds no
 * unit. Where there is a convention (http, db, nodejs, v8js, process) name and labels follow it.
 */

interface MetricEntry {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** UCUM, as OpenTelemetry has it. */
  readonly unit: string;
  readonly labels: readonly string[];
  readonly help: string;
}

export const METRICS = {
  http_server_request_duration_seconds: {
    kind: 'histogram',
    unit: 's',
    labels: ['http_request_method', 'http_route', 'http_response_status_code'],
    help: 'From the headers of a request to the last byte of its answer.',
  },
  hedonify_requests_waiting: {
    kind: 'gauge',
    unit: '{request}',
    labels: [],
    help: 'Commands that wait for an answer of the shards.',
  },
  hedonify_orders_total: {
    kind: 'counter',
    unit: '{order}',
    labels: ['outcome', 'code'],
    help: 'Answers to POST /orders and to checkouts.',
  },
  hedonify_units_sold_total: {
    kind: 'counter',
    unit: '{unit}',
    labels: ['shard'],
    help: 'Units in committed orders.',
  },
  hedonify_product_stock: {
    kind: 'gauge',
    unit: '{unit}',
    labels: ['product_id'],
    help: 'Units left of the hottest products.',
  },
  hedonify_product_orders_per_second: {
    kind: 'gauge',
    unit: '{order}/s',
    labels: ['product_id'],
    help: 'Committed orders per second of the hottest products, over 10 s.',
  },
  hedonify_product_mailbox_depth: {
    kind: 'gauge',
    unit: '{command}',
    labels: ['product_id'],
    help: 'Undecided commands in the mailboxes of the hottest products.',
  },
  hedonify_mailbox_depth: {
    kind: 'gauge',
    unit: '{command}',
    labels: ['shard'],
    help: 'Undecided commands in all mailboxes of a shard.',
  },
  hedonify_mailbox_limit: {
    kind: 'gauge',
    unit: '{command}',
    labels: ['shard'],
    help: 'Undecided commands that a shard takes; past it the answer is overloaded.',
  },
  hedonify_mailbox_oldest_age_seconds: {
    kind: 'gauge',
    unit: 's',
    labels: ['shard'],
    help: 'Age of the oldest undecided command, 0 without one.',
  },
  hedonify_actors: {
    kind: 'gauge',
    unit: '{product}',
    labels: ['shard'],
    help: 'Products in the memory of a shard.',
  },
  hedonify_batch_size: {
    kind: 'histogram',
    unit: '{row}',
    labels: ['shard'],
    help: 'Orders and changes of one batch.',
  },
  hedonify_batch_duration_seconds: {
    kind: 'histogram',
    unit: 's',
    labels: ['shard', 'phase'],
    help: 'Time of a batch by phase; copy, merge and commit of committed ones only.',
  },
  hedonify_batches_total: {
    kind: 'counter',
    unit: '{batch}',
    labels: ['shard', 'outcome', 'cause'],
    help: 'Tries to commit a batch, by how they ended.',
  },
  hedonify_batches_in_flight: {
    kind: 'gauge',
    unit: '{batch}',
    labels: ['shard'],
    help: 'Batches on their way to PostgreSQL.',
  },
  hedonify_holds_open: {
    kind: 'gauge',
    unit: '{order}',
    labels: ['shard'],
    help: 'Orders that wait for payment and hold their units.',
  },
  hedonify_holds_lapsed_total: {
    kind: 'counter',
    unit: '{order}',
    labels: ['shard'],
    help: 'Orders that expired unpaid.',
  },
  hedonify_shard_serving: {
    kind: 'gauge',
    unit: '1',
    labels: ['shard'],
    help: '1 while the shard answers and can prove that it owns its products, else 0.',
  },
  hedonify_shard_restarts_total: {
    kind: 'counter',
    unit: '{restart}',
    labels: ['shard'],
    help: 'Threads of the shard that were replaced.',
  },
  hedonify_ready: {
    kind: 'gauge',
    unit: '1',
    labels: [],
    help: '1 while /health/ready is 200, else 0.',
  },
  hedonify_outbox_backlog: {
    kind: 'gauge',
    unit: '{batch}',
    labels: [],
    help: 'Committed batches of which webhooks are not told yet, counted up to 10000.',
  },
  hedonify_outbox_age_seconds: {
    kind: 'gauge',
    unit: 's',
    labels: [],
    help: 'Age of the oldest of them, 0 without one.',
  },
  hedonify_jobs_due: {
    kind: 'gauge',
    unit: '{job}',
    labels: ['queue'],
    help: 'Jobs that are due and that nobody works on, counted up to 10000.',
  },
  hedonify_cache_lookups_total: {
    kind: 'counter',
    unit: '{lookup}',
    labels: ['cache', 'result'],
    help: 'Questions to a cache.',
  },
  db_client_connection_count: {
    kind: 'gauge',
    unit: '{connection}',
    labels: ['db_client_connection_pool_name', 'db_client_connection_state'],
    help: 'Connections of a pool by state.',
  },
  db_client_connection_pending_requests: {
    kind: 'gauge',
    unit: '{request}',
    labels: ['db_client_connection_pool_name'],
    help: 'Callers that wait for a connection.',
  },
  db_client_connection_max: {
    kind: 'gauge',
    unit: '{connection}',
    labels: ['db_client_connection_pool_name'],
    help: 'Connections that a pool may open.',
  },
  nodejs_eventloop_delay_p50_seconds: {
    kind: 'gauge',
    unit: 's',
    labels: ['thread'],
    help: 'Median delay of timers since the last look.',
  },
  nodejs_eventloop_delay_p99_seconds: {
    kind: 'gauge',
    unit: 's',
    labels: ['thread'],
    help: '99th percentile of the delay of timers since the last look.',
  },
  nodejs_eventloop_utilization_ratio: {
    kind: 'gauge',
    unit: '1',
    labels: ['thread'],
    help: 'Share of the time since the last look that the event loop was busy.',
  },
  v8js_memory_heap_used_bytes: {
    kind: 'gauge',
    unit: 'By',
    labels: ['thread'],
    help: 'JavaScript heap in use.',
  },
  process_cpu_time_seconds_total: {
    kind: 'counter',
    unit: 's',
    labels: ['cpu_mode'],
    help: 'CPU time of all threads.',
  },
  process_memory_usage_bytes: {
    kind: 'gauge',
    unit: 'By',
    labels: [],
    help: 'Resident memory of the process.',
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;

export type Labels<Name extends MetricName> = Readonly<
  Record<(typeof METRICS)[Name]['labels'][number], string | number>
>;
