/**
 * CPU time and memory of our servers and of PostgreSQL, read from /proc; Linux only, elsewhere
 * everything is 0.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Fixed on Linux: USER_HZ. */
const TICKS_PER_SECOND = 100;
/** Node's own threads, as it calls them: garbage collection, compilation, file system, inspector. */
const RUNTIME_THREADS = /V8Worker|DelayedTask|SignalInsp|libuv|iou-/;

/** Seconds of one process since its start. */
export interface CpuUse {
  /** HTTP in our servers. */
  readonly main: number;
  /** Threads of JavaScript: the shards. */
  readonly shards: number;
  /** Garbage collection, compilation and what else Node does beside, threads that ended too. */
  readonly runtime: number;
}

export function cpuOf(pid: number): CpuUse {
  const seconds = { main: 0, shards: 0, runtime: 0 };
  for (const thread of namesIn(`/proc/${pid}/task`)) {
    const { name, own } = statOf(`/proc/${pid}/task/${thread}/stat`);
    if (thread === String(pid)) seconds.main += own;
    else if (!RUNTIME_THREADS.test(name)) seconds.shards += own;
  }
  const { own } = statOf(`/proc/${pid}/stat`);
  return { ...seconds, runtime: Math.max(0, own - seconds.main - seconds.shards) };
}

/** Bytes of memory that a process holds. */
export function memoryOf(pid: number): number {
  return bytesOf(`/proc/${pid}/status`, 'VmRSS');
}

/** Seconds of the postmaster and of all its children, those that ended included. */
export function postgresCpu(postmaster: number): number {
  const { own, reaped } = statOf(`/proc/${postmaster}/stat`);
  const children = childrenOf(postmaster).map((pid) => statOf(`/proc/${pid}/stat`).own);
  return [own, reaped, ...children].reduce((sum, seconds) => sum + seconds);
}

/** Bytes of all its processes; what they share is counted once. */
export function postgresMemory(postmaster: number): number {
  return [String(postmaster), ...childrenOf(postmaster)]
    .map((pid) => bytesOf(`/proc/${pid}/smaps_rollup`, 'Pss'))
    .reduce((sum, bytes) => sum + bytes);
}

function childrenOf(parent: number): string[] {
  const pids = namesIn('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => statOf(`/proc/${pid}/stat`).parent === parent);
}

interface Stat {
  readonly name: string;
  readonly parent: number;
  /** Seconds. */
  readonly own: number;
  /** Seconds of children that ended and were waited for. */
  readonly reaped: number;
}

/** Fields 2, 4, 14 to 17 of proc_pid_stat(5); the name may hold spaces and parentheses. */
function statOf(path: string): Stat {
  const text = textOf(path);
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  const seconds = (at: number) => Number(fields[at] ?? 0) / TICKS_PER_SECOND;
  return {
    name: text.slice(text.indexOf('(') + 1, end),
    parent: Number(fields[1]),
    own: seconds(11) + seconds(12),
    reaped: seconds(13) + seconds(14),
  };
}

function bytesOf(path: string, name: string): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(textOf(path))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** Of a process that has ended meanwhile: empty. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
