/** What is told of a try to commit a batch, for whoever watches: metrics, traces, the admin page. */
import type { CommitEnd } from '../db/batch-claim.ts';
import type { Batch } from '../domain/batch.ts';
import type { BatchRecord, TracedOrder } from '../domain/inspection.ts';

export interface Try {
  readonly shard: number;
  readonly batch: Batch;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  readonly totalMs: number;
  readonly end: CommitEnd;
}

/**
 * One record per try, as it ended for whoever waited: an `unknown` one stays that. How PostgreSQL
 * settled it later is no try and has no record; if it was aborted, its orders are in the record of
 * the batch that they are sent in again.
 */
export function batchRecord({ shard, batch, sentAt, totalMs, end }: Try): BatchRecord {
  const { ownerId, no, openedAt, orders, stockChanges, statusChanges, edits } = batch;
  const times = end.type === 'committed' ? end.times : undefined;
  return {
    shard,
    ownerId,
    no,
    sentAt,
    orders: orders.length,
    changes: stockChanges.length + statusChanges.length + edits.length,
    // The clock may have been set back.
    waitMs: Math.max(0, sentAt - openedAt),
    copyMs: times?.copyMs ?? null,
    mergeMs: times?.mergeMs ?? null,
    // Of two clocks, and one of them may have been set.
    commitMs: times === undefined ? null : Math.max(0, totalMs - times.copyMs - times.mergeMs),
    totalMs,
    outcome: end.type,
    cause: end.type === 'aborted' ? end.cause.type : null,
    traced: tracedOf(batch),
  };
}

function tracedOf({ orders }: Batch): readonly TracedOrder[] {
  const traced: TracedOrder[] = [];
  for (const { command, order } of orders) {
    const { id, traceparent, receivedAt } = command;
    if (traceparent === null) continue;
    traced.push({ traceparent, orderId: id, receivedAt, decidedAt: order.createdAt });
  }
  return traced;
}
