/** Figures over rounds: pure, and the same for the same rounds. */

/** Resamples of one interval. */
const RESAMPLES = 2_000;
/** Of an interval: 95 %. */
const TAILS = { low: 0.025, high: 0.975 };
/** Of the resampling: a report can be made again from its JSON. */
const SEED = 0x9e3779b9;
/** Two-sided 95 % quantiles of Student's t for 1 to 10 degrees of freedom. */
const T_QUANTILES = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281,
];
/** The same of the normal distribution, which t comes to with many. */
const Z = 1.959964;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A median over rounds with its 95 % percentile bootstrap interval. */
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

/**
 * The 95 % percentile bootstrap interval of a statistic; of one value, that value twice. Of few
 * values it is too narrow: that of a median of 7 covers 88 %.
 */
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
 * inverse weigh the same, with the 95 % t-interval of the mean of their logarithms.
 *
 * Not the bootstrap: a run has 7 to 9 rounds, and of so few a percentile bootstrap of a mean covers
 * about 90 %, since it knows no spread but the one that it has seen. Whoever fails on it, as the
 * guard does, would do so twice as often as it says.
 *
 * @throws RangeError without ratios, or with one that is not above 0
 */
export function ratioSummary(ratiosInsideRounds: readonly number[]): Interval & {
  readonly ratio: number;
} {
  const ratio = geometricMean(ratiosInsideRounds);
  const rounds = ratiosInsideRounds.length;
  if (rounds === 1) return { ratio, low: ratio, high: ratio };
  const squares = ratiosInsideRounds.reduce((sum, it) => sum + Math.log(it / ratio) ** 2, 0);
  const standardError = Math.sqrt(squares / (rounds - 1) / rounds);
  const factor = Math.exp(tQuantile(rounds - 1) * standardError);
  return { ratio, low: ratio / factor, high: ratio * factor };
}

/** Beyond the table by Cornish and Fisher's expansion, right to four digits there. */
function tQuantile(degrees: number): number {
  return (
    T_QUANTILES[degrees - 1] ??
    Z +
      (Z ** 3 + Z) / (4 * degrees) +
      (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / (96 * degrees ** 2) +
      (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / (384 * degrees ** 3)
  );
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
