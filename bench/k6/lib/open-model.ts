/**
 * Options of a scenario. The model is open: requests begin when they are due, whatever became of the
 * earlier ones. An iteration that found no idle virtual user counts as dropped, never as delayed.
 */
import type { Options, RampingArrivalRateScenario, Threshold } from 'k6/options';
import type { SHOWN_METRICS } from './shown-metrics.ts';
import { JUDGES_SPEED, RATE } from './plan.ts';

type Thresholds = Readonly<Record<string, Threshold[]>>;
/** Typed by name: one of another metric would fail a benchmark. */
type SpeedThresholds = Readonly<Partial<Record<(typeof SHOWN_METRICS)[number], Threshold[]>>>;
type Arrivals = RampingArrivalRateScenario;

/** An iteration still under way at the end; longer than REQUEST_TIMEOUT_MS of the server. */
const GRACEFUL_STOP = '10s';
/** Enough for answers within 125 ms. They all start before the load: starting one costs time. */
const VUS_PER_RATE = 1 / 8;
const VUS_MIN = 30;

export interface Stage {
  readonly rate: number;
  readonly seconds: number;
}

/** From the first rate through each stage; a stage of 0 seconds is a jump. */
export function arrivals(
  startRate: number,
  stages: readonly Stage[],
  vus: number = Math.max(VUS_MIN, RATE * VUS_PER_RATE),
): Arrivals {
  return {
    executor: 'ramping-arrival-rate',
    startRate: Math.round(startRate),
    timeUnit: '1s',
    stages: stages.map(({ rate, seconds }) => ({
      target: Math.round(rate),
      duration: `${Math.round(seconds * 1000)}ms`,
    })),
    preAllocatedVUs: Math.ceil(vus),
    gracefulStop: GRACEFUL_STOP,
  };
}

/** One rate from the first to the last second. */
export function steady(rate: number, seconds: number, vus?: number): Arrivals {
  return arrivals(rate, [{ rate, seconds }], vus);
}

/** @param judged - `speed` is left out where only correctness is judged. */
export function optionsOf(
  scenarios: Readonly<Record<string, Arrivals>>,
  judged: { readonly always?: Thresholds; readonly speed: SpeedThresholds },
): Options {
  return {
    scenarios,
    summaryTrendStats: ['p(50)', 'p(95)', 'p(99)'],
    thresholds: {
      answers_unexpected: ['count==0'],
      ...judged.always,
      ...(JUDGES_SPEED ? judged.speed : {}),
    },
  };
}
