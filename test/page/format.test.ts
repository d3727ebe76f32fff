import { expect, test } from 'vitest';

import {
  bytesText,
  clockText,
  countText,
  dateText,
  durationText,
  NONE,
  percentText,
  ranked,
  rateText,
  sellOutText,
  shortId,
  toneOf,
} from '../../src/page/format.ts';

test.each([
  [0, '0'],
  [999_999, '999,999'],
  [1_234_567, '1.235M'],
  [1_000_000_000, '1B'],
  [null, NONE],
])('the count %j is %j', (count, text) => expect(countText(count)).toBe(text));

test.each([
  [0, '0'],
  [0.04, '<0.1'],
  [9.94, '9.9'],
  [9.96, '10'],
  [12_345.6, '12,346'],
  [null, NONE],
])('the rate %j is %j', (rate, text) => expect(rateText(rate)).toBe(text));

test.each([
  [0, '0 ms'],
  [0.01, '<0.1 ms'],
  [0.44, '0.4 ms'],
  [9.96, '10 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [9_960, '10 s'],
  [59_400, '59 s'],
  [59_600, '1 min'],
  [130_000, '2 min 10 s'],
  [3_599_600, '1 h'],
  [11_100_000, '3 h 5 min'],
  [8 * 86_400_000, '8 days'],
  [null, NONE],
])('%j ms are %j', (ms, text) => expect(durationText(ms)).toBe(text));

test('bytes and shares are short', () => {
  expect([bytesText(58_000_000), bytesText(3 * 2 ** 30)]).toEqual(['55 MiB', '3.0 GiB']);
  expect([0, 0.004, 0.5, 1].map(percentText)).toEqual(['0 %', '0.4 %', '50 %', '100 %']);
});

test('times are local, with all their digits; none is none', () => {
  const time = new Date(2030, 0, 2, 3, 4, 5, 6).getTime();
  expect(clockText(time)).toBe('03:04:05');
  expect(clockText(time, 'milliseconds')).toBe('03:04:05.006');
  expect(dateText(time)).toBe('2030-01-02 03:04:05');
  expect([clockText(Number.NaN), dateText(Number.NaN)]).toEqual([NONE, NONE]);
});

test('an id is told by its end, since its beginning is a time', () => {
  expect(shortId('01970000-0000-7000-8000-00000000beef')).toBe('…0000beef');
  expect(shortId('short')).toBe('short');
});

test('a sale ends when nothing is left, in a while, now, or nobody knows when', () => {
  const now = Date.parse('2030-01-01T00:00:00Z');
  const text = (available: number, soldOutAt: string | null) =>
    sellOutText({ available, soldOutAt, now });
  expect(text(0, '2030-01-01T00:05:00Z')).toBe('sold out');
  expect(text(9, '2030-01-01T00:02:10Z')).toBe('in 2 min 10 s');
  expect(text(9, '2029-12-31T23:59:00Z')).toBe('now');
  expect(text(9, null)).toBe(NONE);
});

test('a bound that is nearly used up is alarming, one of zero is not', () => {
  expect([0, 49, 50, 79, 80, 200].map((value) => toneOf(value, 100))).toEqual([
    'calm',
    'calm',
    'warn',
    'warn',
    'alert',
    'alert',
  ]);
  expect(toneOf(0, 0)).toBe('calm');
});

test('reasons are ranked by how often they were given; those never given are left out', () => {
  expect(ranked({ a: 1, b: 0, c: 7 })).toEqual({
    total: 8,
    names: [
      ['c', 7],
      ['a', 1],
    ],
  });
});
