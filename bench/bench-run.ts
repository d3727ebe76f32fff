/** The means of one run: starts what a suite asks for, and leaves nothing of it behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTarget } from './child.ts';
import { startCluster } from './cluster.ts';
import { startTraceSink } from './collector.ts';
import { killGenerators } from './generator.ts';
import { clusterFact } from './machine.ts';
import type { BenchRun } from './suite.ts';

const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';

type Clean = () => Promise<void>;

export interface OpenRun {
  readonly run: BenchRun;
  /** Of every cluster that was started; none twice. */
  readonly facts: ReadonlySet<string>;
  /** Ends everything, also what is only being started; from here on nothing can be. */
  close(): Promise<void>;
}

export async function openRun(options: {
  readonly rounds: number;
  readonly seconds: number;
  readonly parameter: string;
  readonly say: (line: string) => void;
}): Promise<OpenRun> {
  const workDir = await mkdtemp(join(tmpdir(), 'hedonify-bench-'));
  const facts = new Set<string>();
  /** Servers hold connections, and an audit may be under way: clusters go after all of them. */
  const cleans: { first: Clean[]; clusters: Clean[] } = { first: [], clusters: [] };
  let closed = false;
  const sink = await startTraceSink();
  cleans.first.push(() => sink.stop());

  const start = async <T extends { stop(): Promise<void> }>(
    kind: Clean[],
    starting: () => Promise<T>,
  ): Promise<T> => {
    if (closed) throw new Error('the run is over: nothing is started any more');
    const started = starting();
    // Whoever interrupts a start waits for its end: what it spawned is not known before.
    kind.push(async () => {
      const it = await started.catch(() => undefined);
      await it?.stop();
    });
    return await started;
  };

  return {
    facts,
    run: {
      ...options,
      workDir,
      startCluster: (asked = {}) =>
        start(cleans.clusters, async () => {
          options.say('starting PostgreSQL');
          const cluster = await startCluster(workDir, asked);
          facts.add(await clusterFact(cluster.databaseUrl, asked));
          return cluster;
        }),
      startTarget: (asked) =>
        start(cleans.first, () =>
          startTarget({ ...asked, env: { [ENDPOINT]: sink.endpoint, ...asked.env } }),
        ),
      atEnd: (clean) => cleans.first.push(clean),
    },
    close: async () => {
      closed = true;
      killGenerators();
      for (const clean of [...cleans.first.toReversed(), ...cleans.clusters.toReversed()]) {
        // One that fails must not keep the others; what it leaves is in the work directory.
        await clean().catch((error: unknown) => {
          options.say(`could not clean up: ${error instanceof Error ? error.message : 'unknown'}`);
        });
      }
      await rm(workDir, { recursive: true, force: true });
    },
  };
}
