/**
 * The server as a process of its own, `node src/main.ts`, so that a test can kill it like an
 * operator or an accident would.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createSigner } from 'fast-jwt';
import type { Role } from '../../src/domain/user.ts';
import { running } from './running-servers.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const JWT_SECRET = 'a secret of the tests that is long enough';
const START_MS_MAX = 30_000;
/** Log lines kept for the message of a failure. */
const LINES_MAX = 200;

const signerFor = (expiresIn: number) =>
  createSigner({
    key: JWT_SECRET,
    algorithm: 'HS256',
    iss: 'hedonify',
    aud: 'hedonify-api',
    expiresIn,
  });
const sign = signerFor(3_600_000);

/** An access token as the shop itself would sign it; it lives for an hour, or milliseconds. */
export function tokenOf(userId: string, role: Role = 'customer', ttlMs?: number): string {
  return (ttlMs === undefined ? sign : signerFor(ttlMs))({ sub: userId, role });
}

export interface ServerOptions {
  /** Null = the embedded PostgreSQL of the DATA_DIR in `env`. */
  readonly databaseUrl: string | null;
  readonly env?: Readonly<Record<string, string>>;
  /** Modules loaded into every thread before the server. */
  readonly preload?: readonly string[];
  /** Sees each line of standard output and standard error. */
  readonly onLine?: (line: string) => void;
}

export class ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** Resolves with exit code and signal. */
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  readonly #child: ChildProcess;
  readonly #lines: readonly string[];

  private constructor(child: ChildProcess, url: string, lines: readonly string[]) {
    if (child.pid === undefined) throw new Error('the server has no pid');
    this.#child = child;
    this.#lines = lines;
    this.url = url;
    this.pid = child.pid;
    this.exited = exitOf(child);
  }

  /** Resolves when it is ready; rejects with its last log lines when it ends instead. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const preload = (options.preload ?? []).flatMap((url) => ['--import', url]);
    const child = spawn(process.execPath, [...preload, MAIN], {
      env: {
        PATH: process.env['PATH'],
        ...(options.databaseUrl === null ? {} : { DATABASE_URL: options.databaseUrl }),
        JWT_SECRET,
        PORT: '0',
        SHARDS: '4',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const lines: string[] = [];
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why}:\n${lines.join('\n')}`));
      const timer = setTimeout(() => fail('the server is not ready in time'), START_MS_MAX);
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        fail(`the server ended with ${code ?? signal}`);
      });
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          options.onLine?.(line);
          lines.push(line);
          if (lines.length > LINES_MAX) lines.shift();
          const ready = /"url":"(?<url>[^"]+)".*"msg":"ready"/.exec(line)?.groups?.['url'];
          if (ready === undefined) return;
          clearTimeout(timer);
          resolve(ready);
        });
      }
    });
    return new ServerProcess(child, url, lines);
  }

  /** The newest lines of its log. */
  get log(): string {
    return this.#lines.join('\n');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Asks it to stop; resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    const [code] = await this.exited;
    return code;
  }
}

async function exitOf(child: ChildProcess): ReturnType<() => ServerProcess['exited']> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return [child.exitCode, child.signalCode];
  }
  const [code, signal] = await once(child, 'exit');
  return [code, signal];
}
