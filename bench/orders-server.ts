/** The server under load, each with a database of its own in the cluster of the run. */
import { createBenchDatabase } from './bench-database.ts';
import type { BenchServer } from './child.ts';
import type { BenchCluster } from './cluster.ts';
import { inDatabase } from './in-database.ts';
import type { BenchRun } from './suite.ts';
import { BENCH_JWT_SECRET } from './tokens.ts';

export interface OrdersServer extends BenchServer {
  readonly name: string;
  readonly databaseUrl: string;
}

export interface OrdersServerOptions {
  readonly cluster: BenchCluster;
  /** Of the database, and in what is said of it. */
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly preload?: readonly string[];
  /** Before the server starts. */
  readonly prepare?: (databaseUrl: string) => Promise<unknown>;
}

/**
 * One shard, and holds of a day: an expiry in the middle of a run would be measured with whatever
 * happens to be sold at that moment.
 */
const ENVIRONMENT = {
  PORT: '0',
  JWT_SECRET: BENCH_JWT_SECRET,
  SHARDS: '1',
  HOLD_TTL_SECONDS: '86400',
};

export async function startOrders(
  run: BenchRun,
  options: OrdersServerOptions,
): Promise<OrdersServer> {
  const { cluster, name, env, preload, prepare } = options;
  const databaseUrl = await createBenchDatabase(cluster.databaseUrl, name);
  await prepare?.(databaseUrl);
  return await serveOrders(run, { databaseUrl, name, env, preload });
}

/** Of a database that is there. */
export async function serveOrders(
  run: BenchRun,
  options: {
    readonly databaseUrl: string;
    readonly name: string;
    readonly env?: OrdersServerOptions['env'] | undefined;
    readonly preload?: OrdersServerOptions['preload'] | undefined;
  },
): Promise<OrdersServer> {
  const { databaseUrl, name, env, preload = [] } = options;
  const server = await run.startTarget({
    file: '../src/main.ts',
    env: { ...ENVIRONMENT, DATABASE_URL: databaseUrl, ...env },
    preload,
  });
  return { ...server, name, databaseUrl };
}

/** Orders that PostgreSQL holds. */
export async function countOrders(databaseUrl: string): Promise<number> {
  const sql = /* sql */ `SELECT count(*)::float8 AS orders FROM orders`;
  const { rows } = await inDatabase(databaseUrl, (client) => client.query<{ orders: number }>(sql));
  return rows[0]?.orders ?? 0;
}
