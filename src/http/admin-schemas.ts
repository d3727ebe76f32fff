/** What operators send and see. Durations are milliseconds in fields called `..._ms`. */
import { z } from 'zod';

import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from '../domain/bounds.ts';
import { ACTOR_SORTS } from '../domain/inspection.ts';
import { OPERATOR_ACTIONS } from '../domain/operator-action.ts';
import { PRODUCT_STATUSES } from '../domain/product.ts';
import { reasonText, timeSchema, uuidSchema } from './shared-schemas.ts';

const limit = z
  .int()
  .min(1)
  .max(PAGE_LIMIT_MAX)
  .optional()
  .meta({ description: `Entries at most; ${PAGE_LIMIT_DEFAULT} unless given.` });

/** The query of GET /admin/actors. */
export const actorsQuery = z.object({
  sort: z.enum(ACTOR_SORTS).optional().meta({
    description:
      'Deepest mailbox, oldest wait, most orders per second, or least stock left first; rate unless given.',
  }),
  limit,
});
/** What `actorsQuery` accepts. */
export type ActorsQuery = z.infer<typeof actorsQuery>;

/** The query of GET /admin/events. */
export const eventsQuery = actorsQuery.extend({
  product_id: uuidSchema.optional().meta({ description: 'Shown as `actor`, wherever it stands.' }),
});
/** What `eventsQuery` accepts. */
export type EventsQuery = z.infer<typeof eventsQuery>;

/** The query of GET /admin/batches. */
export const batchesQuery = z.object({ limit });
/** What `batchesQuery` accepts. */
export type BatchesQuery = z.infer<typeof batchesQuery>;

/** The path of an actor. */
export const actorParams = z.object({ product_id: uuidSchema });
/** What `actorParams` accepts. */
export type ActorParams = z.infer<typeof actorParams>;

/** A number, spelled in one way. */
export const SHARD_TEXT = /^(?:0|[1-9]\d{0,3})$/;
/** The path of a shard. */
export const shardParams = z.object({ n: z.string().regex(SHARD_TEXT) });
/** What `shardParams` accepts. */
export type ShardParams = z.infer<typeof shardParams>;

/** A reason of 200 code points, 12 bytes each in their widest escapes, is 2,400 of them. */
export const ACTION_BYTES_MAX = 4_096;
/** The body of everything that an operator does. */
export const actionBody = z.strictObject({ reason: reasonText });
/** What `actionBody` accepts. */
export type ActionBody = z.infer<typeof actionBody>;

const percentiles = z.object({ p50: z.number(), p99: z.number() });
const byCode = z.record(z.string(), z.int());

/** The JSON of a product's actor. */
export const actorSchema = z
  .object({
    product_id: uuidSchema,
    name: z.string().nullable(),
    status: z.enum(PRODUCT_STATUSES).nullable(),
    shard: z.int().nullable(),
    partition: z.int(),
    owner_id: z.int().nullable(),
    mailbox: z.object({
      depth: z.int().nullable(),
      bound: z
        .int()
        .nullable()
        .meta({ description: 'Orders are shed above this depth, as things are now.' }),
      oldest_ms: z.number().nullable().meta({ description: 'Null: nothing waits.' }),
    }),
    decided: z.int().nullable().meta({ description: 'In the open batch.' }),
    committing: z.int().nullable().meta({ description: 'In batches under way to PostgreSQL.' }),
    stock: z.object({
      available: z.int(),
      held: z.int().nullable().meta({ description: 'Units in orders that wait for payment.' }),
      sold: z
        .int()
        .nullable()
        .meta({ description: 'Units in orders that are paid, shipped or completed.' }),
    }),
    lapsing: z
      .object({ within_10s: z.int(), within_60s: z.int() })
      .nullable()
      .meta({ description: 'Orders that expire soon.' }),
    orders_per_second: z.object({
      s1: z.number().nullable(),
      s10: z.number().nullable(),
      s60: z.number().nullable(),
    }),
    refused: byCode.meta({ description: 'Refused lines by code.' }),
    sequence: z.int().nullable().meta({ description: 'The last one given.' }),
    sold_out_at: timeSchema
      .nullable()
      .meta({ description: 'At the pace of the last 10 s; null: nothing is being sold.' }),
  })
  .meta({ description: 'What is null of a product that is not in memory is not known.' });

const insideSchema = z.object({
  proven: z.boolean().meta({ description: 'It can prove that it owns its products.' }),
  actors: z.int().meta({ description: 'In memory.' }),
  mailbox: z.object({
    depth: z.int().meta({ description: 'Undecided commands.' }),
    bound: z.int(),
    oldest_ms: z.number().nullable(),
  }),
  decided: z.int().meta({ description: 'In the open batch.' }),
  in_flight: z.int().meta({ description: 'Batches under way to PostgreSQL.' }),
  attempts: z.int().meta({ description: 'Orders that wait for other shards.' }),
  holds: z.int().meta({ description: 'Holds for orders of other shards.' }),
  unpaid: z
    .int()
    .nullable()
    .meta({ description: 'Orders that wait for payment; null: being loaded.' }),
  window: z.int().meta({ description: 'Orders in the idempotency window.' }),
  totals: z
    .object({
      orders: z.int(),
      units: z.int(),
      replayed: z.int(),
      refused: byCode,
      shed: byCode,
      lapsed: z.int().meta({ description: 'Orders that expired.' }),
    })
    .meta({ description: 'Since the owner began.' }),
  event_loop: z.object({ delay_ms: percentiles, utilization: z.number() }),
  heap_bytes: z.int(),
});

/** The JSON of a shard. */
export const shardSchema = z.object({
  shard: z.int(),
  partitions: z.int(),
  state: z.enum(['serving', 'unproven', 'replacing', 'silent']),
  owner_id: z.int().meta({ description: 'The one that serves, or served last.' }),
  restarts: z.int().meta({ description: 'Since the process began.' }),
  batches: z
    .object({ per_second: z.number(), orders: percentiles, commit_ms: percentiles })
    .nullable()
    .meta({ description: 'Of its last batches; null: there were none.' }),
  inside: insideSchema.nullable().meta({ description: 'Null unless its thread answered.' }),
});

/** The JSON of one try to commit a batch. */
export const batchSchema = z.object({
  owner_id: z.int(),
  no: z.int().meta({ description: 'With `owner_id` the name of the batch.' }),
  shard: z.int(),
  sent_at: timeSchema,
  orders: z.int(),
  changes: z.int().meta({ description: 'Of stock, statuses and products.' }),
  wait_ms: z.number().meta({ description: 'From its first decision to its sending.' }),
  copy_ms: z.number().nullable(),
  merge_ms: z.number().nullable(),
  commit_ms: z.number().nullable(),
  total_ms: z.number().meta({ description: 'From its sending to its end.' }),
  outcome: z.enum(['committed', 'aborted', 'unknown']),
  cause: z.enum(['fenced', 'rejected', 'passing']).nullable(),
});

/** The JSON of what an operator did. */
export const operatorActionSchema = z.object({
  id: uuidSchema,
  kind: z.enum(OPERATOR_ACTIONS),
  target: z.string().meta({ description: 'Id of the product or order, or number of the shard.' }),
  reason: z.string().nullable(),
  author: uuidSchema,
  created_at: timeSchema,
  outcome: z.string().nullable().meta({
    description: '`done`, or the error code that it ended with; null: under way, or cut off.',
  }),
});

/** The JSON of the answer to a restart. */
export const restartedShardSchema = z.object({
  shard: z.int(),
  owner_id: z.int().meta({ description: 'The owner that serves now.' }),
});
