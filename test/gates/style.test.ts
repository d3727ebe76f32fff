import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const WORKER_URLS = ['src/workers/worker-urls.ts', 'src/telemetry/worker-urls.ts'];
const LINES_MAX = 500;

/** Relative path and text of every TypeScript file of ours. */
const files = globSync('{src,test,bench}/**/*.ts', { cwd: root }).map((path) => ({
  path,
  text: readFileSync(resolve(root, path), 'utf8'),
}));

interface Rule {
  readonly title: string;
  readonly breaks: (path: string, text: string) => boolean;
  /** A file that must be reported: a rule that cannot fail is a defect. */
  readonly planted: readonly [path: string, text: string];
}

// The patterns are put together here so that this file does not break its own rules.
const FOCUS = new RegExp(
  `\\b(test|it|describe)(\\.\\w+)*\\.(${['only', 'skip', 'todo'].join('|')})\\b`,
);
const THREAD_FILE = new RegExp(`new ${'URL'}\\(\\s*['"\`][^'"\`]*\\.[cm]?[jt]s['"\`]`);

const RULES: readonly Rule[] = [
  {
    title: 'no file is a drawer: index, utils, helpers, common, misc',
    breaks: (path) => /(^|-)(index|utils?|helpers?|common|misc)\.ts$/.test(basename(path)),
    planted: ['src/db/sql-utils.ts', ''],
  },
  {
    title: 'file names are kebab-case, with the tier as suffix of tests',
    breaks: (path) =>
      !/^[a-z0-9]+(-[a-z0-9]+)*(\.(thread|pg|ext))?(\.test)?\.ts$/.test(basename(path)),
    planted: ['src/db/batchWriter.ts', ''],
  },
  {
    title: 'a suffix that no vitest project runs is not a test tier',
    breaks: (path) => /\.(thread|pg|ext)\.ts$|\.spec\.ts$/.test(path),
    planted: ['test/db/batch-writer.pg.ts', ''],
  },
  {
    title: `no file is longer than ${LINES_MAX} lines`,
    breaks: (_, text) => text.split('\n').length - 1 > LINES_MAX,
    planted: ['src/db/long.ts', '\n'.repeat(LINES_MAX + 1)],
  },
  {
    title: 'no test is focused, skipped or left to be done',
    breaks: (path, text) => path.startsWith('test/') && FOCUS.test(text),
    planted: ['test/db/pool.test.ts', `test.${'only'}('x', () => {});`],
  },
  {
    title: `the addresses of thread files stand in ${WORKER_URLS.join(' and ')}, since no tool sees that edge`,
    breaks: (path, text) =>
      path.startsWith('src/') && !WORKER_URLS.includes(path) && THREAD_FILE.test(text),
    planted: ['src/workers/pool.ts', `new ${'URL'}('./shard-thread.ts', import.meta.url)`],
  },
];

describe('house style', () => {
  test('there are files to look at', () => {
    expect(files.length).toBeGreaterThan(20);
  });

  test.each(RULES)('$title', ({ breaks, planted }) => {
    expect(breaks(...planted)).toBe(true);
    expect(files.filter(({ path, text }) => breaks(path, text)).map(({ path }) => path)).toEqual(
      [],
    );
  });

  test.each(WORKER_URLS)('each thread file that %s names exists', (path) => {
    const urls = files.find((file) => file.path === path)?.text ?? '';
    const named = [...urls.matchAll(/new URL\(\s*'([^']+)'/g)].map((match) => match[1] ?? '');
    expect(named).not.toEqual([]);
    expect(named.filter((it) => !existsSync(resolve(root, dirname(path), it)))).toEqual([]);
  });
});
