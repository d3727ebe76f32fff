/** Every series and label that a dashboard or a rule names is one that somebody exports. */
import { describe, expect, test } from 'vitest';
import { METRICS } from '../../src/telemetry/metric-catalogue.ts';
import {
  SUFFIXES,
  askedExpressions,
  complaints,
  exportedSeries,
  withRecorded,
} from './asked-metrics.ts';
import { graphsOf, readDashboards, readRules } from './docker-files.ts';
import { readSelectors } from './promql.ts';

const series = withRecorded(exportedSeries());
const dashboards = readDashboards();
const asked = askedExpressions();

describe('dashboards and rules ask for what is exported', () => {
  test('there are dashboards and rules to look at', () => {
    expect(dashboards.length).toBeGreaterThanOrEqual(5);
    expect(asked.length).toBeGreaterThan(100);
    expect(readRules().length).toBeGreaterThan(20);
  });

  test.each(asked)('$where', ({ expr }) => {
    expect(complaints(expr, series)).toEqual([]);
  });

  test.each(dashboards)('the variables of $title are labels of what they are read from', (it) => {
    const unknown = it.templating.list.filter(({ definition, query }) => {
      const read = /^label_values\((?<metric>\w+), (?<label>\w+)\)$/.exec(definition)?.groups;
      if (read === undefined || query.query !== definition) return true;
      return series.get(read['metric'] ?? '')?.has(read['label'] ?? '') !== true;
    });
    expect(unknown).toEqual([]);
  });

  test.each(dashboards)('legends of $title name labels that are left', (dashboard) => {
    const lost = graphsOf(dashboard).flatMap(({ targets }) =>
      targets.flatMap(({ expr, legendFormat = '' }) => {
        const kept = readSelectors(expr).flatMap(({ metric, grouping }) =>
          grouping.length > 0 ? grouping : [...(series.get(metric) ?? [])],
        );
        const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1] ?? '');
        return named.filter((label) => !kept.includes(label)).map((label) => `${label}: ${expr}`);
      }),
    );
    expect(lost).toEqual([]);
  });

  test('every metric of ours is on a dashboard or in a rule', () => {
    const named = new Set(
      asked.flatMap(({ expr }) => readSelectors(expr)).map(({ metric }) => metric),
    );
    const unused = Object.keys(METRICS).filter(
      (name) => !named.has(name) && !SUFFIXES.some((suffix) => named.has(`${name}${suffix}`)),
    );
    expect(unused).toEqual([]);
  });

  test.each([
    ['hedonify_ordrs_total', 'is exported by nobody'],
    ['hedonify_batch_size', 'is exported by nobody'],
    ['hedonify_orders_total{result="accepted"}', 'has no label result'],
    ['hedonify_orders_total{outcome="acepted"}', 'has no acepted'],
    ['sum by (shard) (hedonify_orders_total)', 'has no label shard'],
    ['rate(job_outcome:hedonify_orders:rate5m[1m])', 'is exported by nobody'],
  ])('%s is reported: it %s', (expression, complaint) => {
    expect(complaints(expression, series).join()).toContain(complaint);
  });
});
