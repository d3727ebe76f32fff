/**
 * Decisions on their way to PostgreSQL: the one open batch, and the batches in flight.
 *
 * I9: at most `batchOrdersMax` decisions with about `batchLinesMax` lines are open and `commitsInFlightMax` batches in flight.
 * I3: while a decision is here, a repeat of its id waits beside it for the same answer.
 */
import type { Batch, DecidedOrder } from '../domain/batch.ts';
import type { OwnerId } from '../domain/ids.ts';
import type { ChangeStockCommand } from '../domain/wire.ts';
import type { ShardLimits } from './shard-protocol.ts';
import type { Waiting } from './waiting.ts';

export type Decision = (
  | { readonly kind: 'order'; readonly decided: DecidedOrder }
  | { readonly kind: 'stock-change'; readonly change: ChangeStockCommand }
) & {
  readonly waiting: Waiting;
  /** Repeats of the same id that arrived meanwhile; made on the first one. */
  repeats: Waiting[] | null;
};

export class CommitQueue {
  readonly #ownerId: OwnerId;
  readonly #limits: ShardLimits;
  readonly #pending = new Map<string, Decision>();
  readonly #inFlight = new Map<number, readonly Decision[]>();
  #open: Decision[] = [];
  #openLines = 0;
  #openedAt = 0;
  #lastNo = 0;

  constructor(ownerId: OwnerId, limits: ShardLimits) {
    this.#ownerId = ownerId;
    this.#limits = limits;
  }

  get full(): boolean {
    const { batchOrdersMax, batchLinesMax } = this.#limits;
    return this.#open.length >= batchOrdersMax || this.#openLines >= batchLinesMax;
  }

  get empty(): boolean {
    return this.#open.length === 0 && this.#inFlight.size === 0;
  }

  /** The decision on this id that is not settled yet. */
  pending(id: string): Decision | undefined {
    return this.#pending.get(id);
  }

  add(decision: Decision, now: number): void {
    if (this.#open.length === 0) this.#openedAt = now;
    this.#open.push(decision);
    this.#openLines += decision.kind === 'order' ? decision.decided.command.lines.length : 1;
    this.#pending.set(decision.waiting.command.id, decision);
  }

  /**
   * The open batch, if it is to be sent now; the time to ask again when it waits for company; null
   * when there is nothing to send or no slot is free.
   */
  flush(now: number): Batch | number | null {
    if (this.#open.length === 0 || this.#inFlight.size >= this.#limits.commitsInFlightMax) {
      return null;
    }
    if (!this.full) {
      const { overlapOrdersMin, overlapWaitMsMax, batchWaitMsMax } = this.#limits;
      const small = this.#inFlight.size > 0 && this.#open.length < overlapOrdersMin;
      // The end of the batch in flight asks again, and if it hangs the next tick does.
      if (small && now < this.#openedAt + overlapWaitMsMax) return null;
      const due = this.#openedAt + batchWaitMsMax;
      if (now < due) return due;
    }
    return this.#close();
  }

  /** Takes a batch that ended out of flight. */
  settle(no: number): readonly Decision[] {
    const decisions = this.#inFlight.get(no);
    if (decisions === undefined) throw new Error(`batch ${no} is not in flight`);
    this.#inFlight.delete(no);
    for (const decision of decisions) this.#pending.delete(decision.waiting.command.id);
    return decisions;
  }

  #close(): Batch {
    const decisions = this.#open;
    this.#open = [];
    this.#openLines = 0;
    this.#lastNo += 1;
    this.#inFlight.set(this.#lastNo, decisions);
    const orders: DecidedOrder[] = [];
    const stockChanges: ChangeStockCommand[] = [];
    for (const decision of decisions) {
      if (decision.kind === 'order') orders.push(decision.decided);
      else stockChanges.push(decision.change);
    }
    return {
      ownerId: this.#ownerId,
      no: this.#lastNo,
      owners: [this.#ownerId],
      orders,
      stockChanges,
    };
  }
}
