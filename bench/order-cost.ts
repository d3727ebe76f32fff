/** Orders per second of a server in a closed loop, and what each costs which process. */
import type { BenchCluster } from './cluster.ts';
import { cpuOf, postgresCpu } from './cpu.ts';
import { runLoad } from './http-load.ts';
import type { LoadOptions, LoadResult } from './http-load.ts';
import type { OrdersServer } from './orders-server.ts';

/** CPU microseconds per accepted order. */
export interface OrderCost {
  /** The server's main thread. */
  readonly http: number;
  /** Shard threads. */
  readonly shards: number;
  /** Garbage collection, compilation and what else Node does beside. */
  readonly runtime: number;
  readonly postgres: number;
}

export type CostedLoad = LoadResult & { readonly cpu: OrderCost };

/** @throws Error when any request was answered with anything but 201 */
export async function measureCost(
  server: OrdersServer,
  cluster: BenchCluster,
  load: Omit<LoadOptions, 'url'>,
): Promise<CostedLoad> {
  const used = () => ({ ...cpuOf(server.pid), postgres: postgresCpu(cluster.pid) });
  const before = used();
  const result = await runLoad({ ...load, url: server.url });
  const after = used();
  const { accepted, failed } = result;
  if (failed > 0) throw new Error(`${failed} requests to ${server.name} failed`);
  const perOrder = (key: keyof typeof before) => ((after[key] - before[key]) * 1e6) / accepted;
  const cpu = {
    http: perOrder('main'),
    shards: perOrder('shards'),
    runtime: perOrder('runtime'),
    postgres: perOrder('postgres'),
  };
  return { ...result, cpu };
}
