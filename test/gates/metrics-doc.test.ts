import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { FakeSources, parseExposition, tellEverything } from '../telemetry/fake-sources.ts';
import { code, readTable } from './markdown-table.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

test('docs/metrics.md lists each metric of a live registry as it is, and no other', async () => {
  const metrics = createMetrics(new FakeSources());
  tellEverything(metrics);
  const live = [...parseExposition(await metrics.render())].map(
    ([name, { kind, unit, help, labels }]) => ({ name, kind, unit, help, labels }),
  );
  const documented = readTable(page, 'Metric').map(
    ([name, kind, labels = '', unit, help, advice]) => {
      expect(advice).toMatch(/\.$/);
      return {
        name: code(name),
        kind,
        unit: code(unit),
        help,
        labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label).toSorted(),
      };
    },
  );
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  expect(documented.toSorted(byName)).toEqual(live.toSorted(byName));
});

test('docs/metrics.md says of each label which values it has', () => {
  const labels = readTable(page, 'Metric').flatMap(([, , cell = '']) => cell.match(/\w+/g) ?? []);
  const described = readTable(page, 'Label').flatMap(([cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  );
  expect(new Set(described)).toEqual(new Set(labels));
});
