/**
 * PostgreSQL as docker/compose.yaml starts it, without the container: version 18 of the embedded
 * package with docker/postgres/postgresql.conf, and the roles that docker/postgres/init makes with
 * Debian's psql. A unix socket in a directory of its own.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { findBinaries } from '../../src/db/embedded-account.ts';
import { until } from '../support/until.ts';
import { runProgram } from './outside-program.ts';

const PSQL_DIRECTORY = '/usr/lib/postgresql/15/bin';
const SUPERUSER_PASSWORD = 'password-of-the-superuser';
/** As in the files of docker/: the names of the roles are theirs. */
const PASSWORDS = { hedonify: 'password-of-the-app', exporter: 'password-of-the-exporter' };
const docker = resolve(import.meta.dirname, '../../docker/postgres');

export class StackPostgres {
  readonly #server: ChildProcess;
  readonly #directory: string;

  private constructor(server: ChildProcess, directory: string) {
    this.#server = server;
    this.#directory = directory;
  }

  /** @throws Error with the output of what failed */
  static async start(): Promise<StackPostgres> {
    const bin = dirname((await findBinaries()).initdb);
    const directory = await mkdtemp(join(tmpdir(), 'hedonify-stack-'));
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
    const account = { uid: id('-u'), gid: id('-g'), cwd: directory };
    const passwordFile = join(directory, 'password');
    writeFileSync(passwordFile, SUPERUSER_PASSWORD);
    chownSync(directory, account.uid, account.gid);
    const data = join(directory, 'data');
    execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C', '-N'], { ...account, stdio: 'pipe' }); // prettier-ignore
    const server = spawn(
      join(bin, 'postgres'),
      ['-D', data, '-c', `config_file=${join(docker, 'postgresql.conf')}`, '-c', 'listen_addresses=', '-c', `unix_socket_directories=${directory}`], // prettier-ignore
      { ...account, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    server.stderr.on('data', (text: Buffer) => (log += text.toString()));
    const postgres = new StackPostgres(server, directory);
    try {
      await until('PostgreSQL of the stack', () => {
        if (server.exitCode !== null) throw new Error(`PostgreSQL ended:\n${log}`);
        return log.includes('database system is ready to accept connections');
      });
      await postgres.#makeRoles();
    } catch (error) {
      await postgres.stop();
      throw error;
    }
    return postgres;
  }

  /** Of the database `hedonify`. */
  urlOf(role: keyof typeof PASSWORDS): string {
    const socket = encodeURIComponent(this.#directory);
    return `postgresql://${role}:${PASSWORDS[role]}@${socket}:5432/hedonify`;
  }

  /** What the image does with /docker-entrypoint-initdb.d on an empty volume. */
  async #makeRoles(): Promise<void> {
    const environment = {
      PATH: `${PSQL_DIRECTORY}:/usr/bin:/bin`,
      PGHOST: this.#directory,
      PGPASSWORD: SUPERUSER_PASSWORD,
      POSTGRES_USER: 'postgres',
      HEDONIFY_DB_PASSWORD: PASSWORDS.hedonify,
      EXPORTER_DB_PASSWORD: PASSWORDS.exporter,
    };
    const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const script = join(docker, 'init/10-roles.sh');
    const { code, output } = await runProgram('/usr/bin/env', ['-i', ...words, script]);
    if (code !== 0) throw new Error(`${script} ended with ${code}:\n${output}`);
  }

  /** Stops the server at once and removes the cluster. */
  async stop(): Promise<void> {
    if (this.#server.exitCode === null) {
      const exited = once(this.#server, 'exit');
      this.#server.kill('SIGQUIT');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
