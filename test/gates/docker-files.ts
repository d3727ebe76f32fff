/** The files of docker/, parsed as far as the gates look into them. */
import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const directory = resolve(import.meta.dirname, '../../docker');

export function readDockerFile(path: string): string {
  return readFileSync(resolve(directory, path), 'utf8');
}

/** With anchors and merges resolved. */
export function readDockerYaml(path: string): unknown {
  return parse(readDockerFile(path), { merge: true });
}

const datasource = z.object({ type: z.string(), uid: z.string() });
const position = z.strictObject({
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1).max(12),
});
const thresholds = z.strictObject({
  mode: z.literal('absolute'),
  steps: z.array(z.strictObject({ color: z.string(), value: z.number().nullable() })).refine(
    (steps) =>
      steps.every(({ value }, index) => {
        const before = steps[index - 1]?.value ?? Number.NEGATIVE_INFINITY;
        return index === 0 ? value === null : value !== null && value > before;
      }),
    { error: 'thresholds start with null and rise' },
  ),
});
const graphPanel = z.strictObject({
  id: z.int(),
  type: z.enum(['stat', 'timeseries']),
  title: z.string().min(1),
  description: z.string().regex(/\.$/),
  gridPos: position,
  datasource,
  fieldConfig: z.strictObject({
    defaults: z.looseObject({
      unit: z.enum(['none', 'reqps', 'ops', 's', 'bytes', 'Bps', 'percentunit']),
      thresholds: thresholds.optional(),
    }),
    overrides: z.array(
      z.strictObject({
        matcher: z.strictObject({
          id: z.enum(['byName', 'byRegexp']),
          options: z.string(),
        }),
        properties: z.array(z.unknown()),
      }),
    ),
  }),
  options: z.looseObject({}),
  targets: z
    .array(
      z.strictObject({
        refId: z.string(),
        expr: z.string(),
        legendFormat: z.string().optional(),
        exemplar: z.literal(true).optional(),
      }),
    )
    .min(1),
});
const row = z.strictObject({
  id: z.int(),
  type: z.literal('row'),
  title: z.string().min(1),
  gridPos: position,
  collapsed: z.literal(false),
  panels: z.array(z.never()),
});
const dashboard = z.strictObject({
  uid: z.string(),
  title: z.string(),
  description: z.string().regex(/\.$/),
  tags: z.tuple([z.literal('hedonify')]),
  schemaVersion: z.literal(41),
  editable: z.literal(false),
  refresh: z.literal('5s'),
  time: z.strictObject({ from: z.literal('now-15m'), to: z.literal('now') }),
  timezone: z.literal('browser'),
  graphTooltip: z.literal(1),
  links: z.array(z.looseObject({ type: z.literal('dashboards'), keepTime: z.literal(true) })),
  templating: z.strictObject({
    list: z.array(
      z.looseObject({
        name: z.string(),
        type: z.literal('query'),
        datasource,
        definition: z.string(),
        query: z.strictObject({ query: z.string(), refId: z.string() }),
      }),
    ),
  }),
  panels: z.array(z.discriminatedUnion('type', [graphPanel, row])),
});

export type Dashboard = z.infer<typeof dashboard> & { readonly file: string };
export type GraphPanel = z.infer<typeof graphPanel>;

/** @throws z.ZodError when a file is not like the others */
export function readDashboards(): Dashboard[] {
  return globSync('grafana/dashboards/*.json', { cwd: directory })
    .toSorted()
    .map((path) => ({
      ...dashboard.parse(JSON.parse(readDockerFile(path))),
      file: basename(path),
    }));
}

/** Those that show something. */
export function graphsOf({ panels }: Dashboard): GraphPanel[] {
  return panels.filter((panel) => panel.type !== 'row');
}

const rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.union([
          z.object({ record: z.string(), expr: z.string() }),
          z.object({ alert: z.string(), expr: z.string() }),
        ]),
      ),
    }),
  ),
});

export type PrometheusRule = z.infer<typeof rules>['groups'][number]['rules'][number];

export function readRules(): PrometheusRule[] {
  return globSync('prometheus/rules/*.yml', { cwd: directory }).flatMap((path) =>
    rules.parse(readDockerYaml(path)).groups.flatMap((group) => group.rules),
  );
}

const mount = z.string().transform((text) => {
  // A variable with a default has a colon of its own.
  const [source = '', target = '', mode = 'rw'] = text.split(/:(?!-)/);
  return { source, target, mode };
});
const service = z.looseObject({
  image: z.string(),
  restart: z.string(),
  user: z.string().optional(),
  read_only: z.boolean(),
  cap_drop: z.array(z.string()),
  cap_add: z.array(z.string()).optional(),
  privileged: z.boolean().optional(),
  security_opt: z.array(z.string()),
  command: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  networks: z.array(z.string()).min(1),
  volumes: z.array(mount).default([]),
  secrets: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()), interval: z.string() }).optional(),
  logging: z.object({
    driver: z.literal('json-file'),
    options: z.object({ 'max-size': z.string(), 'max-file': z.string(), labels: z.string() }),
  }),
  deploy: z.object({
    resources: z.object({
      limits: z.object({ cpus: z.string(), memory: z.string(), pids: z.number() }),
    }),
  }),
});
const compose = z.object({
  name: z.string(),
  services: z.record(z.string(), service),
  networks: z.record(z.string(), z.object({ internal: z.boolean().optional() })),
  volumes: z.record(z.string(), z.object({})),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

export type ComposeService = z.infer<typeof service>;

/** @throws z.ZodError when a service lacks what each must have */
export function readCompose(): z.infer<typeof compose> {
  return compose.parse(readDockerYaml('compose.yaml'));
}
