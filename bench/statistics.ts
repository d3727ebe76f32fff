/** Figures over rounds: pure, and the same for the same rounds. */

/** Resamples of one interval. */
const RESAMPLES = 2_000;
/** Of an interval: 95 %. */
const TAILS = { low: 0.025, high: 0.975 };
/** Of the resampling: a report can be made again from its JSON. */
const SEED = 0x9e3779b9;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A median over rounds with its 95 % bootstrap interval. */
export interface Summary extends Interval {
  readonly median: number;
}

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Between the two nearest ranks, as R's default and NumPy's.
 *
 * @param q 0 to 1
 * @throws RangeError without values
 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = q * (sorted.length - 1);
  const below = sorted[Math.floor(rank)];
  const above = sorted[Math.ceil(rank)];
  if (below === undefined || above === undefined) throw new RangeError('no values, or no such q');
  return below + (above - below) * (rank - Math.floor(rank));
}

/** @throws RangeError without values, or with one that is not above 0 */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0 || values.some((value) => !(value > 0))) {
    throw new RangeError('a geometric mean is of values above 0');
  }
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The 95 % percentile bootstrap interval of a statistic; of one value, that value twice. */
export function bootstrap(
  values: readonly number[],
  statistic: (values: readonly number[]) => number,
): Interval {
  const random = mulberry32(SEED);
  const statistics = Array.from({ length: RESAMPLES }, () =>
    statistic(values.map(() => values[Math.floor(random() * values.length)] ?? Number.NaN)),
  );
  return { low: quantile(statistics, TAILS.low), high: quantile(statistics, TAILS.high) };
}

/** The median over rounds with its interval. */
export function summarise(values: readonly number[]): Summary {
  return { median: median(values), ...bootstrap(values, median) };
}

/**
 * Of ratios that were each taken inside one round: their geometric mean, in which a ratio and its
 * inverse weigh the same, with its interval.
 */
export function ratioSummary(ratiosInsideRounds: readonly number[]): Interval & {
  readonly ratio: number;
} {
  return {
    ratio: geometricMean(ratiosInsideRounds),
    ...bootstrap(ratiosInsideRounds, geometricMean),
  };
}

/** Numbers from 0 up to 1. Source: Tommy Ettinger's Mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
