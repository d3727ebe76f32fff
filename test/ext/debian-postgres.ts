/**
 * Debian's PostgreSQL 15, the oldest that is supported, as a private cluster in a directory of its
 * own: a unix socket only, run by the system user `postgres` that the package made.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, constants, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { withClient } from '../../src/db/client.ts';
import { applySchema } from '../../src/db/schema.ts';
import { openTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const PORT = 5432;

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** @throws Error that says what to install: a missing program is a failure, never a skip */
function postgresAccount(): Account {
  for (const program of ['initdb', 'postgres']) {
    try {
      accessSync(join(BIN, program), constants.X_OK);
    } catch (cause) {
      const message = `${BIN}/${program} is missing: apt-get install postgresql-15 (see .ci/run)`;
      throw new Error(message, { cause });
    }
  }
  const entry = /^postgres:[^:]*:(?<uid>\d+):(?<gid>\d+):/m.exec(
    readFileSync('/etc/passwd', 'utf8'),
  );
  if (entry?.groups === undefined) throw new Error('the system has no user postgres');
  return { uid: Number(entry.groups['uid']), gid: Number(entry.groups['gid']) };
}

export class DebianPostgres {
  readonly #server: ChildProcess;
  readonly #directory: string;
  readonly #databases: TestDatabase[] = [];

  private constructor(server: ChildProcess, directory: string) {
    this.#server = server;
    this.#directory = directory;
  }

  static async start(): Promise<DebianPostgres> {
    const account = postgresAccount();
    const directory = await mkdtemp(join(tmpdir(), 'hedonify-pg15-'));
    chownSync(directory, account.uid, account.gid);
    const data = join(directory, 'data');
    const asPostgres = { ...account, cwd: directory, env: { PATH: BIN, LC_ALL: 'C' } };
    execFileSync(join(BIN, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '-N'], { ...asPostgres, stdio: 'pipe' }); // prettier-ignore
    const server = spawn(
      join(BIN, 'postgres'),
      ['-D', data, '-k', directory, '-p', `${PORT}`, '-c', 'listen_addresses='],
      { ...asPostgres, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    server.stderr.on('data', (text: Buffer) => (log += text.toString()));
    const postgres = new DebianPostgres(server, directory);
    try {
      await until('PostgreSQL 15 accepts connections', async () => {
        if (server.exitCode !== null) throw new Error(`PostgreSQL 15 ended:\n${log}`);
        return await canConnect(postgres.#url('postgres'));
      });
    } catch (error) {
      await postgres.stop();
      throw error;
    }
    return postgres;
  }

  /** A fresh database with the schema; `stop` closes it. */
  async createDatabase(name: string): Promise<TestDatabase> {
    const root = { databaseUrl: this.#url('postgres'), applicationName: 'test' };
    await withClient(root, (client) => client.query(`CREATE DATABASE ${name}`));
    const url = this.#url(name);
    await withClient({ ...root, databaseUrl: url }, applySchema);
    const database = openTestDatabase(url);
    this.#databases.push(database);
    return database;
  }

  /** Stops the server at once and removes the cluster. */
  async stop(): Promise<void> {
    await Promise.all(this.#databases.map((database) => database.close()));
    if (this.#server.exitCode === null) {
      const exited = once(this.#server, 'exit');
      this.#server.kill('SIGINT');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  #url(database: string): string {
    return `postgresql://postgres@${encodeURIComponent(this.#directory)}:${PORT}/${database}`;
  }
}

async function canConnect(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
