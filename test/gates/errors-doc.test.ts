import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/domain/errors.ts';
import { PROBLEM_STATUS } from '../../src/http/problem-status.ts';
import { code, readTable } from './markdown-table.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8');
const rows = readTable(page, 'Code').map(([name, status, retry, meaning, advice]) => ({
  code: code(name),
  status: Number(status),
  retry,
  meaning,
  advice,
}));
const registry = Object.entries(ERRORS);

describe('docs/errors.md', () => {
  test('lists each code of the registry once, and no other', () => {
    expect(rows.map((row) => row.code).toSorted()).toEqual(
      registry.map(([name]) => name).toSorted(),
    );
  });

  test.each(registry)('says of %s what the code does', (name, { retryable }) => {
    const row = rows.find((it) => it.code === name);
    expect(row).toMatchObject({
      status: new Map<string, number>(Object.entries(PROBLEM_STATUS)).get(name),
      retry: retryable ? 'yes' : 'no',
    });
    expect(row?.meaning).toMatch(/\.$/);
    expect(row?.advice).toMatch(/\.$/);
  });

  test.each(registry)('%s is told to shoppers without SQL, tables or our machinery', (_, entry) => {
    const words = /\b(sql|table|stack|shard|actor|batch|postgres\w*|mailbox)\b/i;
    expect(entry.detail).not.toMatch(words);
    expect(entry.title).not.toMatch(words);
    expect(entry.detail).toMatch(/\.$/);
  });
});
