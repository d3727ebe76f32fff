import { describe, expect, test } from 'vitest';
import { readSelectors, tokenize } from './promql.ts';

describe('reading PromQL', () => {
  test('a bare name is a selector, a function is none', () => {
    expect(readSelectors('rate(a_total[5m]) + vector(0) > 1.5e9')).toEqual([
      { metric: 'a_total', matchers: [], grouping: [] },
    ]);
  });

  test('matchers are read with their words; a variable or a pattern has none', () => {
    const [selector] = readSelectors(
      'a{x="one", y=~"two|three", z=~"$shard", code=~"5..", t!=\'it\\\'s\'}',
    );
    expect(selector?.matchers).toEqual([
      { label: 'x', values: ['one'] },
      { label: 'y', values: ['two', 'three'] },
      { label: 'z', values: null },
      { label: 'code', values: null },
      { label: 't', values: null },
    ]);
  });

  test.each([
    ['sum by (x, le) (rate(a[1m])) / b'],
    ['sum(rate(a[1m])) by (x, le) / b'],
    ['histogram_quantile(0.9, sum by (x, le) (rate(a[$__rate_interval] offset 5m))) / b'],
  ])('%s groups what is inside of its parentheses alone', (expression) => {
    expect(readSelectors(expression).map(({ metric, grouping }) => [metric, grouping])).toEqual([
      ['a', ['x', 'le']],
      ['b', []],
    ]);
  });

  test('labels of a join concern both sides', () => {
    const selectors = readSelectors('a / on (x) group_left (y) b and c unless d');
    expect(selectors.map(({ metric }) => metric)).toEqual(['a', 'b', 'c', 'd']);
    expect(selectors.every(({ grouping }) => grouping.join() === 'x,y')).toBe(true);
  });

  test('a recorded name has colons, and a comment is none of it', () => {
    expect(readSelectors('job:a:rate5m # of b\n > 14.4 * 0.0001').map((it) => it.metric)).toEqual([
      'job:a:rate5m',
    ]);
  });

  test.each([
    ['sum(a', ') is missing'],
    ['sum by (x (a)', ') is missing'],
    ['a{x="y"', '} is missing'],
    ['{job="a"}', 'a selector without a name'],
    ['a ; b', 'no PromQL at "; b"'],
  ])('%s is refused: %s', (expression, message) => {
    expect(() => readSelectors(expression)).toThrow(message);
  });

  test('a window is one token, whatever stands in it', () => {
    expect(tokenize('a[$__rate_interval]').map(({ kind }) => kind)).toEqual(['name', 'duration']);
  });
});
