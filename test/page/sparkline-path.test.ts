import { expect, test } from 'vitest';

import { sparklinePaths } from '../../src/page/sparkline-path.ts';

const BOX = { points: 5, width: 40, height: 12 };

test('the newest value stands at the right, the largest at the top', () => {
  const { line, area } = sparklinePaths([0, 5, 10], BOX);
  expect(line).toBe('M20 11L30 6L40 1');
  expect(area).toBe('M20 12L20 11L30 6L40 1L40 12Z');
});

test('only what there is room for is drawn, and nothing where nothing is known', () => {
  const { line, area } = sparklinePaths([99, 10, 10, null, 10, 10], BOX);
  expect(line).toBe('M0 1L10 1M30 1L40 1');
  expect(area.match(/Z/g)).toHaveLength(2);
  expect(sparklinePaths([], BOX)).toEqual({ line: '', area: '' });
});

test('values that are all zero lie on the ground', () => {
  expect(sparklinePaths([0, 0], BOX).line).toBe('M30 11L40 11');
});
