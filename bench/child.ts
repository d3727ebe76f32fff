/** Targets of the benchmark are processes of their own, so that none disturbs another's heap. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The server's log line, or a target's only line. */
const READY = [/"url":"(http:[^"]+)".*"msg":"ready"/, /^(http:\/\/\S+)$/];
/** Longer than a takeover of millions of orders takes. */
const READY_MS_MAX = 120_000;
/** A server drains for as long as its requests may take; past it, it is killed. */
const STOP_MS_MAX = 30_000;

export interface TargetOptions {
  /** Relative to bench/: '../src/main.ts', './targets/roof.ts'. */
  readonly file: string;
  readonly args?: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Modules loaded before `file`, in its threads too; relative to bench/. */
  readonly preload?: readonly string[];
}

export interface BenchServer {
  /** Of its file, for messages. */
  readonly name?: string;
  /** As it said it; without a slash at its end. */
  readonly url: string;
  readonly pid: number;
  /** In order: SIGTERM, then SIGKILL for one that does not end. Resolves at once when it has ended. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash. */
  kill(): Promise<void>;
}

/**
 * Starts a target and resolves when it has said its URL on standard output. Standard error is ours.
 *
 * @throws Error when it ended, or stayed silent for `READY_MS_MAX`
 */
export async function startTarget(options: TargetOptions): Promise<BenchServer> {
  const { file, args = [], env = {}, preload = [] } = options;
  const imports = preload.map((module) => `--import=${pathToFileURL(pathOf(module)).href}`);
  const child = spawn(process.execPath, [...imports, pathOf(file), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A session of its own: Ctrl+C reaches the benchmark alone, which stops its targets in order.
    detached: true,
  });
  const late = setTimeout(() => child.kill('SIGKILL'), READY_MS_MAX);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const url = READY.map((form) => form.exec(line)?.[1]).find((it) => it !== undefined);
      if (url === undefined) continue;
      child.stdout.resume();
      return {
        name: file,
        url,
        pid: child.pid ?? 0,
        stop: () => end(child, 'SIGTERM'),
        kill: () => end(child, 'SIGKILL'),
      };
    }
  } finally {
    clearTimeout(late);
  }
  throw new Error(`${file} ended before it was ready`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await exited;
  clearTimeout(late);
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
