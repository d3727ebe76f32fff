/** What operators do, recorded before it is done: who, what, to what, and why. */
import type { UserId } from './ids.ts';
import type { EffectKey, Page, PageRequest } from './ports.ts';

export const OPERATOR_ACTIONS = ['pause', 'resume', 'restart', 'release'] as const;
export type OperatorActionKind = (typeof OPERATOR_ACTIONS)[number];

export interface OperatorAction {
  /** UUID. */
  readonly id: string;
  readonly kind: OperatorActionKind;
  /** The id of a product or an order, or the number of a shard. */
  readonly target: string;
  readonly reason: string | null;
  readonly author: UserId;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** `done`, or the error code that it ended with; null while it is under way, or was cut off. */
  readonly outcome: string | null;
}

export type RecordOutcome =
  /** `replayed`: the key was used for the same action before; `outcome` says how that one ended. */
  | {
      readonly type: 'recorded';
      readonly id: string;
      readonly replayed: boolean;
      readonly outcome: string | null;
    }
  | { readonly type: 'key-reused' };

export interface OperatorLog {
  record(
    action: Pick<OperatorAction, 'kind' | 'target' | 'reason' | 'author'>,
    key: EffectKey | null,
  ): Promise<RecordOutcome>;
  /** How it ended. */
  settle(id: string, outcome: string): Promise<void>;
  /** Newest first. */
  list(page: PageRequest): Promise<Page<OperatorAction>>;
}
