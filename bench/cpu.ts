/** CPU time by process and thread, read from /proc; Linux only, elsewhere everything is 0. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Fixed on Linux: USER_HZ. */
const TICKS_PER_SECOND = 100;

export interface CpuUse {
  /** Seconds of all threads. */
  readonly all: number;
  /** Seconds of the main thread: HTTP in our servers. */
  readonly main: number;
}

export function cpuOf(pid: number): CpuUse {
  return { all: seconds(`/proc/${pid}/stat`), main: seconds(`/proc/${pid}/task/${pid}/stat`) };
}

/** Seconds of the postmaster and its live children. */
export function postgresCpu(postmaster: number): number {
  if (!existsSync('/proc/self/stat')) return 0;
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes
    .filter((pid) => Number(pid) === postmaster || parentOf(pid) === postmaster)
    .reduce((sum, pid) => sum + seconds(`/proc/${pid}/stat`), 0);
}

function parentOf(pid: string): number {
  return Number(fields(`/proc/${pid}/stat`)[1]);
}

function seconds(path: string): number {
  const stat = fields(path);
  return (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) / TICKS_PER_SECOND;
}

/** After the command's name, which may hold spaces: state, ppid, ..., utime, stime. */
function fields(path: string): string[] {
  try {
    const text = readFileSync(path, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}
