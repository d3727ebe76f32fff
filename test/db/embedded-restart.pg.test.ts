import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { acquireEmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import { isPresent } from '../../src/db/embedded-presence.ts';
import { watch } from '../../src/db/embedded-watch.ts';
import { until } from '../support/until.ts';
import { EmbeddedUser, isAlive, killUsers } from './embedded-user.ts';

/** More than one look of a watch that was forgotten. */
const LOOKS = 4;

let root: string;
let dataDir: string;
let outage: string[];
let postgres: EmbeddedPostgres;
const clients = new Set<pg.Client>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hedonify-restart-'));
  // As root, PostgreSQL runs under another account, which has to pass through.
  await chmod(root, 0o711);
  dataDir = join(root, 'data');
});

afterEach(async () => {
  await Promise.all([...clients].map((client) => client.end().catch(() => undefined)));
  clients.clear();
  await killUsers();
  await postgres.release();
});

afterAll(async () => {
  // A watch that outlived its release would by now find its server gone and start it.
  let looks = 0;
  const clock = watch({
    isAlive: () => {
      looks += 1;
      return Promise.resolve(true);
    },
    restore: () => Promise.resolve(),
    onFailure: () => undefined,
  });
  await until('some time', () => looks > LOOKS);
  await clock.stop();
  expect(await isPresent(dataDir)).toBe(false);
  await rm(root, { recursive: true });
});

async function acquire(): Promise<EmbeddedPostgres> {
  outage = [];
  postgres = await acquireEmbeddedPostgres({
    dataDir,
    onProgress: () => undefined,
    onOutage: (message) => outage.push(message),
  });
  return postgres;
}

async function connect(databaseUrl = postgres.databaseUrl): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  clients.add(client);
  return client;
}

async function query(text: string, databaseUrl = postgres.databaseUrl): Promise<unknown[]> {
  const client = await connect(databaseUrl);
  try {
    return (await client.query(text)).rows;
  } finally {
    clients.delete(client);
    await client.end();
  }
}

async function answers(): Promise<boolean> {
  try {
    await query('SELECT 1');
    return true;
  } catch {
    return false;
  }
}

/** Another postmaster than `pid` answers at the address that was always known. */
async function isBack(pid: number): Promise<boolean> {
  return postgres.pid !== pid && (await answers());
}

function count(messages: readonly string[], part: string): number {
  return messages.filter((message) => message.includes(part)).length;
}

describe('a server that ends while it is in use is restarted at its address', () => {
  test('after kill -9, with every commit that was answered (I2)', async () => {
    const { pid, databaseUrl } = await acquire();
    await query('CREATE TABLE answered (n integer PRIMARY KEY)');
    const client = await connect();
    let last = 0;
    const writing = (async () => {
      for (;;) {
        await client.query('INSERT INTO answered VALUES ($1)', [last + 1]);
        last += 1;
      }
    })().catch(() => 'the connection broke');
    await until('some commits', () => last > 20);
    process.kill(pid, 'SIGKILL');
    await writing;
    await until('the restart', () => isBack(pid));
    expect(postgres.databaseUrl).toBe(databaseUrl);
    const [row] = await query(`SELECT count(*)::integer AS n FROM answered WHERE n <= ${last}`);
    expect(row).toEqual({ n: last });
    expect(outage).toEqual([
      `PostgreSQL (pid ${pid}) has ended although it is in use`,
      `starting PostgreSQL in ${join(dataDir, 'postgres')}`,
      expect.stringMatching(/^PostgreSQL is back after \d+ ms/),
    ]);
  });

  test('again while it recovers', async () => {
    const { pid } = await acquire();
    process.kill(pid, 'SIGKILL');
    const lockFile = join(dataDir, 'postgres', 'postmaster.pid');
    let second = pid;
    await until('the second postmaster', async () => {
      second = Number.parseInt(await readFile(lockFile, 'utf8').catch(() => ''), 10) || pid;
      return second !== pid;
    });
    process.kill(second, 'SIGKILL');
    await until('the restart', () => isBack(pid));
    expect(postgres.pid).not.toBe(second);
  });

  test('twice in a row, and after somebody stopped it', async () => {
    const { databaseUrl } = await acquire();
    for (const signal of ['SIGKILL', 'SIGKILL', 'SIGINT'] as const) {
      const { pid } = postgres;
      process.kill(pid, signal);
      await until('the restart', () => isBack(pid));
    }
    expect(postgres.databaseUrl).toBe(databaseUrl);
  });

  test('although an orphan is busy, or stopped', async () => {
    const { pid } = await acquire();
    const [busy, stopped] = [await connect(), await connect()];
    const { rows } = await stopped.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const orphan = rows[0]?.pid ?? 0;
    // Never looks whether its postmaster lives.
    const endless = busy.query('DO $$ BEGIN LOOP END LOOP; END $$').catch(() => undefined);
    process.kill(orphan, 'SIGSTOP');
    process.kill(pid, 'SIGKILL');
    await until('the restart', () => isBack(pid));
    expect(isAlive(orphan)).toBe(false);
    await endless;
  });

  test('as soon as what kept it from starting is gone', async () => {
    const { pid } = await acquire();
    const file = join(dataDir, 'postgres-password');
    await rename(file, `${file}.away`);
    process.kill(pid, 'SIGKILL');
    await until('two failures', () => count(outage, 'could not be restarted') === 2);
    expect(outage.at(-1)).toContain(file);
    await rename(`${file}.away`, file);
    await until('the restart', () => isBack(pid));
  });
});

test('a backend that crashes is left to the postmaster', async () => {
  const { pid } = await acquire();
  const client = await connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const lost = new Promise((resolve) => client.once('end', resolve));
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL');
  await lost;
  await until('the restart of the children', answers);
  expect(postgres.pid).toBe(pid);
  expect(outage).toEqual([]);
});

describe('several users', () => {
  test('restart one server between them', async () => {
    const { pid, databaseUrl } = await acquire();
    const users = [new EmbeddedUser(dataDir), new EmbeddedUser(dataDir)];
    await Promise.all(users.map((user) => user.acquired));
    process.kill(pid, 'SIGKILL');
    await until('the restart', () => isBack(pid));
    await until('the same server for all', async () => {
      const reports = await Promise.all(users.map((user) => user.report()));
      return reports.every((report) => report.pid === postgres.pid);
    });
    const reports = await Promise.all(users.map((user) => user.report()));
    expect(reports.map((report) => report.databaseUrl)).toEqual([databaseUrl, databaseUrl]);
    const told = [...outage, ...reports.flatMap((report) => report.outage)];
    expect(count(told, 'starting PostgreSQL')).toBe(1);
    expect(count(told, 'could not be restarted')).toBe(0);
    await Promise.all(users.map((user) => user.stop()));
    expect(await answers()).toBe(true);
  });

  test('find it where they know it, whatever TMPDIR has who restarts it', async () => {
    const elsewhere = join(root, 'tmp');
    await mkdir(elsewhere, { mode: 0o711 });
    const first = new EmbeddedUser(dataDir, { TMPDIR: elsewhere });
    const { pid, databaseUrl } = await first.acquired;
    expect(decodeURIComponent(databaseUrl)).toContain(elsewhere);
    first.signal('SIGSTOP');
    try {
      await acquire();
      expect(postgres.databaseUrl).toBe(databaseUrl);
      process.kill(pid, 'SIGKILL');
      await until('the restart', () => isBack(pid));
    } finally {
      first.signal('SIGCONT');
    }
    await first.stop();
  });
});

describe('release', () => {
  test('during a restart waits for it, and nothing runs afterwards', async () => {
    const { pid, databaseUrl } = await acquire();
    process.kill(pid, 'SIGKILL');
    await until('the restart', () => count(outage, 'starting PostgreSQL') === 1);
    await postgres.release();
    expect(await isPresent(dataDir)).toBe(false);
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
    expect(existsSync(decodeURIComponent(new URL(databaseUrl).hostname))).toBe(false);
  });

  test('leaves restarting to who is still registered', async () => {
    const { pid, databaseUrl } = await acquire();
    const other = new EmbeddedUser(dataDir);
    await other.acquired;
    await postgres.release();
    process.kill(pid, 'SIGKILL');
    await until('the restart', async () => (await other.report()).pid !== pid);
    expect(await query('SELECT 1 AS one', databaseUrl)).toEqual([{ one: 1 }]);
    expect(outage).toEqual([]);
    await other.stop();
  });
});
