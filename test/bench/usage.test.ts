import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Suite } from '../../bench/suite.ts';
import { SUITES } from '../../bench/suites.ts';
import { parseUsage, UsageError, usageText } from '../../bench/usage.ts';
import { code, readTable } from '../gates/markdown-table.ts';

const root = resolve(import.meta.dirname, '../..');
const files = globSync('bench/suites/*.ts', { cwd: root }).map((path) => basename(path, '.ts'));
/** Without the scenarios of k6, each of which can be run alone. */
const names = SUITES.map(({ name }) => name).filter((name) => !name.startsWith('k6-'));

function suiteOf(of: Pick<Suite, 'name' | 'parameter'>): Suite {
  const defaults = { rounds: 7, seconds: 3 };
  const run = () => Promise.reject(new Error('not in a test'));
  return { summary: 'a trial', minutes: 1, defaults, run, ...of };
}

describe('npm run bench', () => {
  test('every file in bench/suites is a suite of its name, and none is there twice', () => {
    expect(names.toSorted()).toEqual(files.toSorted());
  });

  test('--help names every suite with what it measures', () => {
    const help = usageText(SUITES);
    for (const { name, summary } of SUITES) {
      expect(help).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
      expect(help).toContain(summary);
    }
  });

  test('every suite is in docs/benchmarks.md, and no other', () => {
    const page = readFileSync(resolve(root, 'docs/benchmarks.md'), 'utf8');
    const told = readTable(page, 'Suite').map(([cell]) => code(cell).split(' ', 1).join());
    expect(told.toSorted()).toEqual(names.toSorted());
  });

  test('a suite has defaults of its own, which the command line replaces', () => {
    const suites = [suiteOf({ name: 'headline' }), suiteOf({ name: 'guard', parameter: 'BASE' })];
    expect(parseUsage([], suites)).toEqual({
      suite: suites[0],
      parameter: '',
      rounds: 7,
      seconds: 3,
    });
    expect(parseUsage(['guard', 'main', '--rounds', '2', '--seconds', '1'], suites)).toEqual({
      suite: suites[1],
      parameter: 'main',
      rounds: 2,
      seconds: 1,
    });
    expect(parseUsage(['--help'], suites)).toBe('help');
  });

  test.each([
    [['lost']],
    [['headline', 'more']],
    [['guard']],
    [['guard', 'main', 'more']],
    [['--rounds', '0']],
    [['--rounds', '101']],
    [['--seconds', '1.5']],
    [['--seconds']],
    [['--lost', '1']],
  ])('%j is no way to call it', (args) => {
    const suites = [suiteOf({ name: 'headline' }), suiteOf({ name: 'guard', parameter: 'BASE' })];
    expect(() => parseUsage(args, suites)).toThrow(UsageError);
  });
});
