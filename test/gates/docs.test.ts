import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'docker/README.md',
  ...globSync('docs/*.md', { cwd: root }),
];

/** What a page says in code: fenced blocks and what stands in backticks. */
const CODE = /^```[^\n]*\n(?<block>[\s\S]*?)^```|`(?<span>[^`\n]+)`/gm;
/** A path of ours inside it; a star is a pattern that must match something. */
const PATH = /(?<![\w./-])(?:src|test|db|docs|bench)\/[\w./*-]*[\w*/]/g;
/** A path and, in parentheses right behind it, names that stand in that file. */
const NAMED =
  /`(?<path>(?:src|test|db|docs|bench)\/[\w./-]+)` \((?<names>`[^`]+`(?:, `[^`]+`)*)\)/g;
const LINK = /\]\((?<target>[^)\s]+)\)|^\[[^\]]+\]:\s*(?<definition>\S+)/gm;
const ELSEWHERE = /^[a-z][a-z+.-]*:/;

/** Paths that stand in the code of a page and lead nowhere. */
function lostPaths(markdown: string): string[] {
  const code = [...markdown.matchAll(CODE)].map(
    ({ groups }) => groups?.['block'] ?? groups?.['span'],
  );
  const paths = code.flatMap((text) => text?.match(PATH) ?? []);
  return paths.filter((path) =>
    path.includes('*')
      ? globSync(path, { cwd: root }).length === 0
      : !existsSync(resolve(root, path)),
  );
}

/** Names that a page places in a file that does not have them. */
function lostNames(markdown: string): string[] {
  return [...markdown.matchAll(NAMED)].flatMap(({ groups }) => {
    const path = groups?.['path'] ?? '';
    if (!existsSync(resolve(root, path))) return [];
    const text = readFileSync(resolve(root, path), 'utf8');
    const names = (groups?.['names'] ?? '').split(', ').map((name) => name.slice(1, -1));
    return names.filter((name) => !text.includes(name)).map((name) => `${path} (${name})`);
  });
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replaceAll(CODE, (code) => (code.startsWith('```') ? '' : code));
  return new Set(
    [...headings.matchAll(/^#{1,6} (?<title>.+)$/gm)].map(({ groups }) =>
      (groups?.['title'] ?? '')
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );
}

/** Relative links of the page at `path` that lead to no file, or to no heading in it. */
function deadLinks(path: string, markdown: string): string[] {
  const prose = markdown.replaceAll(CODE, '');
  const targets = [...prose.matchAll(LINK)].map(
    ({ groups }) => groups?.['target'] ?? groups?.['definition'] ?? '',
  );
  return targets.filter((target) => {
    if (ELSEWHERE.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const found = file === '' ? resolve(root, path) : resolve(root, dirname(path), file);
    if (relative(root, found).startsWith('..') || !existsSync(found)) return true;
    if (anchor === undefined) return false;
    const text = file === '' ? markdown : readFileSync(found, 'utf8');
    return !anchorsOf(text).has(anchor);
  });
}

describe('the pages', () => {
  test('there are pages to look at', () => {
    expect(PAGES).toEqual(expect.arrayContaining(['docs/ARCHITECTURE.md', 'docs/guarantees.md']));
  });

  test.each(PAGES)('%s names files that exist, and functions that are in them', (path) => {
    const markdown = readFileSync(resolve(root, path), 'utf8');
    expect(lostPaths(markdown)).toEqual([]);
    expect(lostNames(markdown)).toEqual([]);
  });

  test.each(PAGES)('%s has no dead link', (path) => {
    expect(deadLinks(path, readFileSync(resolve(root, path), 'utf8'))).toEqual([]);
  });

  test('a path, a name and a link that lead nowhere are reported', () => {
    const markdown = [
      'See `src/main.ts`, `src/lost.ts`, `src/db/audit-*-rules.ts` and `src/db/lost-*.ts`.',
      '```',
      'test/        mirrors src',
      'test/lost/   does not',
      'http://127.0.0.1:3000/docs/lost',
      '```',
      'In `src/main.ts` (`serve`, `lostFunction`) [a](docs/lost.md) [b](#here) [c](#lost)',
      '[d](README.md#start) [e](README.md#lost) [f](https://example.org/lost) [g](../outside.md)',
      '# Here',
    ].join('\n');
    expect(lostPaths(markdown)).toEqual(['src/lost.ts', 'src/db/lost-*.ts', 'test/lost/']);
    expect(lostNames(markdown)).toEqual(['src/main.ts (lostFunction)']);
    expect(deadLinks('README.md', markdown)).toEqual([
      'docs/lost.md',
      '#lost',
      'README.md#lost',
      '../outside.md',
    ]);
  });
});
