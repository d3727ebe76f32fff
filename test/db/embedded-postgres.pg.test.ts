import { constants, existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { acquireEmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import { isPresent } from '../../src/db/embedded-presence.ts';
import { EmbeddedUser, isAlive, killUsers } from './embedded-user.ts';

let root: string;
/** One cluster serves most tests, one after the other. */
let dataDir: string;
const handles = new Set<EmbeddedPostgres>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hedonify-embedded-'));
  // As root, PostgreSQL runs under another account, which has to pass through.
  await chmod(root, 0o711);
  dataDir = join(root, 'data with a space', 'x'.repeat(100));
});

afterEach(async () => {
  await killUsers();
  // A failed test must not leave a server behind, nor keep the next one from stopping its own.
  await Promise.all([...handles].map((postgres) => postgres.release()));
  handles.clear();
});

afterAll(async () => {
  await rm(root, { recursive: true });
});

async function acquire(directory = dataDir): Promise<EmbeddedPostgres> {
  const postgres = await acquireEmbeddedPostgres({
    dataDir: directory,
    onProgress: () => undefined,
  });
  handles.add(postgres);
  return postgres;
}

async function query(postgres: { databaseUrl: string }, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: postgres.databaseUrl });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

describe('one user', () => {
  test('creates a cluster, connects, and stops the server by releasing it', async () => {
    const postgres = await acquire();
    expect(await query(postgres, 'SELECT current_database() AS name')).toEqual([
      { name: 'hedonify' },
    ]);
    expect(isAlive(postgres.pid)).toBe(true);
    const socketDir = decodeURIComponent(new URL(postgres.databaseUrl).hostname);
    await postgres.release();
    expect(isAlive(postgres.pid)).toBe(false);
    expect(existsSync(socketDir)).toBe(false);
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
    // Twice is once.
    await postgres.release();
  });

  test('keeps its password from other accounts and asks for it', async () => {
    const { mode } = await stat(join(dataDir, 'postgres-password'));
    expect(mode & 0o777).toBe(0o600);
    const postgres = await acquire();
    const url = new URL(postgres.databaseUrl);
    url.password = 'guess';
    const guess = new pg.Client({ connectionString: url.href });
    await expect(guess.connect()).rejects.toThrow('password authentication failed');
    await postgres.release();
  });

  test('commits are durable (I2) and nothing listens on the network', async () => {
    const postgres = await acquire();
    const rows = await query(
      postgres,
      /* sql */ `SELECT name, setting FROM pg_settings
                  WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes',
                                 'listen_addresses', 'data_checksums', 'server_encoding')`,
    );
    expect(rows).toHaveLength(6);
    expect(rows).toEqual(
      expect.arrayContaining([
        { name: 'fsync', setting: 'on' },
        { name: 'synchronous_commit', setting: 'on' },
        { name: 'full_page_writes', setting: 'on' },
        { name: 'listen_addresses', setting: '' },
        { name: 'data_checksums', setting: 'on' },
        { name: 'server_encoding', setting: 'UTF8' },
      ]),
    );
    await postgres.release();
  });
});

describe('several users', () => {
  test('a second handle of the same process keeps the server alive', async () => {
    const first = await acquire();
    const second = await acquire();
    expect(second.pid).toBe(first.pid);
    await first.release();
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    // The first handle's end must not have taken the second one's registration with it.
    const user = new EmbeddedUser(dataDir);
    expect((await user.acquired).pid).toBe(second.pid);
    await user.stop();
    expect(await query(second, 'SELECT 2 AS two')).toEqual([{ two: 2 }]);
    await second.release();
    expect(isAlive(second.pid)).toBe(false);
  });

  test('a second process keeps the server alive, and stops it as the last', async () => {
    const first = await acquire();
    const user = new EmbeddedUser(dataDir);
    expect((await user.acquired).pid).toBe(first.pid);
    await first.release();
    expect(await query(first, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await user.stop();
    expect(isAlive(first.pid)).toBe(false);
  });

  test('processes that start together share one new cluster', async () => {
    const shared = join(root, 'together');
    const users = [new EmbeddedUser(shared), new EmbeddedUser(shared)];
    const [first, second] = await Promise.all(users.map((user) => user.acquired));
    expect(first?.pid).toBe(second?.pid);
    await Promise.all(users.map((user) => user.stop()));
    expect(isAlive(first?.pid ?? 0)).toBe(false);
  });
});

describe('kill -9', () => {
  test('of the process: its server is adopted with its data, and stopped by the adopter', async () => {
    const user = new EmbeddedUser(dataDir);
    const { pid } = await user.acquired;
    const witness = await acquire();
    await query(witness, `CREATE TABLE kept AS SELECT 'before the kill' AS what`);
    await witness.release();
    await user.kill();
    expect(isAlive(pid)).toBe(true);

    const adopter = await acquire();
    expect(adopter.pid).toBe(pid);
    expect(await query(adopter, 'SELECT what FROM kept')).toEqual([{ what: 'before the kill' }]);
    await adopter.release();
    expect(isAlive(pid)).toBe(false);
  });

  test('of the postmaster: acquiring recovers, at the same address', async () => {
    const before = await acquire();
    const { pid } = before;
    await query(before, `CREATE TABLE committed AS SELECT 1 AS one`);
    process.kill(pid, 'SIGKILL');
    const after = await acquire();
    expect(after.pid).not.toBe(pid);
    expect(after.databaseUrl).toBe(before.databaseUrl);
    expect(await query(after, 'SELECT one FROM committed')).toEqual([{ one: 1 }]);
    await before.release();
    expect(isAlive(after.pid)).toBe(true);
    await after.release();
    expect(isAlive(after.pid)).toBe(false);
  });

  test('of both, with the pid given to another process: the stale file is not believed', async () => {
    const postgres = await acquire();
    const file = join(dataDir, 'postgres', 'postmaster.pid');
    const text = await readFile(file, 'utf8');
    await postgres.release();
    await writeFile(file, text.replace(/^\d+/, String(process.pid)));
    const next = await acquire();
    expect(next.pid).not.toBe(process.pid);
    expect(await query(next, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await next.release();
  });

  test('during initdb: the next start trusts nothing of it', async () => {
    const interrupted = join(root, 'interrupted');
    const user = new EmbeddedUser(interrupted);
    await vi.waitUntil(
      async () => {
        const names = await readdir(interrupted).catch(() => []);
        const unfinished = names.find((name) => name.startsWith('postgres.init-'));
        return unfinished !== undefined && existsSync(join(interrupted, unfinished, 'PG_VERSION'));
      },
      { timeout: 10_000, interval: 2 },
    );
    await user.kill();
    expect(existsSync(join(interrupted, 'postgres'))).toBe(false);
    const postgres = await acquire(interrupted);
    expect(await query(postgres, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await postgres.release();
  });

  test('what an interrupted initdb left is removed', async () => {
    const leftover = join(dataDir, 'postgres.init-abc123');
    await mkdir(join(leftover, 'base'), { recursive: true });
    await writeFile(join(leftover, 'PG_VERSION'), '18\n');
    await (await acquire()).release();
    expect((await readdir(dataDir)).filter((name) => name.includes('init-'))).toEqual([]);
  });
});

/**
 * What a container sees of a server that another one runs on the same DATA_DIR: no process, no
 * socket, nothing but the kernel's word that the FIFO is open.
 */
describe('a server that cannot be seen from here', () => {
  test('is known to live as long as it does, whoever started it', async () => {
    const user = new EmbeddedUser(dataDir);
    await user.acquired;
    await user.kill();
    expect(await isPresent(dataDir)).toBe(true);
    const adopter = await acquire();
    await adopter.release();
    await expect.poll(() => isPresent(dataDir)).toBe(false);
  });

  test('is known to live as long as its last process does', async () => {
    const user = new EmbeddedUser(dataDir);
    const postgres = await user.acquired;
    // Or it would start the next one.
    await user.kill();
    const client = new pg.Client({ connectionString: postgres.databaseUrl });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const backend = rows[0]?.pid ?? 0;
    process.kill(backend, 'SIGSTOP');
    try {
      process.kill(postgres.pid, 'SIGKILL');
      await vi.waitUntil(() => !isAlive(postgres.pid));
      expect(await isPresent(dataDir)).toBe(true);
    } finally {
      process.kill(backend, 'SIGCONT');
    }
    await expect.poll(() => isPresent(dataDir)).toBe(false);
    await client.end().catch(() => undefined);
  });

  test('is never joined by a second one on the same cluster', async () => {
    const postgres = await acquire();
    const lockFile = join(dataDir, 'postgres', 'postmaster.pid');
    const lines = (await readFile(lockFile, 'utf8')).split('\n');
    await postgres.release();
    // Above the largest pid there can be, and a directory that is not there.
    const unseen = lines.with(0, '2147483647').with(4, join(root, 'nowhere')).join('\n');
    await writeFile(lockFile, unseen);
    const fifo = join(dataDir, 'postgres-presence');
    const server = await open(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    await expect(acquire()).rejects.toThrow('cannot be seen from here');
    expect(await readFile(lockFile, 'utf8')).toBe(unseen);
    await server.close();
    const next = await acquire();
    expect(await query(next, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await next.release();
  });

  test('is not mistaken for the plain file that a restored backup made of the FIFO', async () => {
    const fifo = join(dataDir, 'postgres-presence');
    await rm(fifo);
    await writeFile(fifo, '');
    expect(await isPresent(dataDir)).toBe(false);
    const postgres = await acquire();
    expect(await isPresent(dataDir)).toBe(true);
    await postgres.release();
  });
});

describe('refusals', () => {
  test('a directory that is no cluster is not touched', async () => {
    const foreign = join(root, 'foreign');
    await mkdir(join(foreign, 'postgres'), { recursive: true });
    await writeFile(join(foreign, 'postgres', 'letter'), 'dear');
    await expect(acquire(foreign)).rejects.toThrow('is in the way');
    expect(await readFile(join(foreign, 'postgres', 'letter'), 'utf8')).toBe('dear');
    await rm(foreign, { recursive: true });
  });

  test('a lost password file is named', async () => {
    const file = join(dataDir, 'postgres-password');
    const password = await readFile(file, 'utf8');
    await rm(file);
    await expect(acquire()).rejects.toThrow(file);
    await writeFile(file, password, { mode: 0o600 });
  });
});
