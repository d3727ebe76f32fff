/** What a scenario of bench/k6 runs on, and what must be true after it. */
import { SHOWN_METRICS } from '../k6/lib/shown-metrics.ts';
import type { Seen } from './k6-run.ts';
import type { Shop, StoredRows } from './shop-rows.ts';

export interface Load {
  /** Iterations per second at the peak. */
  readonly rate: number;
  readonly seconds: number;
}

export interface Ground extends Shop {
  /** Each with a token; at least 1,000 come before the first comes again. */
  readonly customers: number;
  /** Of the server, beside what every server needs. */
  readonly env: Readonly<Record<string, string>>;
  /** Modules of the server's threads, relative to bench/. */
  readonly preload?: readonly string[];
}

/** After the server has stopped. */
export interface Ended {
  readonly load: Load;
  readonly ground: Ground;
  readonly seen: Seen;
  readonly stored: StoredRows;
}

/** A fact that must hold, and whether it does. */
export type Fact = readonly [what: string, holds: boolean];

export interface Scenario {
  /** Of its script too. */
  readonly name: string;
  readonly summary: string;
  /** Of the benchmark, which says for how many seconds. */
  readonly rate: number;
  /** For correctness alone, on a machine that does other things too. */
  readonly quick: Load;
  /** Iterations that an open model begins, whatever becomes of them. */
  due(load: Load): number;
  ground(load: Load): Ground;
  /** Beyond what holds for all: no order is lost, doubled or invented, and the audit is clean. */
  facts(ended: Ended): readonly Fact[];
}

/** What a counter of the script says. */
export function counted({ counts }: Seen, counter: string): number {
  return counts[counter] ?? 0;
}

/** All is sold, no unit more or less than there were: by what customers were told and what is stored. */
export function soldOut({ ground, seen, stored }: Ended): readonly Fact[] {
  const units = ground.products * ground.stock;
  const { accepted, unseen } = seen;
  return [
    [`all ${units} units are sold, not ${stored.unitsOrdered}`, stored.unitsOrdered === units],
    [
      `customers were told of ${units} orders, not ${accepted} (${unseen} know nothing)`,
      isWithin(units, { least: accepted, unseen }),
    ],
    [`the others were refused: ${seen.refused}`, seen.refused > 0],
  ];
}

/**
 * Crossed thresholds that a run cannot pass with: all of them where speed is not judged, those of
 * correctness where it is.
 */
export function fatal(crossed: Seen['crossed'], judgesSpeed: boolean): readonly string[] {
  const shown = SHOWN_METRICS.map((metric) => `${metric}: `);
  return crossed.filter((it) => !judgesSpeed || !shown.some((start) => it.startsWith(start)));
}

/** Nobody had to go empty. */
export function nobodyRefused({ seen }: Ended): readonly Fact[] {
  return [[`nobody is refused, not ${seen.refused}`, seen.refused === 0]];
}

/** Whether it may be what customers were told of, and what became of those who were told nothing. */
export function isWithin(
  stored: number,
  told: { readonly least: number; readonly unseen: number },
): boolean {
  return stored >= told.least && stored <= told.least + told.unseen;
}
