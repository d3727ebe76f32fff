import { describe, expect, test } from 'vitest';
import { figure, markdownOf, withInterval } from '../../bench/report.ts';
import type { SuiteReport } from '../../bench/suite.ts';

const REPORT: SuiteReport = {
  title: 'Trial',
  notes: ['audit clean'],
  tables: [
    {
      title: 'Throughput',
      columns: ['', 'orders/s'],
      rows: [
        ['ours', '12'],
        ['a | b', '3'],
      ],
    },
  ],
  charts: [{ name: 'flash-sale', spec: { data: { values: [] }, mark: 'bar' } }],
  data: null,
};

describe('the report of a run', () => {
  test('it has the facts before the figures, and a link to every plot', () => {
    expect(markdownOf(REPORT, ['2 x CPU'])).toBe(
      [
        '# Trial',
        '',
        '- 2 x CPU',
        '- audit clean',
        '',
        'In parentheses: of medians over rounds their 95 % percentile bootstrap intervals, which of 7 rounds cover 88 %; of geometric means of ratios their 95 % t-intervals.',
        '',
        '## Throughput',
        '',
        '|  | orders/s |',
        '| --- | ---: |',
        '| ours | 12 |',
        '| a \\| b | 3 |',
        '',
        '![flash sale](flash-sale.svg)',
        '',
      ].join('\n'),
    );
  });

  test('a row that does not fit its table is refused: its figures would stand under wrong heads', () => {
    const [table] = REPORT.tables;
    const crooked = { title: '', columns: [], ...table, rows: [['ours']] };
    expect(() => markdownOf({ ...REPORT, tables: [crooked] }, [])).toThrow('has not 2 cells: ours');
  });

  test('a figure is a median with its interval, or of one round nothing but itself', () => {
    expect(figure([16_000, 15_000, 17_000])).toBe('16,000 (15,000–17,000)');
    expect(figure([1234.56], 1)).toBe('1,234.6');
    expect(withInterval(0.754, { low: 0.7, high: 0.812 }, 2)).toBe('0.75 (0.70–0.81)');
  });
});
