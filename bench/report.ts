/** Figures of a run: medians over rounds, and ratios taken inside each round. */
import type { LoadResult } from './http-load.ts';

export const CONNECTIONS: readonly number[] = [64, 256];

/** CPU microseconds per accepted order. */
export interface CpuPerOrder {
  readonly http: number;
  /** Shard threads, garbage collection and everything else of the server's process. */
  readonly otherThreads: number;
  readonly postgres: number;
}

/** Loads over HTTP with one number of connections. */
export interface HttpLoads {
  readonly connections: number;
  readonly echo: LoadResult;
  readonly roof: LoadResult;
  readonly orders: LoadResult & { readonly cpu: CpuPerOrder };
  /** As `orders`, with one batch in flight. */
  readonly alone: LoadResult;
  /** Three lines across four shards. */
  readonly carts: LoadResult;
}

export interface Round {
  /** As `CONNECTIONS`. */
  readonly http: readonly HttpLoads[];
  /** Orders per second by "connections x batch". */
  readonly raw: Readonly<Record<string, number>>;
  readonly engine: number;
  readonly engineAlone: number;
}

interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (at(sorted, Math.ceil(middle) - 1) + at(sorted, Math.floor(middle))) / 2;
  return { median, min: at(sorted, 0), max: at(sorted, sorted.length - 1) };
}

function rawBest(round: Round): number {
  return Math.max(...Object.values(round.raw));
}

/** A Markdown report: throughput, ratios with their bars, latency, CPU by stage. */
export function report(rounds: readonly Round[], facts: readonly string[]): string {
  return [
    ...facts.map((fact) => `- ${fact}`),
    '',
    ...table(['orders/s', 'median', 'min', 'max'], throughputRows(rounds)),
    '',
    ...table(['ratio, taken inside each round', 'median', 'min', 'max', 'bar'], ratioRows(rounds)),
    '',
    ...table(['latency (closed loop)', 'p50 ms', 'p99 ms'], latencyRows(rounds)),
    '',
    ...table(['CPU us per order', 'HTTP thread', 'other threads', 'PostgreSQL'], cpuRows(rounds)),
    '',
  ].join('\n');
}

function throughputRows(rounds: readonly Round[]): string[][] {
  const row = (name: string, of: (round: Round) => number) => [
    name,
    ...figures(summarise(rounds.map(of)), (value) => Math.round(value).toLocaleString('en-US')),
  ];
  const shapes = Object.keys(rounds[0]?.raw ?? {});
  return [
    ...CONNECTIONS.flatMap((c, i) => [
      row(`echo, ${c} connections`, (round) => at(round.http, i).echo.perSecond),
      row(`roof, ${c} connections`, (round) => at(round.http, i).roof.perSecond),
      row(`**POST /orders, ${c} connections**`, (round) => at(round.http, i).orders.perSecond),
      row(`one batch in flight, ${c} connections`, (round) => at(round.http, i).alone.perSecond),
      row(
        `carts of 3 lines on 4 shards, ${c} connections`,
        (round) => at(round.http, i).carts.perSecond,
      ),
    ]),
    ...shapes.map((shape) => row(`raw COPY + merge, ${shape}`, (round) => round.raw[shape] ?? 0)),
    row('**engine without HTTP**', (round) => round.engine),
    row('engine without HTTP, one batch in flight', (round) => round.engineAlone),
  ];
}

function ratioRows(rounds: readonly Round[]): string[][] {
  const row = (name: string, bar: number | null, of: (round: Round) => number) => [
    name,
    ...figures(summarise(rounds.map(of)), (value) => value.toFixed(2)),
    bar === null ? '' : bar.toFixed(2),
  ];
  const rowOf = (
    name: string,
    bar: number | null,
    of: (loads: HttpLoads) => readonly [LoadResult, LoadResult],
  ) =>
    CONNECTIONS.map((c, i) =>
      row(`${name}, ${c} connections`, bar, (round) => ratio(...of(at(round.http, i)))),
    );
  return [
    ...rowOf('orders / echo', 0.28, ({ orders, echo }) => [orders, echo]),
    ...rowOf('orders / roof', 0.5, ({ orders, roof }) => [orders, roof]),
    ...rowOf('carts / orders', 0.5, ({ carts, orders }) => [carts, orders]),
    ...rowOf('two batches in flight / one', null, ({ orders, alone }) => [orders, alone]),
    row('engine / best raw', 0.6, (round) => round.engine / rawBest(round)),
    row(
      'engine, two batches in flight / one',
      null,
      ({ engine, engineAlone }) => engine / engineAlone,
    ),
  ];
}

function latencyRows(rounds: readonly Round[]): string[][] {
  const row = (name: string, of: (round: Round) => LoadResult) => [
    name,
    summarise(rounds.map((round) => of(round).p50)).median.toFixed(1),
    summarise(rounds.map((round) => of(round).p99)).median.toFixed(1),
  ];
  return CONNECTIONS.flatMap((c, i) => [
    row(`roof, ${c} connections`, (round) => at(round.http, i).roof),
    row(`POST /orders, ${c} connections`, (round) => at(round.http, i).orders),
    row(`carts of 3 lines on 4 shards, ${c} connections`, (round) => at(round.http, i).carts),
  ]);
}

function cpuRows(rounds: readonly Round[]): string[][] {
  return CONNECTIONS.map((c, i) => {
    const cpu = rounds.map((round) => at(round.http, i).orders.cpu);
    return [
      `POST /orders, ${c} connections`,
      summarise(cpu.map(({ http }) => http)).median.toFixed(0),
      summarise(cpu.map(({ otherThreads }) => otherThreads)).median.toFixed(0),
      summarise(cpu.map(({ postgres }) => postgres)).median.toFixed(0),
    ];
  });
}

function ratio(a: LoadResult, b: LoadResult): number {
  return a.perSecond / b.perSecond;
}

function figures({ median, min, max }: Summary, format: (value: number) => string): string[] {
  return [format(median), format(min), format(max)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)];
}

function at<T>(values: readonly T[], i: number): T {
  const value = values[i];
  if (value === undefined) throw new Error('a measurement is missing');
  return value;
}
