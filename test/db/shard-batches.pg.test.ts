/** Batches on sessions that fail: aborted, or unknown until that is settled, and never guessed (I8). */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimBatch } from '../../src/db/batch-claim.ts';
import { writeBatch } from '../../src/db/batch-writer.ts';
import { openShardSession } from '../../src/db/commit-session.ts';
import type { Denial, ShardDatabase } from '../../src/db/shard-database.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { until } from '../support/until.ts';
import { countRows, openPlain, openSession, stockOf } from './batch-builder.ts';
import { COLD, HOT, ShardStage, SILENCE_MS, STATEMENT_TIMEOUT_MS, STOCK } from './shard-stage.ts';

const ABORTED = { type: 'aborted', cause: { type: 'passing' } } as const;
const UNKNOWN = { type: 'unknown' } as const;
const NOTHING = { duplicates: [], stockAfter: {}, unchanged: {}, cartsChanged: [], freed: [] };

let stage: ShardStage;

beforeAll(async () => {
  stage = await ShardStage.build();
});

beforeEach(async () => {
  await stage.enter();
});

afterEach(async () => {
  await stage.leave();
});

afterAll(async () => {
  await stage.close();
});

/** The row of the batch's name: whether it was aborted; undefined when there is none. */
async function namedAs({ ownerId, no }: Batch): Promise<boolean | undefined> {
  const rows = await stage.database.query<{ aborted: boolean }>(
    'SELECT aborted FROM commit_batches WHERE owner_id = $1 AND no = $2',
    [ownerId, no],
  );
  return rows[0]?.aborted;
}

/** Nothing of a batch is there but its name, which says that it was aborted. */
async function expectAborted(
  batch: Batch,
  before: Readonly<Record<string, number>>,
): Promise<void> {
  expect(await namedAs(batch)).toBe(true);
  expect(await countRows(stage.database)).toEqual({
    ...before,
    batches: (before['batches'] ?? 0) + 1,
  });
}

/** What asking on says in the end. */
async function settle(shard: ShardDatabase, batch: Batch): Promise<unknown> {
  let end: unknown;
  await until('the batch is settled', async () => {
    const { type } = (end = await shard.resolve(batch));
    return type !== 'unknown';
  });
  return end;
}

describe('a commit that PostgreSQL refuses', () => {
  it.each([
    ['when the COPY fails', () => stage.sale(2 ** 40), { type: 'rejected' }],
    ['in the merge', () => stage.sale(STOCK + 1), { type: 'rejected', id: HOT }],
    ['because another owner is fenced', () => fencedSale(), { type: 'fenced' }],
  ])('%s is aborted, and its session goes on', async (_when, makeBatch, cause) => {
    const shard = await stage.open();
    const pids = await stage.backends();
    const before = await countRows(stage.database);
    expect(await shard.commit(makeBatch())).toMatchObject({ type: 'aborted', cause });
    expect(await countRows(stage.database)).toEqual(before);
    expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed', committed: NOTHING }); // prettier-ignore
    expect(await stage.backends()).toEqual(pids);
  });

  function fencedSale(): Batch {
    const fenced = 1 as OwnerId;
    const orders = [stage.builder.order({ lines: [[HOT, 1]] })];
    return stage.builder.batch({ orders, owners: [fenced, stage.builder.ownerId] });
  }

  it('before its COPY leaves its session in step although the data were sent', async () => {
    const client = await openSession(stage.database);
    const { rows } = await client.query<{ name: string }>(
      `SELECT pg_my_temp_schema()::regnamespace::text AS name`,
    );
    await client.query('ALTER TABLE pg_temp.batch_rows RENAME TO away');
    const batch = stage.sale();
    await expect(writeBatch(client, batch)).rejects.toMatchObject({ code: '42P01' });
    await client.query('ROLLBACK');
    await client.query(`ALTER TABLE ${rows[0]?.name}.away RENAME TO batch_rows`);
    expect(await writeBatch(client, batch)).toEqual(NOTHING);
    await client.end();
  });

  it('since it had to wait too long for a lock is aborted and told of, and its session goes on', async () => {
    const codes: (string | undefined)[] = [];
    const onPassing = ({ code }: Denial): unknown => codes.push(code);
    const shard = await stage.open({ statementTimeoutMs: 200, onPassing });
    const pids = await stage.backends();
    const blocker = await openPlain(stage.database);
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [HOT]);
    expect(await shard.commit(stage.sale())).toEqual(ABORTED);
    expect(codes).toEqual(['55P03']);
    await blocker.end();
    expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed' });
    expect(await stage.backends()).toEqual(pids);
  });

  it('leaves those beside it alone, and more than there are sessions is a defect', async () => {
    const shard = await stage.open();
    await stage.gate.shut('in_commit');
    const first = shard.commit(stage.sale());
    await stage.gate.waiter();
    expect(await shard.commit(stage.sale(STOCK + 1, COLD))).toMatchObject({
      type: 'aborted',
    });
    const second = shard.commit(stage.sale(1, COLD));
    await expect(shard.commit(stage.sale())).rejects.toThrow(
      'more batches in flight than sessions',
    );
    await stage.gate.open();
    expect(await first).toMatchObject({ type: 'committed' });
    expect(await second).toMatchObject({ type: 'committed' });
  });
});

describe('a batch whose answer was lost (I8)', () => {
  it.each(['before_name', 'in_commit'] as const)(
    'with its connection, at %s, is unknown, then aborted for ever, and the next batch has a session',
    async (point) => {
      const shard = await stage.open();
      const before = await countRows(stage.database);
      const batch = stage.sale();
      await stage.gate.shut(point);
      const end = shard.commit(batch);
      await stage.terminate([await stage.gate.waiter()]);
      expect(await end).toEqual(UNKNOWN);
      expect(await settle(shard, batch)).toEqual(ABORTED);
      expect(await shard.resolve(batch)).toEqual(ABORTED);
      await stage.gate.open();
      await expectAborted(batch, before);
      expect(await shard.commit(batch)).toEqual(ABORTED);
      await expectAborted(batch, before);
      expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed' });
    },
  );

  it('since it came too late is unknown, then committed with the report of its merge', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS });
    const change = stage.builder.change({ productId: HOT, delta: 5 });
    const batch = stage.builder.batch({ stockChanges: [change] });
    await stage.gate.shut('in_commit');
    const end = shard.commit(batch);
    await stage.gate.waiter();
    expect(await end).toEqual(UNKNOWN);
    await stage.gate.open();
    await until('the COMMIT', async () => (await namedAs(batch)) === false);
    const stockAfter = { [change.id]: await stockOf(stage.database, HOT) };
    const committed = { type: 'committed', committed: { ...NOTHING, stockAfter } };
    expect(await shard.resolve(batch)).toEqual(committed);
    expect(await shard.resolve(batch)).toEqual(committed);
  });

  it('since its statement took too long is unknown, then aborted, and a new session has the next', async () => {
    const shard = await stage.open({ statementTimeoutMs: 200 });
    const before = await countRows(stage.database);
    const batch = stage.sale();
    await stage.database.query(/* sql */ `
      CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
      CREATE TRIGGER dawdle BEFORE INSERT ON orders EXECUTE FUNCTION dawdle()`);
    expect(await shard.commit(batch)).toEqual(UNKNOWN);
    await stage.database.query('DROP TRIGGER dawdle ON orders');
    expect(await settle(shard, batch)).toEqual(ABORTED);
    await expectAborted(batch, before);
    expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed' });
  });

  it('is committed also when its merge had nothing to report', async () => {
    const shard = await stage.open();
    const batch = stage.sale();
    const committed = { type: 'committed', committed: NOTHING };
    expect(await shard.commit(batch)).toMatchObject(committed);
    expect(await shard.resolve(batch)).toEqual(committed);
  });

  it('while its transaction goes on and on: that is terminated, and the batch aborted', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS, statementTimeoutMs: 60_000 });
    const before = await countRows(stage.database);
    const batch = stage.sale();
    await stage.gate.shut('in_commit');
    expect(await shard.commit(batch)).toEqual(UNKNOWN);
    const pid = await stage.gate.waiter();
    expect(await shard.resolve(batch)).toEqual(UNKNOWN);
    await until('the backend is gone', async () => !(await stage.backends()).includes(pid));
    expect(await settle(shard, batch)).toEqual(ABORTED);
    await stage.gate.open();
    await expectAborted(batch, before);
  });

  it('never costs the life of another backend that has got its process id since', async () => {
    const session = await openSession(stage.database, 'other');
    const claimer = await openShardSession({
      databaseUrl: stage.database.url,
      applicationName: 'claimer',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    const batch = stage.sale();
    await stage.gate.shut('in_commit');
    const end = writeBatch(session, batch);
    const lost = { pid: await stage.gate.waiter(), startedAt: '0' };
    expect(await claimBatch(claimer, batch, lost)).toEqual(UNKNOWN);
    await stage.gate.open();
    expect(await end).toEqual(NOTHING);
    await Promise.all([session.end(), claimer.end()]);
  });
});

describe('a backend that was stopped (SIGSTOP) with a batch', () => {
  it('cannot commit it any more once it was declared aborted: its merge fails', async () => {
    const shard = await stage.open();
    const before = await countRows(stage.database);
    const zombie = await openSession(stage.database, 'zombie');
    const batch = stage.sale();
    await stage.gate.shut('before_name');
    const end = writeBatch(zombie, batch);
    end.catch(() => undefined);
    const pid = await stage.gate.waiter();
    stage.stop(pid);
    expect(await shard.resolve(batch)).toEqual(ABORTED);
    stage.wake(pid);
    await stage.gate.open();
    await expect(end).rejects.toMatchObject({ code: '23505', constraint: 'commit_batches_pkey' });
    await expectAborted(batch, before);
    await zombie.end();
  });

  it('is given up after its silence, and leaves nothing behind when it wakes', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS });
    const before = await countRows(stage.database);
    const batch = stage.sale();
    await stage.gate.shut('before_name');
    const end = shard.commit(batch);
    const pid = await stage.gate.waiter();
    stage.stop(pid);
    expect(await end).toEqual(UNKNOWN);
    expect(await shard.resolve(batch)).toEqual(ABORTED);
    stage.wake(pid);
    await stage.gate.open();
    await until('the end of the backend', async () => !(await stage.backends()).includes(pid));
    await expectAborted(batch, before);
  });

  it('after it took its name keeps the batch unknown until it wakes, and dies then', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS });
    const before = await countRows(stage.database);
    const batch = stage.sale();
    await stage.gate.shut('in_commit');
    const end = shard.commit(batch);
    const pid = await stage.gate.waiter();
    stage.stop(pid);
    expect(await end).toEqual(UNKNOWN);
    expect(await shard.resolve(batch)).toEqual(UNKNOWN);
    expect(await shard.resolve(batch)).toEqual(UNKNOWN);
    stage.wake(pid);
    expect(await settle(shard, batch)).toEqual(ABORTED);
    await stage.gate.open();
    await expectAborted(batch, before);
  });
});
