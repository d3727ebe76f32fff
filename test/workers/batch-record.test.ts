import { describe, expect, it } from 'vitest';
import type { CommitEnd } from '../../src/db/batch-claim.ts';
import { NOTHING_TO_REPORT } from '../../src/db/batch-writer.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { BATCHES_KEPT } from '../../src/domain/inspection.ts';
import type { BatchRecord } from '../../src/domain/inspection.ts';
import { batchRecord } from '../../src/workers/batch-record.ts';
import { BatchRing } from '../../src/workers/batch-ring.ts';
import { BatchBuilder } from '../db/batch-builder.ts';
import { productIds } from '../support/shop.ts';

const [product = ''] = productIds(1);
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const builder = new BatchBuilder(7 as OwnerId);

function orderOf(traceparent: string | null): Batch['orders'][number] {
  const order = builder.order({ lines: [[product, 1]] });
  return { ...order, command: { ...order.command, traceparent, receivedAt: 900 } };
}

function recordOf(end: CommitEnd, overrides: Partial<Batch> = {}): BatchRecord {
  const batch = { ...builder.batch({}), openedAt: 1000, ...overrides };
  return batchRecord({ shard: 3, batch, sentAt: 1004, totalMs: 10, end });
}

const COMMITTED = { type: 'committed', committed: NOTHING_TO_REPORT } as const;

describe('the record of a batch', () => {
  it.each<[string, CommitEnd, Partial<BatchRecord>]>([
    ['that committed has the parts of its time', { ...COMMITTED, times: { copyMs: 2, mergeMs: 5 } }, { outcome: 'committed', copyMs: 2, mergeMs: 5, commitMs: 3, cause: null }],
    ['whose clock was set has no negative part', { ...COMMITTED, times: { copyMs: 2, mergeMs: 50 } }, { mergeMs: 50, commitMs: 0 }],
    ['that was fenced says so', { type: 'aborted', cause: { type: 'fenced', owners: [] } }, { outcome: 'aborted', copyMs: null, mergeMs: null, commitMs: null, cause: 'fenced' }],
    ['that was rejected says so', { type: 'aborted', cause: { type: 'rejected', id: null } }, { outcome: 'aborted', cause: 'rejected' }],
    ['whose end is unknown says no more than that', { type: 'unknown' }, { outcome: 'unknown', commitMs: null, cause: null }],
  ])('%s', (_, end, expected) => {
    expect(recordOf(end)).toMatchObject({ shard: 3, ownerId: 7, sentAt: 1004, waitMs: 4, totalMs: 10, ...expected }); // prettier-ignore
  }); // prettier-ignore

  it('counts what is in it, and names the orders whose requests are traced', () => {
    const orders = [orderOf(null), orderOf(TRACEPARENT)];
    const stockChanges = [builder.change({ productId: product, delta: 1 })];
    const record = recordOf(COMMITTED, { orders, stockChanges, openedAt: 2000 });
    expect(record).toMatchObject({ orders: 2, changes: 1, waitMs: 0 });
    expect(record.traced).toEqual([
      {
        traceparent: TRACEPARENT,
        orderId: orders[1]?.command.id,
        receivedAt: 900,
        decidedAt: orders[1]?.order.createdAt,
      },
    ]);
  });
});

describe('the last batches of a shard', () => {
  it('are as many as are kept, without their traced orders (I9)', () => {
    const ring = new BatchRing();
    const record = recordOf(COMMITTED, { orders: [orderOf(TRACEPARENT)] });
    for (let no = 0; no < BATCHES_KEPT + 5; no += 1) ring.add({ ...record, no }, no);
    expect(ring.kept).toHaveLength(BATCHES_KEPT);
    expect(ring.kept.at(0)?.record).toMatchObject({ no: 5, traced: [] });
    expect(ring.kept.at(-1)?.record).toMatchObject({ no: BATCHES_KEPT + 4 });
  });

  it('are summed up as sizes and times, and how many there are per second', () => {
    const ring = new BatchRing();
    expect(ring.summary(0)).toBeNull();
    const record = recordOf(COMMITTED);
    for (let n = 1; n <= 100; n += 1) ring.add({ ...record, orders: n, totalMs: 2 * n }, n);
    ring.add({ ...record, orders: 50, totalMs: 9999, outcome: 'unknown' }, 100);
    expect(ring.summary(101)).toEqual({
      perSecond: 10.1,
      orders: { p50: 50, p99: 99 },
      commitMs: { p50: 100, p99: 198 },
    });
    // Nothing for ten seconds: the batches are the last ones still, and there are none per second.
    expect(ring.summary(20_000)).toMatchObject({ perSecond: 0, orders: { p50: 50 } });
    for (let n = 0; n < BATCHES_KEPT; n += 1) ring.add(record, 30_000 + n);
    expect(ring.summary(30_400)?.perSecond).toBe(500);
  });
});
