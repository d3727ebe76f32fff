import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../..');
const folder = resolve(root, 'docker/prometheus');

interface Rule {
  readonly alert?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

const read = (path: string): string => readFileSync(resolve(folder, path), 'utf8');
const rulesOf = (path: string): readonly Rule[] => {
  const { groups }: Rules = parse(read(path));
  return groups.flatMap(({ rules }) => rules);
};

const alerts = rulesOf('rules/alerts.yml');
const tests = globSync('tests/*.yml', { cwd: folder }).map(read).join('\n');
const operations = readFileSync(resolve(root, 'docs/operations.md'), 'utf8');

/** As GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .trim()
    .replaceAll(' ', '-');
const anchors = new Set(
  [...operations.matchAll(/^#{2,6} (.+)$/gm)].map(([, heading = '']) => anchorOf(heading)),
);

describe('the alerts', () => {
  test.each(alerts)('$alert says how bad it is, what it is and where to read on', (alert) => {
    expect(alert.labels?.['severity']).toMatch(/^(critical|warning)$/);
    const { summary, description, runbook_url: runbook } = alert.annotations ?? {};
    expect(summary).toMatch(/^[A-Z].*[^.]$/);
    expect(description).toMatch(/\.$/);
    const [page, anchor] = runbook?.split('#') ?? [];
    expect(page).toBe('docs/operations.md');
    expect([...anchors]).toContain(anchor);
  });

  test.each(alerts)('$alert fires in a test of docker/prometheus/tests', ({ alert }) => {
    expect(tests).toMatch(new RegExp(`labels: '\\{alertname="${alert}"`));
  });
});
