/** Orders per second of a server in a closed loop, and what each costs which process. */
import type { BenchServer } from './child.ts';
import type { BenchCluster } from './cluster.ts';
import { cpuOf, postgresCpu } from './cpu.ts';
import { runLoad } from './http-load.ts';
import type { LoadOptions, LoadResult } from './http-load.ts';

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

/** A load and what it cost; `load` may be anything that sends it. */
export async function withCost(
  pids: { readonly server: number; readonly postmaster: number },
  load: () => Promise<LoadResult>,
): Promise<CostedLoad> {
  const used = () => ({ ...cpuOf(pids.server), postgres: postgresCpu(pids.postmaster) });
  const before = used();
  const result = await load();
  const after = used();
  const perOrder = (key: keyof typeof before) =>
    ((after[key] - before[key]) * 1e6) / result.accepted;
  const cpu = {
    http: perOrder('main'),
    shards: perOrder('shards'),
    runtime: perOrder('runtime'),
    postgres: perOrder('postgres'),
  };
  return { ...result, cpu };
}

/** @throws Error when any request was answered with anything but 201 */
export async function measureCost(
  server: BenchServer,
  cluster: BenchCluster,
  load: Omit<LoadOptions, 'url'>,
): Promise<CostedLoad> {
  const pids = { server: server.pid, postmaster: cluster.pid };
  const costed = await withCost(pids, () => runLoad({ ...load, url: server.url }));
  if (costed.failed > 0) throw new Error(`${costed.failed} requests to ${server.name} failed`);
  return costed;
}
