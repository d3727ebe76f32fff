/** What operators see, as the contract shows it. */
import type { z } from 'zod';

import { partitionOf } from '../domain/ids.ts';
import type {
  ActorView,
  BatchRecord,
  Percentiles,
  ShardPart,
  ShardView,
} from '../domain/inspection.ts';
import type { OperatorAction } from '../domain/operator-action.ts';
import type { Product } from '../domain/product.ts';
import type {
  actorSchema,
  batchSchema,
  operatorActionSchema,
  shardSchema,
} from './admin-schemas.ts';
import { timeText } from './time-text.ts';

type ActorJson = z.infer<typeof actorSchema>;
type ShardJson = z.infer<typeof shardSchema>;

/** An actor in memory. */
export function actorJson(actor: ActorView): ActorJson {
  const { mailbox, stock, lapsing, ordersPerSecond, soldOutAt } = actor;
  return {
    product_id: actor.productId,
    name: actor.name,
    status: actor.status,
    shard: actor.shard,
    partition: actor.partition,
    owner_id: actor.ownerId,
    mailbox: { depth: mailbox.depth, bound: mailbox.bound, oldest_ms: rounded(mailbox.oldestMs) },
    decided: actor.decided,
    committing: actor.committing,
    stock: { available: stock.available, held: stock.held, sold: stock.sold },
    lapsing:
      lapsing === null ? null : { within_10s: lapsing.within10s, within_60s: lapsing.within60s },
    orders_per_second: {
      s1: rounded(ordersPerSecond.s1),
      s10: rounded(ordersPerSecond.s10),
      s60: rounded(ordersPerSecond.s60),
    },
    refused: actor.refused,
    sequence: actor.sequence,
    sold_out_at: soldOutAt === null ? null : timeText(soldOutAt),
  };
}

/** A product whose actor is not in memory, or in a shard that does not answer: which is not told. */
export function idleActorJson(product: Product): ActorJson {
  return {
    product_id: product.id,
    name: product.name,
    status: product.status,
    shard: null,
    partition: partitionOf(product.id),
    owner_id: null,
    mailbox: { depth: null, bound: null, oldest_ms: null },
    decided: null,
    committing: null,
    stock: { available: product.available, held: null, sold: null },
    lapsing: null,
    orders_per_second: { s1: null, s10: null, s60: null },
    refused: {},
    sequence: null,
    sold_out_at: null,
  };
}

/** A shard, with what its thread tells of itself. */
export function shardJson(view: ShardView): ShardJson {
  const { batches, inside } = view;
  return {
    shard: view.shard,
    partitions: view.partitions,
    state: view.state,
    owner_id: view.ownerId,
    restarts: view.restarts,
    batches:
      batches === null
        ? null
        : {
            per_second: rounded(batches.perSecond),
            orders: percentilesJson(batches.orders),
            commit_ms: percentilesJson(batches.commitMs),
          },
    inside: inside === null ? null : insideJson(inside),
  };
}

function insideJson(inside: ShardPart): ShardJson['inside'] {
  const { mailbox, totals, eventLoop } = inside;
  return {
    proven: inside.proven,
    actors: inside.actors,
    mailbox: { depth: mailbox.depth, bound: mailbox.bound, oldest_ms: rounded(mailbox.oldestMs) },
    decided: inside.decided,
    in_flight: inside.inFlight,
    attempts: inside.attempts,
    holds: inside.holds,
    unpaid: inside.unpaid,
    window: inside.window,
    totals: {
      orders: totals.orders,
      units: totals.units,
      replayed: totals.replayed,
      refused: totals.refused,
      shed: totals.shed,
      lapsed: totals.lapsed,
    },
    event_loop: {
      delay_ms: percentilesJson(eventLoop.delayMs),
      utilization: rounded(eventLoop.utilization),
    },
    heap_bytes: inside.heapBytes,
  };
}

/** One try to commit a batch; which of its orders are traced is for nobody else. */
export function batchJson(record: BatchRecord): z.infer<typeof batchSchema> {
  return {
    owner_id: record.ownerId,
    no: record.no,
    shard: record.shard,
    sent_at: timeText(record.sentAt),
    orders: record.orders,
    changes: record.changes,
    wait_ms: rounded(record.waitMs),
    copy_ms: rounded(record.copyMs),
    merge_ms: rounded(record.mergeMs),
    commit_ms: rounded(record.commitMs),
    total_ms: rounded(record.totalMs),
    outcome: record.outcome,
    cause: record.cause,
  };
}

/** What an operator did. */
export function operatorActionJson(action: OperatorAction): z.infer<typeof operatorActionSchema> {
  const { id, kind, target, reason, author, createdAt, outcome } = action;
  return { id, kind, target, reason, author, created_at: timeText(createdAt), outcome };
}

/** To thousandths: what is measured is not more exact, and a page shows less. */
function rounded<T extends number | null>(value: T): T | number {
  return value === null ? value : Math.round(value * 1_000) / 1_000;
}

function percentilesJson({ p50, p99 }: Percentiles): Percentiles {
  return { p50: rounded(p50), p99: rounded(p99) };
}
