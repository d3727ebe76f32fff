/**
 * A PostgreSQL of a benchmark's own: the embedded cluster with its settings and durable, on a disk
 * as slow as asked for. Nobody watches over it: one that ends is not restarted behind the figures.
 */
import { appendFile, chmod, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { runAs } from '../src/db/embedded-account.ts';
import {
  createCluster,
  openCluster,
  readPassword,
  readPostmaster,
  startServer,
  stopServer,
} from '../src/db/embedded-cluster.ts';
import type { Cluster } from '../src/db/embedded-cluster.ts';
import { urlOf } from '../src/db/embedded-server.ts';
import { compileSlowFsync } from './slow-fsync.ts';
import { inDatabase } from './in-database.ts';

const MAINTENANCE_DATABASE = 'postgres';
/** PostgreSQL's account passes through it and reads no more. */
const PASSED_BY_ALL = 0o711;
/** A commit that has to reach the disk. */
const COMMIT_SQL = /* sql */ `CREATE TABLE slow_fsync (); DROP TABLE slow_fsync`;

export interface ClusterOptions {
  /** Milliseconds added to every fsync, as a network disk would; PostgreSQL alone is slowed. */
  readonly fsyncDelayMs?: number;
  /** As in postgresql.conf, without quotes; they win over the embedded cluster's own. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface BenchCluster {
  /** Of the maintenance database, as a superuser. */
  readonly databaseUrl: string;
  /** The postmaster's. */
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * Creates a cluster below `workDir` and starts it.
 *
 * @throws Error fit for whoever runs the benchmark: no binaries, no C compiler, a bad setting
 */
export async function startCluster(
  workDir: string,
  options: ClusterOptions = {},
): Promise<BenchCluster> {
  await chmod(workDir, PASSED_BY_ALL);
  const cluster = await openCluster(await mkdtemp(join(workDir, 'postgres-')));
  await createCluster(cluster, () => undefined);
  let postmaster = await startServer(cluster);
  try {
    if (options.fsyncDelayMs !== undefined || options.settings !== undefined) {
      await restartWith(cluster, options);
      postmaster = (await readPostmaster(cluster)) ?? postmaster;
    }
    const password = await readPassword(cluster);
    const databaseUrl = urlOf({ postmaster, password }, MAINTENANCE_DATABASE);
    await assertSlow(databaseUrl, options.fsyncDelayMs ?? 0);
    return { databaseUrl, pid: postmaster.pid, stop: () => stopServer(cluster) };
  } catch (error) {
    await stopServer(cluster);
    throw error;
  }
}

/** The start writes the settings file whole, so ours go behind it, before a second start. */
async function restartWith(
  cluster: Cluster,
  { fsyncDelayMs = 0, settings = {} }: ClusterOptions,
): Promise<void> {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'\n`,
  );
  await appendFile(join(cluster.directory, 'postgresql.conf'), lines.join(''));
  const slow =
    fsyncDelayMs > 0
      ? [
          `LD_PRELOAD=${await compileSlowFsync(cluster.dataDir)}`,
          `HEDONIFY_FSYNC_DELAY_US=${Math.round(fsyncDelayMs * 1000)}`,
        ]
      : [];
  const restart = ['restart', `--pgdata=${cluster.directory}`, `--log=${cluster.logFile}`];
  const { code, output } = await runAs(cluster.account, {
    program: 'env',
    args: [...slow, cluster.binaries.pgCtl, ...restart, '--wait', '--silent', '--mode=fast'],
  });
  if (code !== 0) throw new Error(`PostgreSQL did not start with what it was given.\n${output}`);
}

/** A preloaded library may be ignored in silence, and the figures would be of the fast disk. */
async function assertSlow(databaseUrl: string, delayMs: number): Promise<void> {
  if (delayMs === 0) return;
  await inDatabase(databaseUrl, async (client) => {
    const started = performance.now();
    await client.query(COMMIT_SQL);
    if (performance.now() - started >= delayMs) return;
    throw new Error(`a commit took less than the ${delayMs} ms that its fsync was slowed by`);
  });
}
