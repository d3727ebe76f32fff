/**
 * Which processes of an embedded cluster's server live.
 *
 * A pid proves nothing by itself: it is recycled, and a dead process keeps it as a zombie for as
 * long as nobody reaps it, for ever in a container whose pid 1 reaps nobody. So where there is a
 * /proc, a process counts that runs PostgreSQL's program in the cluster; elsewhere a pid must do.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isPresent } from './embedded-presence.ts';

/** A batch under way ends within it, and is answered. */
const ORPHANS_GRACE_MS = 500;
/** Killed processes end at once, unless they wait for a disk or may not be killed by us. */
const ORPHANS_WAIT_MS = 30_000;
/** A process that is ending leaves /proc a moment before its files are closed. */
const UNSEEN_WAIT_MS = 2_000;
const POLL_MS = 20;
/** How every process that a postmaster forks calls itself; a postmaster is called by its path. */
const FORKED_TITLE = 'postgres: ';

interface ServerPlace {
  readonly dataDir: string;
  /** Of the cluster. */
  readonly directory: string;
}

/** Whether the process lives, in the cluster, and is not merely one with a recycled pid. */
export function isServerProcess({ directory }: ServerPlace, pid: number): boolean {
  if (process.platform !== 'linux') return processExists(pid);
  try {
    // Without a promise, since no disk is read: 90 us of CPU a look in place of 230.
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    // A person's shell may stand in the directory as well.
    return cwd === directory && basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('postgres');
  } catch {
    return false;
  }
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Processes of PostgreSQL that live in the cluster; undefined where the machine cannot tell. */
export function serverProcesses(place: ServerPlace): readonly number[] | undefined {
  if (process.platform !== 'linux') return undefined;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => isServerProcess(place, pid));
}

/**
 * After the death of a postmaster: waits for the last process it left. Idle ones notice by
 * themselves; one in a long statement does only at its end, and is killed after half a second: the
 * shop waits for it, and a postmaster does the same after a crash. Only in one's turn.
 * @throws Error when one lives on, or a whole server that cannot be seen from here
 */
export async function awaitLastProcess(place: ServerPlace): Promise<void> {
  const start = performance.now();
  for (;;) {
    // Both are asked: a person may have started the server without the FIFO.
    const pids = serverProcesses(place) ?? [];
    if (pids.length === 0 && !(await isPresent(place.dataDir))) return;
    const waitedMs = performance.now() - start;
    if (pids.length > 0 && waitedMs > ORPHANS_WAIT_MS) {
      throw new Error(
        `processes of PostgreSQL use ${place.directory}, and no server answers for them: ` +
          pids.join(', '),
      );
    }
    if (pids.length > 0 && waitedMs > ORPHANS_GRACE_MS) await killOrphans(pids);
    if (pids.length === 0 && waitedMs > UNSEEN_WAIT_MS) {
      throw new Error(
        `a PostgreSQL that cannot be seen from here uses ${place.directory}: most likely ` +
          'another container shares this DATA_DIR. Stop that one first, or give each its own',
      );
    }
    await delay(POLL_MS);
  }
}

/** Nothing is killed beside a postmaster, or a single-user session, that a person started. */
async function killOrphans(pids: readonly number[]): Promise<void> {
  const titles = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => FORKED_TITLE)),
  );
  if (!titles.every((title) => title.startsWith(FORKED_TITLE))) return;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended, or is not ours to kill: whoever waits for it will say so.
    }
  }
}
