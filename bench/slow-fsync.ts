/** Makes the library that slows every fsync of the program it is preloaded into. */
import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SOURCE = fileURLToPath(new URL('./slow-fsync.c', import.meta.url));
const EVERYBODY_READS = 0o755;

/**
 * Compiles bench/slow-fsync.c into `directory` and resolves with the library's path.
 *
 * @throws Error when this is not Linux, or there is no C compiler: it says how to get one
 */
export async function compileSlowFsync(directory: string): Promise<string> {
  if (process.platform !== 'linux') {
    throw new Error('a slow fsync is made with LD_PRELOAD: it needs Linux');
  }
  const library = join(directory, 'slow-fsync.so');
  try {
    await promisify(execFile)('cc', ['-O2', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl']);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const advice = isMissing
      ? 'there is no C compiler for bench/slow-fsync.c: install one, on Debian with "apt-get install gcc libc6-dev"'
      : 'cc could not compile bench/slow-fsync.c';
    throw new Error(advice, { cause: error });
  }
  // PostgreSQL may run under another account.
  await chmod(library, EVERYBODY_READS);
  return library;
}
