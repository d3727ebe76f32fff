/** Figures of a run: medians over rounds, and ratios taken inside each round. */
import type { LoadResult } from './http-load.ts';

export const CONNECTIONS = [64, 256] as const;
export type Connections = (typeof CONNECTIONS)[number];

/** CPU microseconds per accepted order. */
export interface CpuPerOrder {
  readonly http: number;
  /** Shard threads, garbage collection and everything else of the server's process. */
  readonly otherThreads: number;
  readonly postgres: number;
}

export interface Round {
  readonly echo: Readonly<Record<Connections, LoadResult>>;
  readonly roof: Readonly<Record<Connections, LoadResult>>;
  readonly orders: Readonly<Record<Connections, LoadResult & { readonly cpu: CpuPerOrder }>>;
  /** Orders per second by "connections x batch". */
  readonly raw: Readonly<Record<string, number>>;
  readonly engine: number;
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
    ...CONNECTIONS.flatMap((c) => [
      row(`echo, ${c} connections`, (round) => round.echo[c].perSecond),
      row(`roof, ${c} connections`, (round) => round.roof[c].perSecond),
      row(`**POST /orders, ${c} connections**`, (round) => round.orders[c].perSecond),
    ]),
    ...shapes.map((shape) => row(`raw COPY + merge, ${shape}`, (round) => round.raw[shape] ?? 0)),
    row('**engine without HTTP**', (round) => round.engine),
  ];
}

function ratioRows(rounds: readonly Round[]): string[][] {
  const row = (name: string, bar: number, of: (round: Round) => number) => [
    name,
    ...figures(summarise(rounds.map(of)), (value) => value.toFixed(2)),
    `${bar.toFixed(2)}`,
  ];
  return [
    ...CONNECTIONS.flatMap((c) => [
      row(`orders / echo, ${c} connections`, 0.28, ({ orders, echo }) => ratio(orders[c], echo[c])),
      row(`orders / roof, ${c} connections`, 0.5, ({ orders, roof }) => ratio(orders[c], roof[c])),
    ]),
    row('engine / best raw', 0.6, (round) => round.engine / rawBest(round)),
  ];
}

function latencyRows(rounds: readonly Round[]): string[][] {
  const row = (name: string, of: (round: Round) => LoadResult) => [
    name,
    summarise(rounds.map((round) => of(round).p50)).median.toFixed(1),
    summarise(rounds.map((round) => of(round).p99)).median.toFixed(1),
  ];
  return CONNECTIONS.flatMap((c) => [
    row(`roof, ${c} connections`, (round) => round.roof[c]),
    row(`POST /orders, ${c} connections`, (round) => round.orders[c]),
  ]);
}

function cpuRows(rounds: readonly Round[]): string[][] {
  return CONNECTIONS.map((c) => {
    const cpu = rounds.map((round) => round.orders[c].cpu);
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

function at(values: readonly number[], i: number): number {
  return values[i] ?? Number.NaN;
}
