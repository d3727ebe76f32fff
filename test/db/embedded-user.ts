/** Processes that use an embedded PostgreSQL, for tests that need several of them or kill one. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Interface } from 'node:readline/promises';

/** Acquires and reports, reports again for every line, and releases when its stdin ends. */
const PROGRAM = `
  const { acquireEmbeddedPostgres } = await import(process.argv[1]);
  const outage = [];
  const postgres = await acquireEmbeddedPostgres({
    dataDir: process.argv[2],
    onProgress: () => {},
    onOutage: (message) => outage.push(message),
  });
  const report = () =>
    console.log(JSON.stringify({ pid: postgres.pid, databaseUrl: postgres.databaseUrl, outage }));
  report();
  process.stdin.on('data', report);
  process.stdin.on('end', () => void postgres.release());
`;
const MODULE = new URL('../../src/db/embedded-postgres.ts', import.meta.url).href;

export interface UserReport {
  /** The postmaster's. */
  readonly pid: number;
  readonly databaseUrl: string;
  /** What was told of outages. */
  readonly outage: readonly string[];
}

const users = new Set<EmbeddedUser>();

export class EmbeddedUser {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  /** The first report, once it has acquired. */
  readonly acquired: Promise<UserReport>;

  constructor(dataDir: string, env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(
      process.execPath,
      ['--input-type=module', '--eval', PROGRAM, MODULE, dataDir],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } },
    );
    if (this.#child.stdout === null) throw new Error('the user has no stdout');
    this.#lines = createInterface({ input: this.#child.stdout });
    this.acquired = this.#next();
    users.add(this);
    this.#child.once('close', () => users.delete(this));
  }

  async #next(): Promise<UserReport> {
    const [line]: unknown[] = await once(this.#lines, 'line');
    return JSON.parse(String(line)) as UserReport;
  }

  async report(): Promise<UserReport> {
    const next = this.#next();
    this.#child.stdin?.write('\n');
    return await next;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Lets it release and end. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended();
  }

  async #ended(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) await once(this.#child, 'close');
  }
}

/** What a failed test left. */
export async function killUsers(): Promise<void> {
  await Promise.all([...users].map((user) => user.kill()));
}

/** A zombie is dead: whether somebody reaps it is up to pid 1 of the machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = existsSync('/proc/self/stat') ? readFileSync(`/proc/${pid}/stat`, 'latin1') : '';
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}
