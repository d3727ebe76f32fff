/** What main hands to a shard thread, and how the thread's work can end. Plain data and ports. */
import type { MessagePort } from 'node:worker_threads';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { LoggerOptions } from '../telemetry/logger.ts';
import type { ShardLimits } from '../actors/shard-protocol.ts';

export interface ShardTask {
  readonly shard: number;
  readonly ownerId: OwnerId;
  readonly partitions: readonly PartitionId[];
  readonly databaseUrl: string;
  readonly limits: ShardLimits;
  /** Order lines in the idempotency window. */
  readonly windowLinesMax: number;
  /** Milliseconds after which PostgreSQL ends a statement of this shard. */
  readonly statementTimeoutMs: number;
  readonly logLevel: LoggerOptions['level'];
  /** One per router; transferred. */
  readonly ports: readonly MessagePort[];
}

/** An Error would lose its class and fields on the way, so the end is told as data. */
export type ShardEnd =
  | { readonly type: 'stopped' }
  /** Another node took the partitions over. */
  | { readonly type: 'fenced'; readonly by: string }
  /** Whatever was not answered is unknown; a restart recovers it from PostgreSQL. */
  | { readonly type: 'failed'; readonly reason: string };
