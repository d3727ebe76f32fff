/**
 * What of other programs' metrics our dashboards and rules may use, with the labels they have: read
 * from the sources of the versions in docker/compose.yaml, since nothing here can run them. Histograms
 * without their suffixes.
 */
const DATABASE = ['datid', 'datname'];
const TABLE = ['datname', 'schemaname', 'relname'];
const SESSION = [
  'datname',
  'state',
  'usename',
  'application_name',
  'backend_type',
  'wait_event_type',
  'wait_event',
];

export const EXPORTER_METRICS: Readonly<Record<string, readonly string[]>> = {
  // Prometheus itself.
  up: [],

  // postgres_exporter 0.20.1
  pg_up: [],
  pg_database_size_bytes: ['datname'],
  pg_locks_count: ['datname', 'mode'],
  pg_long_running_transactions_oldest_timestamp_seconds: [],
  pg_settings_max_connections: [],
  pg_settings_max_wal_size_bytes: [],
  pg_stat_activity_count: SESSION,
  pg_stat_checkpointer_num_requested_total: [],
  pg_stat_checkpointer_num_timed_total: [],
  pg_stat_database_blks_hit: DATABASE,
  pg_stat_database_blks_read: DATABASE,
  pg_stat_database_conflicts: DATABASE,
  pg_stat_database_deadlocks: DATABASE,
  pg_stat_database_temp_bytes: DATABASE,
  pg_stat_database_xact_commit: DATABASE,
  pg_stat_database_xact_rollback: DATABASE,
  pg_stat_user_tables_index_size_bytes: TABLE,
  pg_stat_user_tables_n_dead_tup: TABLE,
  pg_stat_user_tables_n_tup_hot_upd: TABLE,
  pg_stat_user_tables_n_tup_upd: TABLE,
  pg_stat_user_tables_table_size_bytes: TABLE,
  pg_wal_size_bytes: [],

  // redis_exporter 1.88.0
  redis_up: [],
  redis_commands_processed_total: [],
  redis_evicted_keys_total: [],
  redis_memory_max_bytes: [],
  redis_memory_used_bytes: [],

  // The spanmetrics connector of the collector 0.155.0, scraped here from a collector that was built
  // for it, with docker/otel/traces.yaml.
  traces_span_metrics_duration_seconds: [
    'service_name',
    'span_name',
    'span_kind',
    'status_code',
    'http_route',
  ],
};

/** Of those in EXPORTER_METRICS that are histograms. */
export const EXPORTER_HISTOGRAMS: ReadonlySet<string> = new Set([
  'traces_span_metrics_duration_seconds',
]);
