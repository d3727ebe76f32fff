import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCommitSession, openShardSession, renewStaging } from '../../src/db/commit-session.ts';
import { acquireEmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import { ShardDatabase } from '../../src/db/shard-database.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { BatchBuilder } from './batch-builder.ts';

const STATEMENT_TIMEOUT_MS = 300;

function open(databaseUrl: string): Promise<pg.Client> {
  return openCommitSession({
    databaseUrl,
    applicationName: 'commit',
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
}

async function setting(client: pg.Client, name: string): Promise<unknown> {
  const { rows } = await client.query<Record<string, unknown>>(`SHOW ${name}`);
  return rows[0]?.[name];
}

describe('a commit session', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    await database.close();
  });

  it('is durable also in a database that is set to be careless (I2)', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await database.query(`ALTER DATABASE ${name} SET synchronous_commit = off`);
    const plain = new pg.Client({ connectionString: database.url });
    await plain.connect();
    expect(await setting(plain, 'synchronous_commit')).toBe('off');
    await plain.end();
    const session = await open(database.url);
    expect(await setting(session, 'synchronous_commit')).toBe('on');
    await session.end();
  });

  it('does not hold back the transaction ids of the server for as long as it lives', async () => {
    const session = await open(database.url);
    const age = async () => {
      const { rows } = await session.query<{ age: number }>(
        "SELECT age(relfrozenxid) AS age FROM pg_class WHERE oid = 'pg_temp.batch_rows'::regclass",
      );
      return rows[0]?.age ?? Number.NaN;
    };
    for (let n = 0; n < 20; n += 1) await database.query('SELECT txid_current()');
    const old = await age();
    expect(old).toBeGreaterThanOrEqual(20);
    // Transactions of other test files may hold the new one back for a moment.
    await until('a younger staging table', async () => {
      await renewStaging(session);
      return (await age()) < old;
    });
    await session.end();
  });

  it('reads what is committed, also in a database that is set otherwise', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await database.query(
      `ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`,
    );
    const session = await open(database.url);
    expect(await setting(session, 'transaction_isolation')).toBe('read committed');
    await session.end();
    await database.query(`ALTER DATABASE ${name} RESET default_transaction_isolation`);
  });

  it('that cannot be opened in time is given up (I9)', async () => {
    const silent = createServer((socket) => socket.resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const opening = openShardSession({
      databaseUrl: `postgresql://nobody@127.0.0.1:${port}/none`,
      applicationName: 'patient',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      openMsMax: 100,
    });
    await expect(opening).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    silent.close();
    await once(silent, 'close');
  });

  it('is what a shard reads with too, but for the staging table', async () => {
    const session = await openShardSession({
      databaseUrl: database.url,
      applicationName: 'reader',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    expect(await setting(session, 'statement_timeout')).toBe(`${STATEMENT_TIMEOUT_MS}ms`);
    const staging = await session.query("SELECT to_regclass('pg_temp.batch_rows') AS name");
    expect(staging.rows).toEqual([{ name: null }]);
    await session.end();
  });

  it('ends a statement, a wait for a lock and an idle transaction in bounded time (I9)', async () => {
    const session = await open(database.url);
    await expect(session.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: '57014' });
    const blocker = new pg.Client({ connectionString: database.url });
    await blocker.connect();
    await blocker.query('BEGIN; LOCK TABLE orders');
    // Not by the end of the statement's time, which would leave open whether a COMMIT took place.
    await expect(session.query('SELECT FROM orders')).rejects.toMatchObject({ code: '55P03' });
    await blocker.end();
    const lost = new Promise<Error>((resolve) => session.on('error', resolve));
    await session.query('BEGIN; LOCK TABLE orders');
    expect(await lost).toMatchObject({ code: '25P03' });
    expect(await database.query('SELECT FROM orders')).toEqual([]);
    await session.end();
  });

  it('has a staging table of its own, empty after every transaction', async () => {
    const [one, two] = [await open(database.url), await open(database.url)];
    const insert = `INSERT INTO pg_temp.batch_rows (kind, id, product_id, quantity)
                    VALUES ('s', gen_random_uuid(), gen_random_uuid(), 1)`;
    const count = 'SELECT count(*)::integer AS n FROM pg_temp.batch_rows';
    await one.query('BEGIN');
    await one.query(insert);
    expect((await one.query(count)).rows).toEqual([{ n: 1 }]);
    expect((await two.query(count)).rows).toEqual([{ n: 0 }]);
    await one.query('COMMIT');
    expect((await one.query(count)).rows).toEqual([{ n: 0 }]);
    await Promise.all([one.end(), two.end()]);
  });
});

describe('a server that could lose an acknowledged COMMIT (I2)', () => {
  let dataDir: string;
  let postgres: EmbeddedPostgres;
  let admin: pg.Client;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'hedonify-careless-'));
    postgres = await acquireEmbeddedPostgres({ dataDir, onProgress: () => undefined });
    admin = new pg.Client({ connectionString: postgres.databaseUrl });
    await admin.connect();
  });

  afterAll(async () => {
    await admin.end();
    await postgres.release();
    await rm(dataDir, { recursive: true, force: true });
  });

  async function set(name: string, value: 'on' | 'off'): Promise<void> {
    await admin.query(`ALTER SYSTEM SET ${name} = ${value}`);
    await admin.query('SELECT pg_reload_conf()');
    await until(`${name} = ${value}`, async () => (await setting(admin, name)) === value);
  }

  async function noneIsOpen(): Promise<boolean> {
    const { rowCount } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE application_name = 'commit'`,
    );
    return rowCount === 0;
  }

  it.each(['fsync', 'full_page_writes'])('is refused: %s = off', async (name) => {
    await set(name, 'off');
    await expect(open(postgres.databaseUrl)).rejects.toThrow(
      `${name} = off: a commit could be lost`,
    );
    await set(name, 'on');
    const session = await open(postgres.databaseUrl);
    await session.end();
    // Neither the refused session nor the other is left behind.
    await until('every commit session is gone', noneIsOpen);
  });

  it('is refused by a shard that has lost its sessions and opens others', async () => {
    const shard = await ShardDatabase.open({
      databaseUrl: postgres.databaseUrl,
      applicationName: 'commit',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      silenceMsMax: STATEMENT_TIMEOUT_MS,
      commitsInFlightMax: 1,
    });
    await set('fsync', 'off');
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'commit'`,
    );
    await until('every commit session is gone', noneIsOpen);
    // One turn of the event loop more, in which their last words are read.
    await noneIsOpen();
    const batch = new BatchBuilder(1 as OwnerId).batch({});
    await expect(shard.commit(batch)).rejects.toThrow('fsync = off: a commit could be lost');
    await shard.close();
    await set('fsync', 'on');
  });

  it('is refused by the whole service: it does not start, and says why', async () => {
    await set('fsync', 'off');
    const starting = ServerProcess.start({
      databaseUrl: postgres.databaseUrl,
      env: { SHARDS: '1' },
    });
    await expect(starting).rejects.toThrow(/ended with 1:[^]*fsync = off: a commit could be lost/);
    // Before it could fence anybody.
    expect((await admin.query('SELECT FROM owners')).rowCount).toBe(0);
    await set('fsync', 'on');
    const server = await ServerProcess.start({
      databaseUrl: postgres.databaseUrl,
      env: { SHARDS: '1' },
    });
    expect(await server.stop()).toBe(0);
  });
});
