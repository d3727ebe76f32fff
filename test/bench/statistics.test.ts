import { describe, expect, test } from 'vitest';
import {
  bootstrap,
  geometricMean,
  median,
  quantile,
  ratioSummary,
  summarise,
} from '../../bench/statistics.ts';

describe('figures over rounds', () => {
  test('a median is the middle, or half-way between the two middles', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test('a quantile lies between its two nearest ranks', () => {
    expect([0, 0.25, 0.9, 1].map((q) => quantile([10, 20, 30, 40, 50], q))).toEqual([
      10, 20, 46, 50,
    ]);
  });

  test('in a geometric mean a ratio and its inverse cancel out', () => {
    expect(geometricMean([4, 0.25])).toBeCloseTo(1, 12);
    expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
  });

  test('no values have no median, and a ratio of 0 no mean', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => geometricMean([])).toThrow(RangeError);
    expect(() => geometricMean([1, 0])).toThrow(RangeError);
    expect(() => bootstrap([], median)).toThrow(RangeError);
  });

  test('an interval surrounds the statistic, within what was seen, and is the same each time', () => {
    const values = [12, 15, 11, 19, 14, 13, 16];
    const interval = bootstrap(values, median);
    expect(interval.low).toBeGreaterThanOrEqual(11);
    expect(interval.low).toBeLessThan(14);
    expect(interval.high).toBeGreaterThan(14);
    expect(interval.high).toBeLessThanOrEqual(19);
    expect(bootstrap(values, median)).toEqual(interval);
    expect(summarise(values)).toEqual({ median: 14, ...interval });
  });

  test('one value is its own interval, and rounds that agree have a narrow one', () => {
    expect(bootstrap([7], median)).toEqual({ low: 7, high: 7 });
    const wide = bootstrap([1, 5, 9, 2, 8], median);
    const narrow = bootstrap([4.9, 5, 5.1, 4.95, 5.05], median);
    expect(narrow.high - narrow.low).toBeLessThan(wide.high - wide.low);
  });

  test('a bootstrapped mean has the interval that theory gives it', () => {
    // Of 400 values spread evenly from 0 to 1 the standard error of the mean is 0.0144.
    const values = Array.from({ length: 400 }, (_, n) => n / 399);
    const mean = (some: readonly number[]) => some.reduce((sum, it) => sum + it, 0) / some.length;
    const { low, high } = bootstrap(values, mean);
    expect(low).toBeCloseTo(0.5 - 1.96 * 0.0144, 2);
    expect(high).toBeCloseTo(0.5 + 1.96 * 0.0144, 2);
  });

  test('ratios of rounds are summed up by their geometric mean', () => {
    const { ratio, low, high } = ratioSummary([1, 2, 4]);
    expect(ratio).toBeCloseTo(2, 12);
    expect(low * high).toBeCloseTo(4, 12);
    expect(ratioSummary([0.5])).toEqual({ ratio: 0.5, low: 0.5, high: 0.5 });
    expect(() => ratioSummary([])).toThrow(RangeError);
  });

  test.each([
    [2, 12.706],
    [7, 2.447],
    [9, 2.306],
    [11, 2.228],
    [12, 2.201],
    [31, 2.042],
    [101, 1.984],
  ])('the interval of %i ratios is as wide as Student says: %f standard errors', (rounds, t) => {
    const ratios = Array.from({ length: rounds }, (_, n) => Math.exp(Math.sin(n)));
    const logs = ratios.map(Math.log);
    const mean = logs.reduce((sum, log) => sum + log, 0) / rounds;
    const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (rounds - 1);
    const { ratio, low, high } = ratioSummary(ratios);
    const standardError = Math.sqrt(variance / rounds);
    expect(Math.log(high / ratio) / standardError).toBeCloseTo(t, 3);
    expect(Math.log(ratio / low) / standardError).toBeCloseTo(t, 3);
  });
});
