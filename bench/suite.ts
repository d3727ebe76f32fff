/** What every suite of the benchmark is given, and what it gives back. */
import type { TopLevelSpec } from 'vega-lite';
import type { BenchCluster, ClusterOptions } from './cluster.ts';
import type { BenchServer, TargetOptions } from './child.ts';

/** The means of one run; whatever it starts is stopped and removed at the end, failed or not. */
export interface BenchRun {
  /** At least 1; a suite interleaves its contenders inside each round. */
  readonly rounds: number;
  /** Seconds of one load. */
  readonly seconds: number;
  /** What followed the suite's name; empty unless the suite asks for one. */
  readonly parameter: string;
  /** For files of this run; removed at its end. */
  readonly workDir: string;
  /** A line of progress on standard error. */
  readonly say: (line: string) => void;
  /** A PostgreSQL of its own. */
  readonly startCluster: (options?: ClusterOptions) => Promise<BenchCluster>;
  /** A server or target as a process of its own; a server sends its traces to a collector. */
  readonly startTarget: (options: TargetOptions) => Promise<BenchServer>;
  /** Runs before the clusters stop, last added first. */
  readonly atEnd: (clean: () => Promise<void>) => void;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  /** As long as `columns`; the first cell names the row. */
  readonly rows: readonly (readonly string[])[];
}

export interface Chart {
  /** Of its file, without an ending. */
  readonly name: string;
  /** Vega-Lite with its data inside; size and colours are the report's. */
  readonly spec: TopLevelSpec;
}

export interface SuiteReport {
  readonly title: string;
  /** What a sceptic has to know to read it: loads, pool sizes, keys, settings that differ. */
  readonly notes: readonly string[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
  /** Every single round, for the JSON beside the tables. */
  readonly data: unknown;
  /** Why the run fails although it is reported: a bar of the suite's own that was missed. */
  readonly failure?: string;
}

export interface Suite {
  /** As in `npm run bench -- NAME`. */
  readonly name: string;
  /** Name of the argument that must follow, where there is one: `BASE`. */
  readonly parameter?: string;
  /** One line for --help. */
  readonly summary: string;
  /** Minutes that it takes with its defaults, for --help. */
  readonly minutes: number;
  readonly defaults: { readonly rounds: number; readonly seconds: number };
  /**
   * Measures and audits.
   *
   * @throws Error when an audit failed or a load was answered with what it must not: such a run is
   * not reported.
   */
  run(run: BenchRun): Promise<SuiteReport>;
}
