/** The embedded PostgreSQL of a server process, as somebody sees it who wants to break it. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { openCluster, readPassword, readPostmaster } from '../../src/db/embedded-cluster.ts';
import type { Cluster } from '../../src/db/embedded-cluster.ts';
import { serverProcesses } from '../../src/db/embedded-processes.ts';
import { EMBEDDED_DATABASE, urlOf } from '../../src/db/embedded-server.ts';
import { until } from '../support/until.ts';

export class OwnPostgres {
  /** DATA_DIR of the server. */
  readonly dataDir: string;
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
    this.dataDir = join(root, 'data');
  }

  /** A place for one; the server that is started with it as DATA_DIR makes it. */
  static async prepare(): Promise<OwnPostgres> {
    const root = await mkdtemp(join(tmpdir(), 'hedonify-own-'));
    // As root, PostgreSQL runs under another account, which has to pass through.
    await chmod(root, 0o711);
    return new OwnPostgres(root);
  }

  /** The same after every restart. */
  async databaseUrl(): Promise<string> {
    const cluster = await this.#cluster();
    const postmaster = await readPostmaster(cluster);
    if (postmaster === undefined) throw new Error('the embedded PostgreSQL does not run');
    const password = await readPassword(cluster);
    return urlOf({ postmaster, password }, EMBEDDED_DATABASE);
  }

  /** Process id of its postmaster; undefined while there is none. */
  async postmaster(): Promise<number | undefined> {
    return (await readPostmaster(await this.#cluster()))?.pid;
  }

  /** Of the postmaster and everything that it forked. */
  async processes(): Promise<readonly number[]> {
    const cluster = await this.#cluster();
    return serverProcesses(cluster) ?? [];
  }

  /** Stops every process of it, also those that are forked meanwhile; `wake` lets them go on. */
  async freeze(): Promise<void> {
    const stopped = new Set<number>();
    await until('all of PostgreSQL stands still', async () => {
      const running = (await this.processes()).filter((pid) => !stopped.has(pid));
      for (const pid of running) {
        process.kill(pid, 'SIGSTOP');
        stopped.add(pid);
      }
      return running.length === 0;
    });
  }

  async wake(): Promise<void> {
    for (const pid of await this.processes()) process.kill(pid, 'SIGCONT');
  }

  /**
   * Signals the postmaster and waits until another one accepts connections.
   * @returns performance.now() when it did
   */
  async end(signal: NodeJS.Signals): Promise<number> {
    const url = await this.databaseUrl();
    const former = await this.postmaster();
    if (former === undefined) throw new Error('the embedded PostgreSQL does not run');
    process.kill(former, signal);
    await until(`PostgreSQL is back after ${signal}`, async () => {
      const now = await this.postmaster();
      return now !== undefined && now !== former && (await accepts(url));
    });
    return performance.now();
  }

  /** Kills what is left of it. */
  async remove(): Promise<void> {
    for (const pid of await this.processes()) process.kill(pid, 'SIGKILL');
    await rm(this.#root, { recursive: true, force: true });
  }

  #cluster(): Promise<Cluster> {
    return openCluster(this.dataDir);
  }
}

async function accepts(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end();
  }
}
