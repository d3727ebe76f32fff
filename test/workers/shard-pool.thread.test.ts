/** The supervisor: restarts and questions, with shards that are no threads. */
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { BatchRecord } from '../../src/domain/inspection.ts';
import { until } from '../support/until.ts';
import { startPool } from './fake-shards.ts';
import type { FakeHost, FakeShard } from './fake-shards.ts';
import type { ShardPool } from '../../src/workers/shard-pool.ts';

let pool: ShardPool;
let host: FakeHost;
let told: string[];

async function start(options?: Parameters<typeof startPool>[0]): Promise<void> {
  ({ pool, host, told } = await startPool(options));
}

async function stop(): Promise<void> {
  const stopped = pool.stop();
  for (const shard of host.launched) shard.end({ type: 'stopped' });
  await stopped;
  expect(host.destroyed).toBe(true);
}

/** Another pool in place of the one that every test finds. */
async function startWith(options: Parameters<typeof startPool>[0]): Promise<void> {
  await stop();
  await start(options);
}

beforeEach(() => start());

afterEach(() => stop());

async function launched(n: number): Promise<FakeShard> {
  await until(`launch ${n}`, () => host.launched.length > n);
  return host.shard(n);
}

async function hasHeard(shard: FakeShard, type: string): Promise<void> {
  await until(`it hears ${type}`, () => shard.heard.some((message) => message.type === type));
}

describe('a restart', () => {
  it('disconnects the shard, lets it commit, and gives the next owner that serves (I8)', async () => {
    const owner = pool.restart(0);
    expect(told).toEqual(['0 lost: null']);
    expect(pool.shards[0]).toMatchObject({ ownerId: 1, serves: false, restarts: 0 });
    await hasHeard(host.shard(0), 'stop');
    expect(host.launched).toHaveLength(2);
    host.shard(0).end({ type: 'stopped' });
    const next = await launched(2);
    await hasHeard(host.shard(1), 'peer');
    expect(host.shard(1).heard.map(({ type }) => type)).toContain('peer-lost');
    next.ready();
    expect(await owner).toBe(3);
    expect(told).toEqual(['0 lost: null', '0 serves']);
    expect(pool.shards).toMatchObject([
      { ownerId: 3, serves: true, restarts: 1 },
      { ownerId: 2, serves: true, restarts: 0 },
    ]);
    expect(host.shard(0).killed).toBe(false);
  });

  it('of a shard that does not end in time ends its thread, and only that one', async () => {
    await startWith({ drainMsMax: 50 });
    // This one ends in time, and its thread may run the next owner by then.
    const first = pool.restart(0);
    host.shard(0).end({ type: 'stopped' });
    (await launched(2)).ready();
    expect(await first).toBe(3);
    const second = pool.restart(1);
    await until('it is killed', () => host.shard(1).killed);
    (await launched(3)).ready();
    expect(await second).toBe(4);
    expect(host.launched.map(({ killed }) => killed)).toEqual([false, true, false, false]);
    expect(told).toContain('1 lost: killed');
  });

  it('asked for twice is one; of two shards at once are two', async () => {
    const owners = [0, 0, 1].map((shard) => pool.restart(shard));
    for (const n of [0, 1]) await hasHeard(host.shard(n), 'stop');
    await endOfTurn();
    expect(host.shard(0).heard.filter(({ type }) => type === 'stop')).toHaveLength(1);
    for (const n of [0, 1]) host.shard(n).end({ type: 'stopped' });
    (await launched(2)).ready();
    (await launched(3)).ready();
    expect(await Promise.all(owners)).toEqual([3, 3, 4]);
    // And it can be restarted again.
    const again = pool.restart(0);
    host.shard(2).end({ type: 'stopped' });
    (await launched(4)).ready();
    expect(await again).toBe(5);
    expect(pool.shards[0]?.restarts).toBe(2);
  });

  it('while the shard is being replaced waits for that, and stops nobody', async () => {
    host.shard(0).end({ type: 'failed', reason: 'a defect' });
    const next = await launched(2);
    const owner = pool.restart(0);
    next.ready();
    expect(await owner).toBe(3);
    expect(next.heard).toEqual([]);
    expect(told).toEqual(['0 lost: a defect', '0 serves']);
  });

  it('whose next owner dies before it serves waits for the one after it', async () => {
    const owner = pool.restart(0);
    host.shard(0).end({ type: 'stopped' });
    (await launched(2)).end({ type: 'failed', reason: 'a defect' });
    (await launched(3)).ready();
    expect(await owner).toBe(4);
    expect(pool.shards[0]?.restarts).toBe(2);
  });

  it('while PostgreSQL is away is told as not done; the shard is replaced when it is back', async () => {
    let away = true;
    await startWith({
      drainMsMax: 20,
      restartMsMax: 60,
      replaceOwner: () =>
        away ? Promise.reject(new Error('away')) : Promise.resolve({ owner: 9 as OwnerId }),
    });
    expect(await pool.restart(0)).toBeUndefined();
    expect(host.shard(0).killed).toBe(true);
    expect(told).toContain('0 lost: not replaced yet: Error: away');
    expect(pool.shards[0]).toMatchObject({ ownerId: 1, serves: false, restarts: 0 });
    away = false;
    (await launched(2)).ready();
    await until('it serves', () => told.includes('0 serves'));
    expect(pool.shards[0]).toMatchObject({ ownerId: 9, serves: true, restarts: 1 });
  });

  it('while the process stops is not done, and cuts no commit short', async () => {
    const restart = pool.restart(0);
    const stopped = pool.stop();
    expect(await restart).toBeUndefined();
    expect(await pool.restart(1)).toBeUndefined();
    await endOfTurn();
    expect(host.launched.map(({ killed }) => killed)).toEqual([false, false]);
    for (const n of [0, 1]) host.shard(n).end({ type: 'stopped' });
    await stopped;
    expect(host.launched).toHaveLength(2);
  });

  it('of a shard that another node fenced is not done: that node has it', async () => {
    const restart = pool.restart(0);
    host.shard(0).end({ type: 'fenced', by: 'rival' });
    expect(await restart).toBeUndefined();
    expect(await pool.ended).toEqual({ type: 'fenced', by: 'rival' });
    expect(host.launched).toHaveLength(2);
  });

  it('of a shard that does not exist is a defect of who asks', async () => {
    await expect(pool.restart(2)).rejects.toThrow(RangeError);
  });
});

describe('a question', () => {
  it('goes to the incarnation that serves, and its reply comes back', async () => {
    const reply = pool.ask(1, 'held', []);
    const other = host.shard(1);
    await hasHeard(other, 'inspect');
    expect(host.shard(0).heard.filter(({ type }) => type === 'inspect')).toEqual([]);
    const question = other.heard.at(-1);
    if (question?.type !== 'inspect') throw new Error('it was asked something else');
    expect(question).toMatchObject({ ask: 'held', query: [] });
    other.report({ type: 'inspected', n: question.n, reply: null });
    other.report({ type: 'inspected', n: question.n, reply: null });
    expect(await reply).toBeNull();
  });

  it('ends with the incarnation that was asked, whether it dies or is restarted', async () => {
    const replies = [0, 1].map((shard) => pool.ask(shard, 'shard', null));
    host.shard(0).end({ type: 'failed', reason: 'a defect' });
    const restart = pool.restart(1);
    expect(await Promise.all(replies)).toEqual([undefined, undefined]);
    host.shard(1).end({ type: 'stopped' });
    const [next, after] = [await launched(2), await launched(3)];
    // One that loads cannot answer, so it is not asked.
    expect(await Promise.all([0, 1].map((n) => pool.ask(n, 'shard', null)))).toEqual([undefined, undefined]); // prettier-ignore
    next.ready();
    after.ready();
    await restart;
    expect([...next.heard, ...after.heard].filter(({ type }) => type === 'inspect')).toEqual([]);
  });

  it('to no shard has no answer', async () => {
    expect(await pool.ask(7, 'shard', null)).toBeUndefined();
  });
});

describe('a batch', () => {
  it('is told on, also when the end of its shard overtakes it', async () => {
    const [shard, other] = [host.shard(0), host.shard(1)];
    other.report({ type: 'batches', records: [{ no: 1 } as BatchRecord] });
    await until('it is told', () => told.includes('batch 1'));
    shard.report({ type: 'batches', records: [{ no: 2 } as BatchRecord] });
    shard.end({ type: 'failed', reason: 'a defect' });
    await until('its end is told', () => told.includes('0 lost: a defect'));
    expect(told).toEqual(['batch 1', 'batch 2', '0 lost: a defect']);
  });
});
