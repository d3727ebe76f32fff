/** What goes into the shard core and what comes out of it; `workers/` and the tests run both. */
import type { AbortCause, Batch, Committed, ExpiringOrder, StoredEffect } from '../domain/batch.ts';
import type { OwnerId, ProductId } from '../domain/ids.ts';
import type { ProductState } from '../domain/product.ts';
import type { Answer, Command, PeerMessage } from '../domain/wire.ts';
import type { RouterIndex } from './waiting.ts';

export type ShardEvent =
  | { readonly type: 'commands'; readonly from: RouterIndex; readonly commands: readonly Command[] }
  /** Answers the `load` effect under way; ids without a row do not exist. */
  | { readonly type: 'loaded'; readonly products: readonly ProductState[] }
  /** Answers the `look-up` effect under way; ids without an effect are not bound. */
  | { readonly type: 'looked-up'; readonly effects: readonly StoredEffect[] }
  /** The query under way failed although the session lives on: it was too slow, or was cancelled. */
  | { readonly type: 'load-failed' }
  | { readonly type: 'look-up-failed' }
  /** The COMMIT tag of batch `no` arrived; its transaction was sent at `provenAt` (I5). */
  | {
      readonly type: 'committed';
      readonly no: number;
      readonly committed: Committed;
      readonly provenAt: number;
    }
  /** Nothing of batch `no` took effect, nor ever will. */
  | { readonly type: 'aborted'; readonly no: number; readonly cause: AbortCause }
  /** The connection was lost after COMMIT may have been sent; answered by a `resolve` effect. */
  | { readonly type: 'unknown'; readonly no: number }
  /** `shard` is served by this owner from now on; the one before it is fenced (I5). */
  | { readonly type: 'peer'; readonly shard: number; readonly ownerId: OwnerId }
  /** The thread that served `shard` is dead; another owner will follow. */
  | { readonly type: 'peer-lost'; readonly shard: number }
  | {
      readonly type: 'messages';
      readonly from: OwnerId;
      readonly messages: readonly PeerMessage[];
    }
  /** Answers a `find-freed` effect: products that the last batches of the owner freed units of. */
  | { readonly type: 'freed-found'; readonly products: readonly ProductId[] }
  /** Answers the `load-expiring` effect under way; `complete` = there are no later ones. */
  | {
      readonly type: 'expiring';
      readonly orders: readonly ExpiringOrder[];
      readonly complete: boolean;
    }
  /** A read sent at `provenAt` found this owner unfenced. */
  | { readonly type: 'owned'; readonly provenAt: number }
  | { readonly type: 'tick' }
  | { readonly type: 'stop' };

export type Effect =
  | { readonly type: 'answer'; readonly to: RouterIndex; readonly answer: Answer }
  | { readonly type: 'commit'; readonly batch: Batch }
  /**
   * Settle batch `no` from PostgreSQL: claim its name as aborted, or find that it committed. Answered
   * by `committed` or `aborted`, or by `unknown` when it cannot be done now.
   */
  | { readonly type: 'resolve'; readonly no: number }
  | { readonly type: 'send'; readonly to: OwnerId; readonly message: PeerMessage }
  /** What did this owner, which is fenced, free without telling? Asked until it is answered. */
  | { readonly type: 'find-freed'; readonly by: OwnerId }
  /**
   * Unpaid orders of this shard's partitions that expire after `after` (milliseconds since the
   * epoch, or all of them), the earliest first. Asked until it is answered.
   */
  | { readonly type: 'load-expiring'; readonly after: number | null; readonly max: number }
  /** No order of this shard's partitions that expired until then waits for payment. May be lost. */
  | { readonly type: 'expired-until'; readonly time: number }
  /** This owner is fenced: nothing will come any more. */
  | { readonly type: 'fenced' }
  | { readonly type: 'load'; readonly ids: readonly ProductId[] }
  | { readonly type: 'look-up'; readonly ids: readonly string[] }
  /** Send a tick at this time, milliseconds since the epoch. */
  | { readonly type: 'wake'; readonly at: number }
  /** Everything accepted is committed and answered; nothing more will come. */
  | { readonly type: 'stopped' };

export interface ShardLimits {
  readonly batchOrdersMax: number;
  /** A batch takes no further order once it has this many lines. */
  readonly batchLinesMax: number;
  /** Milliseconds that an open batch may wait although a commit slot is free. */
  readonly batchWaitMsMax: number;
  readonly commitsInFlightMax: number;
  /** A batch is sent beside one in flight only from this size on: a small one is not worth it. */
  readonly overlapOrdersMin: number;
  /** Milliseconds after which it is sent all the same: the one in flight may hang. */
  readonly overlapWaitMsMax: number;
  /** Commands without a decision, in all mailboxes of the shard. */
  readonly mailboxMax: number;
  /** Milliseconds after which an undecided command is shed. */
  readonly undecidedMsMax: number;
  /** Milliseconds after the last proof of ownership at which the shard stops answering. */
  readonly proofAgeMsMax: number;
  readonly holdTtlMs: number;
  /** Actors kept; above it idle ones are dropped. */
  readonly actorsMax: number;
  /** Ids in one load or look-up. */
  readonly queryIdsMax: number;
  /** Unpaid orders whose expiry is kept in memory; the later ones are loaded when it is their turn. */
  readonly expiringMax: number;
}

export interface ShardIdentity {
  readonly ownerId: OwnerId;
  readonly shard: number;
  /** Shards of this node. */
  readonly shards: number;
  /** When PostgreSQL said so, milliseconds since the epoch. */
  readonly provenAt: number;
}
