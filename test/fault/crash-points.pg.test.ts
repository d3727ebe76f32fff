/**
 * The process dies at named points of a commit. Nothing in the server knows of them: the database
 * stops the transaction with triggers of this test that wait for a lock the test holds, and the one
 * point between threads is hit by a preloaded module.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { Journal } from './journal.ts';

const GATE = 471_147;
const CUSTOMERS = 32;
const DIE_BEFORE_ANSWER = new URL('./die-before-answer.ts', import.meta.url).href;

const GATES_SQL = /* sql */ `
  CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${GATE});
    RETURN NEW;
  END $$;
  -- The merge inserts this row first, so the COPY is done and nothing else is.
  CREATE TRIGGER after_copy BEFORE INSERT ON commit_batches
    FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
  -- Deferred triggers are the first thing that COMMIT does.
  CREATE CONSTRAINT TRIGGER before_commit AFTER INSERT ON commit_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate()`;

let database: TestDatabase;
let journal: Journal;
const hits: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(GATES_SQL);
  const ids = productIds(8);
  await makeProducts(database, { ids, stock: 100_000 });
  journal = new Journal({ productIds: ids });
});

afterAll(async () => {
  process.stdout.write(`crash points hit: ${hits.join(', ')}\n`);
  await database.close();
});

/** Only one of the two triggers waits. */
async function armGate(point: 'after_copy' | 'before_commit'): Promise<void> {
  const other = point === 'after_copy' ? 'before_commit' : 'after_copy';
  await database.query(`ALTER TABLE commit_batches ENABLE TRIGGER ${point}`);
  await database.query(`ALTER TABLE commit_batches DISABLE TRIGGER ${other}`);
}

async function disarmGates(): Promise<void> {
  await database.query('ALTER TABLE commit_batches DISABLE TRIGGER USER');
}

async function countAll(sql: string): Promise<number> {
  const [row] = await database.query<{ n: number }>(`SELECT count(*)::integer AS n FROM ${sql}`);
  return row?.n ?? 0;
}

const transactionsAtGate = () => countAll(`pg_locks WHERE objid = ${GATE} AND NOT granted`);

/** Closes the gate, lets the server run into it under load, and runs `atGate` while it waits there. */
async function crashAt(
  point: 'after_copy' | 'before_commit',
  atGate: (crash: { server: ServerProcess; openGate: () => Promise<void> }) => Promise<void>,
): Promise<void> {
  const server = await ServerProcess.start({ databaseUrl: database.url });
  await journal.settle(server.url);
  await armGate(point);
  const gate = await database.pool.connect();
  try {
    await gate.query('SELECT pg_advisory_lock($1)', [GATE]);
    const load = journal.load(server.url, { customers: CUSTOMERS });
    await until(`a commit at ${point}`, async () => (await transactionsAtGate()) > 0);
    hits.push(point);
    const openGate = async () => {
      await gate.query('SELECT pg_advisory_unlock_all()');
    };
    await atGate({ server, openGate });
    await load;
  } finally {
    await gate.query('SELECT pg_advisory_unlock_all()');
    gate.release();
  }
}

/** A restart settles every request, tells the truth about each, and the books balance. */
async function expectRecovery(): Promise<void> {
  await disarmGates();
  const server = await ServerProcess.start({ databaseUrl: database.url });
  await journal.settle(server.url);
  expect(await server.stop()).toBe(0);
  await journal.expectTrue(database);
  await expectCleanAudit(database);
}

describe('kill -9 of the server', () => {
  beforeEach(disarmGates);

  it('after COPY, when PostgreSQL finishes the transaction of the dead process', async () => {
    await crashAt('after_copy', async ({ server, openGate }) => {
      await server.kill();
      await openGate();
      await until('the end of the transaction', async () => (await transactionsAtGate()) === 0);
    });
    await expectRecovery();
  });

  it('after COPY, when the transaction wakes only after the takeover: it is fenced (I5)', async () => {
    const ordersBefore = await countAll('orders');
    await crashAt('after_copy', async ({ server, openGate }) => {
      await server.kill();
      const next = await ServerProcess.start({ databaseUrl: database.url });
      await openGate();
      await until('the end of the transaction', async () => (await transactionsAtGate()) === 0);
      expect(await countAll('orders')).toBe(ordersBefore);
      await next.kill();
    });
    await expectRecovery();
  });

  it('before COMMIT, when the transaction still holds its owner: the takeover ends it', async () => {
    const ordersBefore = await countAll('orders');
    await crashAt('before_commit', async ({ server }) => {
      await server.kill();
      const next = await ServerProcess.start({ databaseUrl: database.url });
      expect(await transactionsAtGate()).toBe(0);
      expect(await countAll('orders')).toBe(ordersBefore);
      await next.kill();
    });
    await expectRecovery();
  });

  it('before COMMIT, when it commits after the death: the repeat gets that order (I3)', async () => {
    const ordersBefore = await countAll('orders');
    await crashAt('before_commit', async ({ server, openGate }) => {
      await server.kill();
      await openGate();
      await until('the late COMMIT', async () => (await countAll('orders')) > ordersBefore);
    });
    await expectRecovery();
  });

  it('after COMMIT, before the process could learn of it', async () => {
    const ordersBefore = await countAll('orders');
    await crashAt('before_commit', async ({ server, openGate }) => {
      server.signal('SIGSTOP');
      await openGate();
      await until('the COMMIT', async () => (await countAll('orders')) > ordersBefore);
      hits.push('after_commit');
      await server.kill();
    });
    await expectRecovery();
  });

  it('after COMMIT, before the answer', async () => {
    const server = await ServerProcess.start({
      databaseUrl: database.url,
      preload: [DIE_BEFORE_ANSWER],
    });
    const load = journal.load(server.url, { customers: CUSTOMERS });
    expect(await server.exited).toEqual([null, 'SIGKILL']);
    await load;
    expect(server.log).toContain('crash point: before the answer');
    hits.push('before_answer');
    await expectRecovery();
  });

  it('hit every point', () => {
    const points = ['after_copy', 'before_commit', 'after_commit', 'before_answer'];
    expect(points.filter((point) => !hits.includes(point))).toEqual([]);
  });
});
