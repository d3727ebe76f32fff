/**
 * Who uses an embedded cluster, and whose turn it is to start or stop it.
 *
 * Both are SQLite locks on two empty files beside the cluster, since node:sqlite is the only door
 * that Node has to the kernel's own file locks. The kernel drops such a lock when its process ends,
 * however it ends, so a live user is proven, never inferred: lock files with a pid in them were
 * refused because a recycled pid, another pid namespace, or two processes that both break the same
 * stale file can make them lie. Nothing is ever written to either file.
 *
 * Knows nothing of PostgreSQL.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

/** A process may create a cluster or go through crash recovery in its turn: minutes, not seconds. */
const TURN_WAIT_MAX_MS = 300_000;
const TURN_POLL_MS = 20;
/** How long a wait may be before it is worth a word to whoever watches the start. */
const TURN_WAIT_SILENT_MS = 1_000;
const SQLITE_BUSY = 5;

/** Held until `release`, or until the process ends. */
export interface Lock {
  release(): void;
}

/** Keeps held locks reachable: a connection that is collected would silently drop its lock. */
const held = new Set<DatabaseSync>();

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

/** Undefined when another connection, of this process or any other, holds a conflicting lock. */
function tryLock(file: string, mode: 'shared' | 'exclusive'): Lock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // SQLite opens a file that it may not write all the same, and then calls a shared lock exclusive.
    accessSync(file, constants.W_OK);
    // A plain BEGIN locks nothing before the first read.
    database.exec(mode === 'exclusive' ? 'BEGIN EXCLUSIVE' : 'BEGIN; SELECT 1 FROM sqlite_schema');
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw new Error(`cannot lock ${file}: is it writable for this user?`, { cause: error });
  }
  held.add(database);
  return {
    release: () => {
      if (held.delete(database)) database.close();
    },
  };
}

function usersFile(dataDir: string): string {
  return join(dataDir, 'postgres-users');
}

/**
 * Waits until no other process is starting or stopping the cluster.
 * @throws Error after five minutes
 */
export async function takeTurn(dataDir: string, onWait: () => void): Promise<Lock> {
  const file = join(dataDir, 'postgres-turn');
  const start = performance.now();
  let silent = true;
  for (;;) {
    const turn = tryLock(file, 'exclusive');
    if (turn !== undefined) return turn;
    const waitedMs = performance.now() - start;
    if (waitedMs > TURN_WAIT_MAX_MS) {
      throw new Error(`another process has held ${file} for ${TURN_WAIT_MAX_MS / 1000} s`);
    }
    if (silent && waitedMs > TURN_WAIT_SILENT_MS) {
      silent = false;
      onWait();
    }
    await delay(TURN_POLL_MS);
  }
}

/** Registers this process as a user, once per call. Only in one's turn. */
export function registerUser(dataDir: string): Lock {
  const user = tryLock(usersFile(dataDir), 'shared');
  if (user === undefined) {
    throw new Error(`${usersFile(dataDir)} is locked although it is this process's turn`);
  }
  return user;
}

/** Whether any live process, this one included, is registered. Only in one's turn. */
export function hasUsers(dataDir: string): boolean {
  const alone = tryLock(usersFile(dataDir), 'exclusive');
  alone?.release();
  return alone === undefined;
}
