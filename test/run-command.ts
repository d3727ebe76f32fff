/** Runs a command of the project as npm does: a process of its own, judged by its exit code. */
import { execFile } from 'node:child_process';

export interface CommandResult {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 30_000;

/** Resolves whatever the exit code is; `environment` replaces the one of the test. */
export function runCommand(
  file: 'audit' | 'user',
  options: {
    readonly args?: readonly string[];
    readonly environment: Readonly<Record<string, string>>;
    readonly started?: (pid: number | undefined) => void;
  },
): Promise<CommandResult> {
  const path = new URL(`../src/${file}.ts`, import.meta.url).pathname;
  const env = { PATH: process.env['PATH'] ?? '', ...options.environment };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [path, ...(options.args ?? [])],
      { env, timeout: TIMEOUT_MS },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
    options.started?.(child.pid);
  });
}
