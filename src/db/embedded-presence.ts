/**
 * Whether any process of an embedded cluster's server lives, wherever it runs.
 *
 * The server inherits a FIFO beside the cluster, open for reading, and passes it on to every
 * process it forks; the kernel closes it when the last of them has ended, however it ended. Opening
 * the FIFO for writing fails with ENXIO exactly then. That is proof in any PID, IPC or mount
 * namespace, so also between containers that share the data directory, where the server's pid, its
 * shared memory and its socket in /tmp cannot be seen: PostgreSQL's own lock file does not protect
 * a cluster there. Refused: flock, which would do the same, since Node has no door to it and the
 * program of that name is not on every system; and a note of who started the server, which says
 * nothing about whether it lives. Nothing is ever written to the FIFO.
 *
 * Knows nothing of PostgreSQL. Reaches as far as one kernel does: not to another machine.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

function presenceFile(dataDir: string): string {
  return join(dataDir, 'postgres-presence');
}

/**
 * What the server is to inherit; the caller closes its own. Only in one's turn, and only when
 * nobody is present: the FIFO of a live server must not be replaced.
 */
export async function openPresence(dataDir: string): Promise<FileHandle> {
  const file = presenceFile(dataDir);
  // A restored backup may have made something else of it.
  await fs.rm(file, { force: true });
  try {
    await execute('mkfifo', ['-m', '600', file]);
  } catch (error) {
    throw new Error(`cannot make the FIFO ${file}: does this file system have any?`, {
      cause: error,
    });
  }
  // Without O_NONBLOCK it would wait for a writer.
  return await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Whether any process of a server that was started with `openPresence` lives. */
export async function isPresent(dataDir: string): Promise<boolean> {
  try {
    await using file = await fs.open(
      presenceFile(dataDir),
      constants.O_WRONLY | constants.O_NONBLOCK,
    );
    return (await file.stat()).isFIFO();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENXIO' || code === 'ENOENT') return false;
    throw error;
  }
}
