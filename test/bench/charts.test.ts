import { describe, expect, test } from 'vitest';
import type { TopLevelSpec } from 'vega-lite';
import { chartSvg } from '../../bench/charts.ts';

const LINES: TopLevelSpec = {
  title: 'Throughput by clients',
  data: {
    values: [
      { clients: 1, perSecond: 400, contender: 'hedonify' },
      { clients: 64, perSecond: 13_000, contender: 'hedonify' },
      { clients: 1, perSecond: 900, contender: 'row lock' },
      { clients: 64, perSecond: 700, contender: 'row lock' },
    ],
  },
  mark: { type: 'line', point: true },
  encoding: {
    x: { field: 'clients', type: 'quantitative', scale: { type: 'log', base: 2 } },
    y: { field: 'perSecond', type: 'quantitative' },
    color: { field: 'contender', type: 'nominal' },
  },
};

describe('a plot', () => {
  test('it is an SVG with a line per series, named, on a background of its own', async () => {
    const svg = await chartSvg(LINES);
    expect(svg).toMatch(/^<svg[^>]+xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    for (const text of ['hedonify', 'row lock', 'Throughput by clients']) {
      expect(svg).toContain(`>${text}</text>`);
    }
    expect(svg.match(/aria-roledescription="line mark"/g)).toHaveLength(2);
    expect(svg).toMatch(/<rect[^>]+fill="#ffffff"/);
  });

  test('it loads nothing, neither when it is made nor when it is looked at', async () => {
    const svg = await chartSvg(LINES);
    expect(svg).not.toMatch(/<image|<script|@import|url\(http|@font-face/);
    const elsewhere = { ...LINES, data: { url: 'https://example.org/data.json' } };
    await expect(chartSvg(elsewhere)).rejects.toThrow('a chart loads nothing');
  });

  test('what Vega would only warn of makes no plot: it would show something else', async () => {
    const encoding = { x: { field: 'clients', type: 'quantitative' } } as const;
    const unknown: TopLevelSpec = { ...LINES, mark: 'bar', encoding: { ...encoding, shape: {} } };
    await expect(chartSvg(unknown)).rejects.toThrow('not a chart');
    const misspelt: TopLevelSpec = {
      ...LINES,
      mark: 'bar',
      encoding: { x: { field: 'clinets', type: 'quantitative' } },
    };
    await expect(chartSvg(misspelt)).rejects.toThrow('clinets');
  });
});
