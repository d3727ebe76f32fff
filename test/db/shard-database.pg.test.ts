/** The sessions of a shard: bounded in time (I9), and opened anew when they were lost. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isPassing } from '../../src/db/db-error.ts';
import type { PartitionId } from '../../src/domain/ids.ts';
import { until } from '../support/until.ts';
import { countRows, openPlain, productOf, waitingForLock } from './batch-builder.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { HOT, SHARD, ShardStage, SILENCE_MS } from './shard-stage.ts';

const ABORTED = { type: 'aborted', cause: { type: 'passing' } } as const;
const UNKNOWN = { type: 'unknown' } as const;

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

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

describe('sessions lost while nothing is on them', () => {
  it('are opened anew when they are needed, to commit and to read', async () => {
    const shard = await stage.open();
    const lost = await stage.backends();
    expect(lost).toHaveLength(3);
    await stage.terminate(lost);
    await stage.allGone();
    expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed' });
    expect(await shard.products([productOf(HOT)])).toHaveLength(1);
    expect(await stage.backends()).toHaveLength(2);
  });
});

describe('PostgreSQL that refuses connections', () => {
  let door: LossyProxy;

  beforeEach(async () => {
    door = await LossyProxy.open(stage.database.url);
  });

  afterEach(async () => {
    await door.shut();
  });

  it('fails a start', async () => {
    await door.shut();
    await expect(stage.open({ databaseUrl: door.databaseUrl })).rejects.toThrow(/ECONNREFUSED/);
  });

  it('aborts what it does not take in time, fails reads for now, and heals (I9)', async () => {
    const shard = await stage.open({ databaseUrl: door.databaseUrl });
    const unsettled = stage.sale();
    await door.shut();
    const before = await countRows(stage.database);
    // What is sent before the sessions notice may have arrived, for all they know.
    while ((await shard.commit(stage.sale())).type === 'unknown');
    const abortedMs = await elapsedMs(async () => {
      expect(await shard.commit(stage.sale())).toEqual(ABORTED);
    });
    expect(abortedMs).toBeGreaterThan(800);
    expect(abortedMs).toBeLessThan(2500);
    const reads = [
      () => shard.products([productOf(HOT)]),
      () => shard.newestOrders({ partitions: [0 as PartitionId], linesMax: 1 }),
    ];
    for (const read of reads) expect(await read().catch(isPassing)).toBe(true);
    const pausedMs = await elapsedMs(async () => {
      expect(await shard.resolve(unsettled)).toEqual(UNKNOWN);
    });
    // Whoever asks again at once does not spin.
    expect(pausedMs).toBeGreaterThan(80);
    expect(await countRows(stage.database)).toEqual(before);

    const waiting = shard.commit(stage.sale());
    await door.reopen();
    expect(await waiting).toMatchObject({ type: 'committed' });
    expect(await shard.products([productOf(HOT)])).toHaveLength(1);
    expect(await shard.resolve(unsettled)).toEqual(ABORTED);
  });
});

describe('PostgreSQL without a free connection', () => {
  const role = `few_${process.pid}`;

  beforeAll(async () => {
    await stage.database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'few'`);
    await stage.database.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`);
  });

  afterAll(async () => {
    await stage.database.query(`DROP OWNED BY ${role}`);
    await stage.database.query(`DROP ROLE ${role}`);
  });

  it('fails a start, which leaves none open; and only delays a shard that runs', async () => {
    const url = new URL(stage.database.url);
    url.username = role;
    url.password = 'few';
    const databaseUrl = url.href;
    await stage.database.query(`ALTER ROLE ${role} CONNECTION LIMIT 2`);
    await expect(stage.open({ databaseUrl })).rejects.toMatchObject({ code: '53300' });
    await stage.allGone();

    await stage.database.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    const shard = await stage.open({ databaseUrl });
    await stage.database.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
    await stage.terminate(await stage.backends());
    await stage.allGone();
    expect(await shard.commit(stage.sale())).toEqual(ABORTED);
    expect(await shard.fence(stage.builder.ownerId).catch(isPassing)).toBe(true);
    await stage.database.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    expect(await shard.commit(stage.sale())).toMatchObject({ type: 'committed' });
    expect(await shard.fence(stage.builder.ownerId)).toBeNull();
  });
});

describe('a read', () => {
  async function lockProducts(): Promise<pg.Client> {
    const blocker = await openPlain(stage.database);
    await blocker.query('BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE');
    return blocker;
  }

  it('that is never answered fails for now, and the next one has a new session (I9)', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS });
    const blocker = await lockProducts();
    const failedMs = await elapsedMs(async () => {
      expect(await shard.products([productOf(HOT)]).catch(isPassing)).toBe(true);
    });
    expect(failedMs).toBeLessThan(SILENCE_MS * 3);
    expect(await shard.fence(stage.builder.ownerId)).toBeNull();
    await blocker.end();
    expect(await shard.products([productOf(HOT)])).toHaveLength(1);
  });

  it('whose session is lost fails for now, and those behind it do not fail', async () => {
    const shard = await stage.open();
    const blocker = await lockProducts();
    const read = shard.products([productOf(HOT)]);
    const behind = Promise.all([shard.fence(stage.builder.ownerId), shard.effects([])]);
    await until('the read waits', async () => (await waitingForLock(stage.database, SHARD)) === 1);
    await stage.terminate(await stage.backends());
    expect(await read.catch(isPassing)).toBe(true);
    expect(await behind).toEqual([null, []]);
    await blocker.end();
  });

  it('that lasts holds up no other', async () => {
    const shard = await stage.open({ silenceMsMax: SILENCE_MS, statementTimeoutMs: 200 });
    const partitions = [0 as PartitionId];
    await shard.commit(stage.sale());
    const blocker = await openPlain(stage.database);
    await blocker.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    const expiring = shard.expiring({ partitions, after: null, max: 10_000 });
    await until('it waits', async () => (await waitingForLock(stage.database, SHARD)) === 1);
    expect(await shard.fence(stage.builder.ownerId)).toBeNull();
    await shard.moveWatermark({ owner: stage.builder.ownerId, partitions, time: 0 });
    await until('it waited longer than a statement may take', async () => {
      const rows = await stage.database.query(
        /* sql */ `SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = $1
                      AND wait_event_type = 'Lock' AND query_start < now() - interval '300 ms'`,
        [SHARD],
      );
      return rows.length === 1;
    });
    await blocker.end();
    const { orders, complete } = await expiring;
    expect(complete).toBe(true);
    expect(orders.length).toBeGreaterThan(0);
  });
});

describe('closing', () => {
  it('does not wait for what is under way, nor for a server that is silent (I9)', async () => {
    const shard = await stage.open();
    await stage.gate.shut('in_commit');
    const end = shard.commit(stage.sale());
    await stage.gate.waiter();
    for (const pid of await stage.backends()) stage.stop(pid);
    expect(await elapsedMs(() => shard.close())).toBeLessThan(1500);
    expect(await end).toEqual(UNKNOWN);
    await expect(shard.commit(stage.sale())).rejects.toThrow('closed');
  });
});
