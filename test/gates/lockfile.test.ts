import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const root = resolve(import.meta.dirname, '../..');
const text = readFileSync(resolve(root, 'package-lock.json'), 'utf8');
const names = z.record(z.string(), z.string()).default({});
const lockfile = z
  .object({
    packages: z.record(
      z.string(),
      z.object({
        integrity: z.string().optional(),
        resolved: z.string().optional(),
        inBundle: z.boolean().optional(),
        optionalDependencies: names,
      }),
    ),
  })
  .parse(JSON.parse(text));
const manifest = z
  .object({ dependencies: names, devDependencies: names })
  .parse(JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')));

describe('package-lock.json', () => {
  test('has no download address: the registry is the choice of whoever installs', () => {
    expect(text).not.toMatch(/"resolved"|\.tgz|\/\/registry\.|\/\/npm\.|\/\/[\w.:-]+\/-\//);
  });

  test('has a checksum for every package', () => {
    const unchecked = Object.entries(lockfile.packages)
      .filter(([path, entry]) => path !== '' && !entry.inBundle && entry.integrity === undefined)
      .map(([path]) => path);
    expect(Object.keys(lockfile.packages).length).toBeGreaterThan(50);
    expect(unchecked).toEqual([]);
  });

  test('has the packages of every platform, or `npm ci` refuses the whole file', () => {
    const missing = Object.entries(lockfile.packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies).filter(
        (name) =>
          !(`node_modules/${name}` in lockfile.packages) &&
          !(`${path}/node_modules/${name}` in lockfile.packages),
      ),
    );
    expect(missing).toEqual([]);
  });
});

test('package.json asks for exact versions only', () => {
  const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  );
  expect(loose).toEqual([]);
});

test('.npmrc names no registry', () => {
  expect(readFileSync(resolve(root, '.npmrc'), 'utf8')).not.toMatch(/registry\s*=|_auth|\/\//);
});
