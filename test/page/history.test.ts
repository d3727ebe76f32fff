import { describe, expect, test } from 'vitest';

import { Histories, History, HISTORY_POINTS_MAX, HISTORY_SPAN_MS } from '../../src/page/history.ts';

function fill(history: History<'rate'>, times: readonly number[]): void {
  for (const at of times) history.push(at, { rate: at });
}

describe('a history', () => {
  test('keeps five minutes (I9)', () => {
    const history = new History(['rate']);
    fill(
      history,
      Array.from({ length: 1_000 }, (_, n) => n * 1_000),
    );
    expect(history.times.at(-1)).toBe(999_000);
    expect(history.times[0]).toBe(999_000 - HISTORY_SPAN_MS);
    expect(history.column('rate')).toEqual(history.times);
  });

  test('keeps no more points than it may, however fast they come (I9)', () => {
    const history = new History(['rate']);
    fill(
      history,
      Array.from({ length: 5_000 }, (_, n) => n * 10),
    );
    expect(history.times).toHaveLength(HISTORY_POINTS_MAX);
    expect(history.column('rate')).toHaveLength(HISTORY_POINTS_MAX);
  });

  test('claims nothing of the time in which nothing came', () => {
    const history = new History(['rate']);
    fill(history, [1_000, 2_000, 60_000]);
    expect(history.times).toEqual([1_000, 2_000, 2_001, 60_000]);
    expect(history.column('rate')).toEqual([1_000, 2_000, null, 60_000]);
  });

  test('takes no moment twice and nothing late, but begins anew when the clock was set back', () => {
    const history = new History(['rate']);
    fill(history, [50_000, 50_000, 51_000, 50_500]);
    expect(history.times).toEqual([50_000, 51_000]);
    fill(history, [10_000]);
    expect(history.times).toEqual([10_000]);
  });
});

test('of more keys than there is room for, the one least lately added to is forgotten (I9)', () => {
  const histories = new Histories<string, 'rate'>(['rate'], 2);
  histories.push('a', 1, { rate: 1 });
  histories.push('b', 1, { rate: 1 });
  histories.push('a', 2, { rate: 2 });
  histories.push('c', 2, { rate: 1 });
  expect(histories.size).toBe(2);
  expect(histories.get('b')).toBeUndefined();
  expect(histories.get('a')?.column('rate')).toEqual([1, 2]);
});
