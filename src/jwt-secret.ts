/**
 * The generated JWT secret of the embedded mode: one file in DATA_DIR, readable by its owner only.
 *
 * It appears complete or not at all, under its final name, and never changes: two processes that
 * start together agree on one, and tokens survive a crash right after the first start.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync } from 'node:fs';
import { readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const FILE = 'jwt-secret';
const SECRET_BYTES = 48;

/**
 * The secret of this data directory, made on first use.
 *
 * @param dataDir made when missing.
 * @throws when the file cannot be written, or holds something this function did not write.
 */
export function loadOrCreateJwtSecret(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, FILE);
  const secret = read(path) ?? create(path, dataDir);
  if (!/^[\w-]{64}$/.test(secret)) {
    throw new Error(`${path} does not hold a generated secret; delete it to get a new one`);
  }
  return secret;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * A hard link, not a rename: a rename would replace the secret of a process that came first, and
 * opening the final name exclusively would let the other process read an empty file.
 */
function create(path: string, dataDir: string): string {
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, `${randomBytes(SECRET_BYTES).toString('base64url')}\n`);
    fsyncSync(file);
    linkSync(draft, path);
    syncDirectory(dataDir);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
  return readFileSync(path, 'utf8').trimEnd();
}

/** Makes the new name durable, not only the bytes of the file. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
