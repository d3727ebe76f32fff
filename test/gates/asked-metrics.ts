/** What dashboards and rules ask of metrics, compared with what there is. */
import { METRICS } from '../../src/telemetry/metric-catalogue.ts';
import { graphsOf, readDashboards, readRules } from './docker-files.ts';
import { EXPORTER_HISTOGRAMS, EXPORTER_METRICS } from './exporter-metrics.ts';
import { readSelectors } from './promql.ts';

/** Added to every series by the one that scrapes it. */
const TARGET_LABELS = ['job', 'instance'];
/** Of the series of a histogram. */
export const SUFFIXES = ['_bucket', '_sum', '_count'];
/** Labels with few values; a word that is none of them asks for nothing. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  // Of orders, and of batches.
  outcome: 'accepted replayed refused shed unknown rejected committed aborted'.split(' '),
  phase: ['wait', 'copy', 'merge', 'commit', 'total'],
  result: ['hit', 'miss'],
  queue: ['payments', 'webhooks'],
  cpu_mode: ['user', 'system'],
  db_client_connection_state: ['idle', 'used'],
  span_kind: ['SPAN_KIND_SERVER'],
  datname: ['hedonify'],
  // Scrape jobs of docker/prometheus/prometheus.yml; docker-names.test.ts looks at those.
  job: ['hedonify'],
};

/** The labels of each series by its name. */
export type Series = ReadonlyMap<string, ReadonlySet<string>>;

/** What the app, as its catalogue says, and the exporters have. */
export function exportedSeries(): Map<string, ReadonlySet<string>> {
  const series = new Map<string, ReadonlySet<string>>();
  const add = (name: string, labels: readonly string[], isHistogram: boolean): void => {
    const all = [...TARGET_LABELS, ...labels];
    if (!isHistogram) series.set(name, new Set(all));
    else for (const suffix of SUFFIXES) series.set(`${name}${suffix}`, new Set([...all, 'le']));
  };
  for (const [name, { labels, kind }] of Object.entries(METRICS)) {
    add(name, labels, kind === 'histogram');
  }
  for (const [name, labels] of Object.entries(EXPORTER_METRICS)) {
    add(name, labels, EXPORTER_HISTOGRAMS.has(name));
  }
  return series;
}

/** With the recorded ones, which have at most the labels of what they are made of. */
export function withRecorded(series: Series): Map<string, ReadonlySet<string>> {
  const all = new Map(series);
  for (const rule of readRules()) {
    if (!('record' in rule)) continue;
    const labels = readSelectors(rule.expr).flatMap(({ metric }) => [...(all.get(metric) ?? [])]);
    all.set(rule.record, new Set(labels));
  }
  return all;
}

/** What an expression asks for that nobody has. */
export function complaints(expression: string, series: Series): string[] {
  return readSelectors(expression).flatMap(({ metric, matchers, grouping }) => {
    const labels = series.get(metric);
    if (labels === undefined) return [`${metric} is exported by nobody`];
    const named = [...matchers.map(({ label }) => label), ...grouping];
    const unknown = named.filter((label) => !labels.has(label));
    const strange = matchers.flatMap(({ label, values }) =>
      (values ?? []).filter((value) => VALUES[label]?.includes(value) === false),
    );
    return [
      ...unknown.map((label) => `${metric} has no label ${label}`),
      ...strange.map((value) => `${metric} has no ${value}`),
    ];
  });
}

/** Every expression of a panel or a rule, with where it stands. */
export function askedExpressions(): { readonly where: string; readonly expr: string }[] {
  const panels = readDashboards().flatMap((dashboard) =>
    graphsOf(dashboard).flatMap(({ title, targets }) =>
      targets.map(({ refId, expr }) => ({ where: `${dashboard.title}: ${title} ${refId}`, expr })),
    ),
  );
  const rules = readRules().map((rule) => ({
    where: 'record' in rule ? rule.record : rule.alert,
    expr: rule.expr,
  }));
  return [...panels, ...rules];
}
