/** What the supervisor and a shard thread tell each other. Plain data and ports. */
import type { MessagePort } from 'node:worker_threads';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { BatchRecord, Inspections } from '../domain/inspection.ts';
import type { LoggerOptions } from '../telemetry/logger.ts';
import type { ShardLimits } from '../actors/shard-protocol.ts';

/** The way to another shard's owner, to that incarnation and no other; carries `PeerMessage[]`. */
export interface Peer {
  readonly shard: number;
  readonly ownerId: OwnerId;
  /** Transferred. */
  readonly port: MessagePort;
}

export interface ShardTask {
  readonly shard: number;
  /** Shards of this node. */
  readonly shards: number;
  readonly ownerId: OwnerId;
  readonly partitions: readonly PartitionId[];
  readonly databaseUrl: string;
  readonly limits: ShardLimits;
  /** Order lines in the idempotency window. */
  readonly windowLinesMax: number;
  /** Milliseconds after which PostgreSQL ends a statement of this shard. */
  readonly statementTimeoutMs: number;
  /** Milliseconds after which a statement that is still unanswered never will be. */
  readonly silenceMsMax: number;
  readonly logLevel: LoggerOptions['level'];
  /** One per router; transferred. */
  readonly routers: readonly MessagePort[];
  /** To the supervisor, carries `Control` and `Report`; transferred. */
  readonly control: MessagePort;
  readonly peers: readonly Peer[];
}

/** What one may ask a shard thread. */
export type Ask = keyof Inspections;

/** `n`: of the incarnation that is asked. */
export type Question<A extends Ask = Ask> = {
  readonly [K in A]: {
    readonly type: 'inspect';
    readonly n: number;
    readonly ask: K;
    readonly query: Inspections[K]['query'];
  };
}[A];

/** Supervisor to shard. */
export type Control =
  /** Decide nothing new, commit what was accepted, then end. */
  | { readonly type: 'stop' }
  /** The peer's shard is served by this owner from now on; the one before it is fenced. */
  | { readonly type: 'peer'; readonly peer: Peer }
  /** The thread that served this shard is dead; another owner will follow. */
  | { readonly type: 'peer-lost'; readonly shard: number }
  | Question;

/** Shard to supervisor. */
export type Report =
  /** Tries to commit batches ended. Nothing depends on it: the last ones of a dead thread are lost. */
  | { readonly type: 'batches'; readonly records: readonly BatchRecord[] }
  /** Undefined: the look failed. */
  | {
      readonly type: 'inspected';
      readonly n: number;
      readonly reply: Inspections[Ask]['reply'] | undefined;
    };

/** An Error would lose its class and fields on the way, so the end is told as data. */
export type ShardEnd =
  | { readonly type: 'stopped' }
  /** Another node took the partitions over. */
  | { readonly type: 'fenced'; readonly by: string }
  /** Whatever was not answered is unknown; the next owner recovers it from PostgreSQL. */
  | { readonly type: 'failed'; readonly reason: string };
