/** Debian's redis-server as a private process: a free port of 127.0.0.1, its files in a directory. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../support/free-port.ts';

const PROGRAM = '/usr/bin/redis-server';
const CONNECT_TRIES_MAX = 400;

export interface RedisServerOptions {
  readonly password?: string;
}

export class RedisServer {
  readonly url: string;
  /** For the test's own commands; waits for the server. */
  readonly client: Redis;
  readonly #port: number;
  readonly #directory: string;
  readonly #password: string | undefined;
  #child: ChildProcess | undefined;

  private constructor(place: { port: number; directory: string; password: string | undefined }) {
    this.#port = place.port;
    this.#directory = place.directory;
    this.#password = place.password;
    const credentials = place.password === undefined ? '' : `:${place.password}@`;
    this.url = `redis://${credentials}127.0.0.1:${place.port}`;
    this.client = new Redis(this.url, {
      lazyConnect: true,
      maxRetriesPerRequest: CONNECT_TRIES_MAX,
      retryStrategy: () => 10,
    });
    // It is meant to lose its server.
    this.client.on('error', () => undefined);
  }

  /** @throws Error that says what to install: a missing program is a failure, never a skip */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    try {
      accessSync(PROGRAM, constants.X_OK);
    } catch (cause) {
      const message = `${PROGRAM} is missing: apt-get install redis-server (see .ci/run)`;
      throw new Error(message, { cause });
    }
    const directory = await mkdtemp(join(tmpdir(), 'hedonify-redis-'));
    const server = new RedisServer({
      port: await freePort(),
      directory,
      password: options.password,
    });
    await server.run();
    return server;
  }

  /** Starts the process, also again after `kill`, with what it saved; resolves when it answers. */
  async run(): Promise<void> {
    const password = this.#password === undefined ? [] : ['--requirepass', this.#password];
    const child = spawn(
      PROGRAM,
      ['--port', `${this.#port}`, '--bind', '127.0.0.1', '--save', '', ...password],
      { cwd: this.#directory, stdio: 'ignore' },
    );
    this.#child = child;
    await this.client.ping();
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
