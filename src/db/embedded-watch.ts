/**
 * Has a server that ended although it is in use started again.
 *
 * Polls: the kernel tells the end of a process only to its parent, and a server that was started
 * apart is nobody's child. Refused: a connection that breaks with the server, since it takes one of
 * the server's places and breaks for other reasons too; the FIFO's hang-up, since that comes with
 * the end of the last orphan, for which a busy one can let us wait.
 *
 * Knows nothing of PostgreSQL, and does not keep the process alive.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** Part of every outage, so short; a look costs some 90 us of CPU. */
const POLL_MS = 100;
const PAUSE_MS_MAX = 5_000;

export interface Watched {
  readonly isAlive: () => boolean | Promise<boolean>;
  /** Must make `isAlive` true, or throw; changes nothing once the signal is aborted. */
  readonly restore: (stopping: AbortSignal) => Promise<void>;
  /** Told why a look or an attempt failed; the next one follows a pause that grows up to 5 s. */
  readonly onFailure: (error: unknown) => void;
}

export interface Watch {
  /** Resolves when nothing is under way any more, an attempt included; nothing follows. */
  stop(): Promise<void>;
}

/** Looks ten times a second until it is stopped. */
export function watch(watched: Watched): Watch {
  const stopping = new AbortController();
  const ended = run(watched, stopping.signal);
  return {
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}

async function run({ isAlive, restore, onFailure }: Watched, stopping: AbortSignal): Promise<void> {
  let failures = 0;
  while (await pause(Math.min(POLL_MS * 2 ** failures, PAUSE_MS_MAX), stopping)) {
    try {
      if (!(await isAlive())) await restore(stopping);
      failures = 0;
    } catch (error) {
      failures += 1;
      onFailure(error);
    }
  }
}

/** False when it was stopped. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { ref: false, signal });
    return true;
  } catch {
    return false;
  }
}
