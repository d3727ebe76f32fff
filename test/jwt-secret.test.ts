import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadOrCreateJwtSecret } from '../src/jwt-secret.ts';

const source = resolve(import.meta.dirname, '../src/jwt-secret.ts');
/** Waits for the same instant in every process, so that they really meet. */
const RACER = `
  const { loadOrCreateJwtSecret } = await import(process.argv[1]);
  while (Date.now() < Number(process.argv[3]));
  process.stdout.write(loadOrCreateJwtSecret(process.argv[2]));
`;
const PROCESSES = 6;
const START_MS = 700;

describe('the generated JWT secret', () => {
  let parent = '';
  let dataDir = '';

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'hedonify-secret-'));
    dataDir = join(parent, 'not', 'there');
  });

  afterEach(() => {
    rmSync(parent, { recursive: true });
  });

  test('is made on first use and the same ever after', () => {
    const secret = loadOrCreateJwtSecret(dataDir);
    expect(secret).toMatch(/^[\w-]{64}$/);
    expect(loadOrCreateJwtSecret(dataDir)).toBe(secret);
  });

  test('is another one in another directory', () => {
    expect(loadOrCreateJwtSecret(dataDir)).not.toBe(loadOrCreateJwtSecret(parent));
  });

  test('is readable by its owner only and leaves nothing else behind', () => {
    loadOrCreateJwtSecret(dataDir);
    expect(readdirSync(dataDir)).toEqual(['jwt-secret']);
    expect(statSync(join(dataDir, 'jwt-secret')).mode & 0o777).toBe(0o600);
  });

  test('is agreed upon by processes that start together', async () => {
    const startAt = String(Date.now() + START_MS);
    const run = promisify(execFile);
    const secrets = await Promise.all(
      Array.from({ length: PROCESSES }, async () => {
        const args = ['--input-type=module', '--eval', RACER, source, dataDir, startAt];
        return (await run(process.execPath, args)).stdout;
      }),
    );
    expect(new Set(secrets)).toEqual(new Set([loadOrCreateJwtSecret(dataDir)]));
    expect(readdirSync(dataDir)).toEqual(['jwt-secret']);
  });

  test.each(['', 'short', 'x'.repeat(10_000)])(
    'a file that was not written by us is refused and kept, its content untold',
    (content) => {
      const path = join(parent, 'jwt-secret');
      writeFileSync(path, content);
      expect(() => loadOrCreateJwtSecret(parent)).toThrow(
        `${path} does not hold a generated secret; delete it to get a new one`,
      );
      expect(readFileSync(path, 'utf8')).toBe(content);
    },
  );
});
