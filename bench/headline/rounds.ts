/** What one round of the headline suite measured. */
import type { LoadResult } from '../http-load.ts';
import type { OrderCost } from '../order-cost.ts';

/** In the order in which they are measured: what is divided by one another stands close. */
export const SERVED = ['echo', 'roof', 'orders', 'soldOut', 'timed', 'alone', 'carts'] as const;
export type ServedName = (typeof SERVED)[number];

/** Connections at which everything is measured. */
export const FULL_CLIENTS: readonly number[] = [64, 256];
/** Connections at which POST /orders is, for the plot of its batches. */
export const ORDER_CLIENTS: readonly number[] = [1, 16, 64, 256, 512];

/** Of batches in the middle of a load. */
export interface BatchFigures {
  readonly ordersMedian: number;
  /** Milliseconds from sending a batch to its COMMIT's tag. */
  readonly commitP50: number;
  readonly commitP99: number;
}

/** All loads with one number of connections. */
export interface Step {
  readonly connections: number;
  /** All of `SERVED` at `FULL_CLIENTS`, else `orders`. */
  readonly loads: Readonly<Partial<Record<ServedName, LoadResult>>>;
  readonly cpu: OrderCost;
  readonly batches: BatchFigures;
}

export interface HeadlineRound {
  /** As `ORDER_CLIENTS`. */
  readonly steps: readonly Step[];
  /** Orders per second by "connections x batch". */
  readonly raw: Readonly<Record<string, number>>;
  readonly engine: number;
  readonly engineAlone: number;
  /** Bytes at the end of the round: the server of `orders`, and PostgreSQL for all servers. */
  readonly memory: { readonly server: number; readonly postgres: number };
}

/** @throws Error when the round has no such step */
export function stepOf(round: HeadlineRound, connections: number): Step {
  const step = round.steps.find((it) => it.connections === connections);
  if (step === undefined) throw new Error(`nothing was measured at ${connections} connections`);
  return step;
}

/** @throws Error when it was not measured there */
export function loadOf(round: HeadlineRound, connections: number, name: ServedName): LoadResult {
  const load = stepOf(round, connections).loads[name];
  if (load === undefined) throw new Error(`${name} was not measured at ${connections} connections`);
  return load;
}
