import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { describeOptions } from '../../src/config.ts';
import { code, readTable } from './markdown-table.ts';

const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8');

test("README's configuration table has the options of the schema, their defaults and meanings", () => {
  const documented = readTable(readme, 'Variable').map(([name, initial, description]) => ({
    name: code(name),
    default: initial?.replaceAll('`', ''),
    description,
  }));
  expect(documented).toEqual(describeOptions());
});
