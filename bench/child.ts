/** Targets of the benchmark are processes of their own, so that none disturbs another's heap. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Starts `file` and resolves with what the first line that matches says. */
export async function startServer(
  file: string,
  options: { readonly env?: Readonly<Record<string, string>>; readonly ready: RegExp },
): Promise<{ readonly child: ChildProcess; readonly url: string; readonly pid: number }> {
  const child = spawn(process.execPath, [pathOf(file)], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = options.ready.exec(line)?.[1];
    if (url === undefined) continue;
    child.stdout.resume();
    return { child, url, pid: child.pid ?? 0 };
  }
  throw new Error(`${file} ended before it was ready`);
}

/** Starts `file` with an IPC channel and resolves when it says that it is ready. */
export async function startWorker(file: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [pathOf(file), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return child;
}

/** Sends a message over IPC and resolves with the answer. */
export async function ask(child: ChildProcess, message: number): Promise<number> {
  const answer = once(child, 'message');
  child.send(message);
  const [value]: unknown[] = await answer;
  return Number(value);
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  if (child.connected) child.disconnect();
  else child.kill('SIGTERM');
  await exited;
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
