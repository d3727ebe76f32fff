import { expect, test } from 'vitest';

import { lonePoints, STEPS, WHOLE_STEPS } from '../../src/page/chart-lines.ts';
import { countText, durationText, rateText } from '../../src/page/format.ts';

test('a value between gaps is marked, what a line joins is not', () => {
  expect(lonePoints([1, null, 2, 3, null, 0, undefined])).toEqual([0, 5]);
  expect(lonePoints([7])).toEqual([0]);
  expect(lonePoints([null, 1, 2])).toEqual([]);
});

/** A grid has five lines at most. */
const LINES = [1, 2, 3, 4, 5];

test.each(STEPS.filter((step) => step < 100))('lines %d apart are labelled exactly', (step) => {
  const values = LINES.map((n) => Number((n * step).toFixed(1)));
  expect(values.map((value) => Number(rateText(value)))).toEqual(values);
  expect(values.map((value) => durationText(value))).toEqual(
    values.map((value) => `${rateText(value)} ms`),
  );
});

test('things that are counted have no halves', () => {
  expect(WHOLE_STEPS.every((step) => Number.isInteger(step))).toBe(true);
  expect(WHOLE_STEPS.slice(0, 4).map((step) => countText(step))).toEqual(['1', '2', '5', '10']);
});
