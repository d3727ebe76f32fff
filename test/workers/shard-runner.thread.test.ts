/** What a shard's thread tells its supervisor; the core and the database are the test's. */
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ShardCore } from '../../src/actors/shard-core.ts';
import type { Effect, ShardEvent } from '../../src/actors/shard-protocol.ts';
import type { CommitEnd } from '../../src/db/batch-claim.ts';
import { NOTHING_TO_REPORT } from '../../src/db/batch-writer.ts';
import type { ShardDatabase } from '../../src/db/shard-database.ts';
import type { OwnerId, ProductId } from '../../src/domain/ids.ts';
import { ShardRunner } from '../../src/workers/shard-runner.ts';
import type { Control, Report, ShardEnd } from '../../src/workers/shard-task.ts';
import { ThreadInspection } from '../../src/workers/thread-inspection.ts';
import { BatchBuilder } from '../db/batch-builder.ts';
import { until } from '../support/until.ts';

const OWNER = 5 as OwnerId;
const PRODUCT = '10000000-0000-7000-8000-000000000000' as ProductId;
const batch = { ...new BatchBuilder(OWNER).batch({}), openedAt: Date.now() };

let channel: MessageChannel;
let events: ShardEvent[];
let reports: Report[];
let failed: unknown[];
/** What the next step of the core wants. */
let effects: Effect[];
let end: CommitEnd;
let ended: Promise<ShardEnd>;
let inspection: ThreadInspection;

const core = {
  inspection: {
    part: () => ({ ownerId: OWNER, proven: true }),
    actors: () => {
      throw new Error('a defect in looking');
    },
    actor: () => () => 'no structured clone of this',
    held: () => new Map([[PRODUCT, { units: 1, lapsing10s: 0, lapsing60s: 0 }]]),
    refusal: () => null,
  },
  isProven: () => true,
  step: (event: ShardEvent) => {
    events.push(event);
    if (event.type === 'stop') return [{ type: 'stopped' }];
    return effects.splice(0);
  },
} as unknown as ShardCore;

const database = {
  fence: () => Promise.resolve(null),
  commit: () => Promise.resolve(end),
  resolve: () => Promise.resolve({ type: 'committed', committed: NOTHING_TO_REPORT }),
} as unknown as ShardDatabase;

beforeEach(() => {
  channel = new MessageChannel();
  [events, reports, failed, effects] = [[], [], [], []];
  channel.port1.on('message', (report: Report) => reports.push(report));
  inspection = new ThreadInspection(core.inspection);
  ({ ended } = new ShardRunner({
    shard: 1,
    ownerId: OWNER,
    partitions: [],
    core,
    database,
    inspection,
    onLookFailed: (error) => failed.push(error),
    routers: [],
    control: channel.port2,
    peers: [],
  }));
});

afterEach(async () => {
  tell({ type: 'stop' });
  expect(await ended).toEqual({ type: 'stopped' });
  inspection.close();
  channel.port1.close();
});

function tell(message: Control): void {
  channel.port1.postMessage(message);
}

async function replies(count: number): Promise<unknown[]> {
  await until(`${count} replies`, () => reports.length >= count);
  return reports.map((report) => (report.type === 'inspected' ? report.reply : report));
}

it('answers what is asked about its core and its thread', async () => {
  tell({ type: 'inspect', n: 1, ask: 'shard', query: null });
  tell({ type: 'inspect', n: 2, ask: 'held', query: [PRODUCT] });
  const [part, held] = await replies(2);
  expect(part).toMatchObject({ ownerId: OWNER, proven: true });
  expect(part).toHaveProperty('eventLoop.delayMs.p99', expect.any(Number));
  expect(part).toHaveProperty(
    'eventLoop.utilization',
    expect.toSatisfy((n) => n >= 0 && n <= 1),
  );
  expect(part).toHaveProperty(
    'heapBytes',
    expect.toSatisfy((n) => n > 1e6),
  );
  expect(held).toEqual(new Map([[PRODUCT, { units: 1, lapsing10s: 0, lapsing60s: 0 }]]));
});

it('goes on when a look fails, or what was seen cannot be told', async () => {
  tell({ type: 'inspect', n: 1, ask: 'actors', query: { sort: 'rate', limit: 1 } });
  tell({ type: 'inspect', n: 2, ask: 'actor', query: PRODUCT });
  tell({ type: 'inspect', n: 3, ask: 'refusal', query: batch.orders[0]?.command.id as never });
  expect(await replies(3)).toEqual([undefined, undefined, null]);
  expect(failed).toHaveLength(2);
});

it('tells of each try to commit a batch, after the core was told, and of no later settling', async () => {
  const times = { copyMs: 0, mergeMs: 0 };
  end = { type: 'committed', committed: NOTHING_TO_REPORT, times };
  effects = [{ type: 'commit', batch }];
  const [committed] = await replies(1);
  expect(committed).toMatchObject({ records: [{ shard: 1, outcome: 'committed', copyMs: 0 }] });
  const event = events.find(({ type }) => type === 'committed');
  // The core gets what it got before anybody looked.
  expect(Object.keys(event ?? {}).toSorted()).toEqual(['committed', 'no', 'provenAt', 'type']);

  end = { type: 'unknown' };
  effects = [{ type: 'commit', batch }];
  await until('the batch is unknown', () => events.some(({ type }) => type === 'unknown'));
  effects = [{ type: 'resolve', no: batch.no }];
  const settled = (): number => events.filter(({ type }) => type === 'committed').length;
  await until('it is settled', () => settled() === 2);
  expect(await replies(2)).toMatchObject([{}, { records: [{ outcome: 'unknown', copyMs: null }] }]); // prettier-ignore
});
