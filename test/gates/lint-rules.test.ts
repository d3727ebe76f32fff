import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const root = resolve(import.meta.dirname, '../..');

/** Each file breaks the rules it lists, and only those. */
const PLANTED: readonly { path: string; rules: readonly string[]; code: string }[] = [
  {
    path: 'src/workers/promises.ts',
    rules: ['no-floating-promises', 'only-throw-error', 'return-await', 'no-misused-promises'],
    code: `
      const work = async (): Promise<number> => 1;
      export function float(): void { work(); }
      export function fail(): never { throw 'text'; }
      export async function swallow(): Promise<number> {
        try { return work(); } catch { return 0; }
      }
      export function forgotten(): number { return work() ? 1 : 2; }
    `,
  },
  {
    path: 'src/domain/types.ts',
    rules: [
      'switch-exhaustiveness-check',
      'consistent-type-imports',
      'no-explicit-any',
      'no-non-null-assertion',
    ],
    code: `
      import { Kind } from './kind.ts';
      export function name(kind: Kind): string {
        switch (kind) { case 'a': return 'A'; }
        return '';
      }
      export function first(list: any): number { return (list as number[])[0]!; }
    `,
  },
  { path: 'src/domain/kind.ts', rules: [], code: `export type Kind = 'a' | 'b';` },
  {
    path: 'src/http/environment.ts',
    rules: ['no-console', 'no-process-env', 'no-default-export', 'max-params'],
    code: `
      export default function show(a: string, b: string, c: string, d: string): void {
        console.log(a, b, c, d, process.env['HOME']);
      }
    `,
  },
  { path: 'src/config.ts', rules: [], code: `export const home = process.env['HOME'];` },
  {
    path: 'src/http/long-function.ts',
    rules: ['max-lines-per-function'],
    code: `export function long(): number {\n  let n = 0;\n${'  n += 1;\n'.repeat(70)}  return n;\n}\n`,
  },
  {
    path: 'src/http/long-file.ts',
    rules: ['max-lines'],
    code: Array.from({ length: 501 }, (_, n) => `export const n${n} = ${n};\n`).join(''),
  },
  { path: 'src/http/camelCase.ts', rules: ['filename-case'], code: `export const a = 1;` },
  {
    path: 'test/focus.test.ts',
    rules: ['no-focused-tests', 'no-disabled-tests'],
    code: `
      import { expect, test } from 'vitest';
      test.${'only'}('a', () => { expect(1).toBe(1); });
      test.${'skip'}('b', () => { expect(1).toBe(1); });
    `,
  },
  ...['Date.now()', 'performance.now()', 'process.pid', 'setTimeout(String, 1)', 'fetch("")'].map(
    (code, n) => ({
      path: `src/actors/impure-${n}.ts`,
      rules: ['no-restricted-globals'],
      code: `export const impure: unknown = ${code};`,
    }),
  ),
  {
    path: 'src/actors/random.ts',
    rules: ['no-restricted-properties'],
    code: `export const impure = Math.random();`,
  },
  ...['body.innerHTML = "<b>"', 'body.insertAdjacentHTML("afterend", "<b>")'].map((code, n) => ({
    path: `src/page/markup-${n}.ts`,
    rules: ['no-restricted-properties'],
    code: `export function show(body: HTMLElement): void { ${code}; }`,
  })),
  {
    path: 'src/workers/clock.ts',
    rules: [],
    code: `export const allowed = Date.now() + Math.random();`,
  },
];

const report = z.object({
  diagnostics: z.array(z.object({ code: z.string(), filename: z.string() })),
});

describe('the lint rules', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hedonify-lint-'));
  const found = new Map<string, Set<string>>();

  beforeAll(() => {
    for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
      cpSync(join(root, file), join(directory, file));
    }
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    for (const { path, code } of PLANTED) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), code);
    }
    const run = spawnSync(
      join(root, 'node_modules/.bin/oxlint'),
      ['--type-aware', '--format=json', 'src', 'test'],
      { cwd: directory, encoding: 'utf8' },
    );
    expect(run.status, run.stderr).toBe(1);
    for (const { code, filename } of report.parse(JSON.parse(run.stdout)).diagnostics) {
      const rules = found.get(filename) ?? new Set();
      // "typescript-eslint(no-floating-promises)" names the plugin too.
      found.set(filename, rules.add(/\(([^)]+)\)/.exec(code)?.[1] ?? code));
    }
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  test.each(PLANTED)('$path is reported for $rules and nothing else', ({ path, rules }) => {
    expect([...(found.get(path) ?? [])].toSorted()).toEqual([...rules].toSorted());
  });
});
