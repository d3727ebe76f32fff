/**
 * Decisions on their way to PostgreSQL: the one open batch, the batches in flight, and those that
 * were aborted and are sent again.
 *
 * I3: while a decision is here, a repeat of its id waits beside it for the same answer.
 * I9: at most `batchOrdersMax` decisions with about `batchLinesMax` lines are open and
 *     `commitsInFlightMax` batches in flight or waiting to be sent again.
 */
import type { Batch, DecidedOrder, ExpiringOrder, StatusChange } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import type { OrderId, OwnerId } from '../domain/ids.ts';
import type {
  ChangeStatusCommand,
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from '../domain/wire.ts';
import { Queue } from './queue.ts';
import type { ShardLimits } from './shard-protocol.ts';
import type { Waiting, WaitingRequest } from './waiting.ts';

/** A hold placed with another shard's owner. */
export interface HoldName {
  readonly attempt: number;
  readonly holder: OwnerId;
}

interface DecisionBase {
  /** Owners of other shards whose products it touches. */
  readonly others: readonly OwnerId[];
  /** Times that it was sent. */
  sends: number;
}

export interface OrderDecision extends DecisionBase {
  readonly kind: 'order';
  readonly decided: DecidedOrder;
  readonly holds: readonly HoldName[];
  readonly waiting: Waiting<PlaceCommand>;
  /** Requests for the same effect, answered with it. */
  repeats: WaitingRequest[];
  /** Commands on this order, decided after it. */
  followers: Waiting<ChangeStatusCommand>[];
}

export interface StockDecision extends DecisionBase {
  readonly kind: 'stock-change';
  readonly change: ChangeStockCommand;
  /** Milliseconds since the epoch. */
  readonly decidedAt: number;
  readonly waiting: Waiting<ChangeStockCommand>;
  repeats: WaitingRequest[];
}

export interface StatusDecision extends DecisionBase {
  readonly kind: 'status-change';
  readonly change: StatusChange;
  readonly cause: Waiting<ChangeStatusCommand> | ExpiringOrder;
  /** Repeats of its key and commands on its order, decided after it. */
  followers: WaitingRequest[];
}

export interface EditDecision extends DecisionBase {
  readonly kind: 'edit';
  /** The one that it makes. */
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly decidedAt: number;
  readonly waiting: Waiting<EditProductCommand>;
}

export type Decision = OrderDecision | StockDecision | StatusDecision | EditDecision;

/** `commit_batches.no` is an integer: 49 days at 500 batches a second. */
const BATCH_NO_MAX = 2 ** 31 - 1;

/** Shared by all decisions without any; replaced, never changed. */
export const NONE: never[] = [];

export class CommitQueue {
  readonly #ownerId: OwnerId;
  readonly #limits: ShardLimits;
  /** By the id of the effect. */
  readonly #pending = new Map<string, Decision>();
  /** By order. */
  readonly #changing = new Map<OrderId, StatusDecision>();
  readonly #inFlight = new Map<number, readonly Decision[]>();
  #again: (readonly Decision[])[] = [];
  readonly #alone = new Queue<EditDecision>();
  /** The last new batch was an edit: it is the open batch's turn. */
  #sentAlone = false;
  #open: Decision[] = [];
  #openLines = 0;
  #openExpiries = 0;
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

  /** Half of a batch is left to whoever wants to buy while many orders expire. */
  get fullOfExpiries(): boolean {
    return this.full || this.#openExpiries * 2 >= this.#limits.batchOrdersMax;
  }

  get empty(): boolean {
    const unsent = this.#open.length + this.#alone.length + this.#again.length;
    return unsent === 0 && this.#inFlight.size === 0;
  }

  /** The decision on this effect that has no end yet. */
  pending(id: string): Decision | undefined {
    return this.#pending.get(id);
  }

  /** The change of this order's status that has no end yet. */
  changing(id: OrderId): StatusDecision | undefined {
    return this.#changing.get(id);
  }

  add(decision: Decision, now: number): void {
    if (this.#open.length === 0) this.#openedAt = now;
    this.#open.push(decision);
    this.#count(decision, 1);
    for (const id of effectIdsOf(decision)) this.#pending.set(id, decision);
    if (decision.kind === 'status-change') this.#changing.set(decision.change.orderId, decision);
  }

  /**
   * A batch of its own: counting what customers have of a product that gets its first limit takes
   * time, and no order should wait for it. It takes turns with the open batch.
   */
  addAlone(decision: EditDecision): void {
    this.#alone.push(decision);
  }

  /** The decision has its end. */
  forget(decision: Decision): void {
    for (const id of effectIdsOf(decision)) this.#pending.delete(id);
    if (decision.kind === 'status-change') this.#changing.delete(decision.change.orderId);
  }

  /** Takes decisions out of the open batch. */
  takeOpen(unwanted: (decision: Decision) => boolean): readonly Decision[] {
    const taken = this.#open.filter(unwanted);
    if (taken.length === 0) return taken;
    this.#open = this.#open.filter((decision) => !taken.includes(decision));
    for (const decision of taken) this.#count(decision, -1);
    return taken;
  }

  /**
   * The batch to be sent now; the time to ask again when the open one waits for company; null when
   * there is nothing to send or no slot is free.
   */
  flush(now: number): Batch | number | null {
    if (this.#inFlight.size >= this.#limits.commitsInFlightMax) return null;
    const again = this.#again.shift();
    if (again !== undefined) return this.#send(again);
    const alone = this.#sentAlone && this.#open.length > 0 ? undefined : this.#alone.shift();
    if (alone !== undefined) {
      this.#sentAlone = true;
      return this.#send([alone]);
    }
    if (this.#open.length === 0) return null;
    if (!this.full) {
      const { overlapOrdersMin, overlapWaitMsMax, batchWaitMsMax } = this.#limits;
      const small = this.#inFlight.size > 0 && this.#open.length < overlapOrdersMin;
      // The end of the batch in flight asks again, and if it hangs the next tick does.
      if (small && now < this.#openedAt + overlapWaitMsMax) return null;
      // Before it was opened: the clock was set back, and nobody waits for it to catch up.
      const due = this.#openedAt + batchWaitMsMax;
      if (now >= this.#openedAt && now < due) return due;
    }
    const decisions = this.#open;
    this.#open = [];
    this.#openLines = 0;
    this.#openExpiries = 0;
    this.#sentAlone = false;
    return this.#send(decisions);
  }

  /** Takes a batch that ended out of flight; its decisions are still pending. */
  land(no: number): readonly Decision[] {
    const decisions = this.#inFlight.get(no);
    if (decisions === undefined) throw new Error(`batch ${no} is not in flight`);
    this.#inFlight.delete(no);
    return decisions;
  }

  /** Decisions of a batch that landed without an effect are sent under another number. */
  sendAgain(decisions: readonly Decision[]): void {
    if (decisions.length > 0) this.#again.push(decisions);
  }

  /** Decisions that are not sent yet. */
  *unsent(): Generator<Decision> {
    yield* this.#open;
    yield* this.#alone;
  }

  /** Batches on their way, or to be sent again. */
  get sent(): readonly (readonly Decision[])[] {
    return [...this.#inFlight.values(), ...this.#again];
  }

  /** The earliest time at which an order expires that is on its way; Infinity without one. */
  earliestExpiry(): number {
    let earliest = Infinity;
    for (const decisions of [...this.sent, this.#open]) {
      for (const decision of decisions) {
        if (decision.kind === 'order') {
          earliest = Math.min(earliest, decision.decided.order.expiresAt);
        } else if (decision.kind === 'status-change' && 'expiresAt' in decision.cause) {
          earliest = Math.min(earliest, decision.cause.expiresAt);
        }
      }
    }
    return earliest;
  }

  #count(decision: Decision, sign: 1 | -1): void {
    const lines = decision.kind === 'order' ? decision.decided.command.lines.length : 1;
    this.#openLines += sign * lines;
    if (decision.kind === 'status-change' && 'expiresAt' in decision.cause) {
      this.#openExpiries += sign;
    }
  }

  #send(decisions: readonly Decision[]): Batch {
    this.#lastNo += 1;
    // The next owner counts anew: a shard is replaced in less than a second.
    if (this.#lastNo > BATCH_NO_MAX) throw new Error('this owner has used up its batch numbers');
    this.#inFlight.set(this.#lastNo, decisions);
    const orders: DecidedOrder[] = [];
    const stockChanges: ChangeStockCommand[] = [];
    const statusChanges: StatusChange[] = [];
    const edits: EditProductCommand[] = [];
    const owners = [this.#ownerId];
    const [first] = decisions;
    for (const decision of decisions) {
      decision.sends += 1;
      for (const other of decision.others) if (!owners.includes(other)) owners.push(other);
      if (decision.kind === 'order') orders.push(decision.decided);
      else if (decision.kind === 'stock-change') stockChanges.push(decision.change);
      else if (decision.kind === 'status-change') statusChanges.push(decision.change);
      else edits.push(decision.waiting.command);
    }
    return {
      ownerId: this.#ownerId,
      no: this.#lastNo,
      openedAt: first === undefined ? 0 : decidedAt(first),
      owners: owners.toSorted((a, b) => a - b),
      orders,
      stockChanges,
      statusChanges,
      edits,
    };
  }
}

/** Milliseconds since the epoch. */
function decidedAt(decision: Decision): number {
  if (decision.kind === 'order') return decision.decided.order.createdAt;
  return decision.kind === 'status-change' ? decision.change.at : decision.decidedAt;
}

/** The primary keys under which PostgreSQL arbitrates it. */
function effectIdsOf(decision: Decision): readonly string[] {
  switch (decision.kind) {
    case 'order':
      return boundBy(decision.decided.command);
    case 'stock-change':
      return [decision.change.id];
    case 'status-change':
      return decision.change.key === null ? NONE : [decision.change.key.id];
    case 'edit':
      return NONE;
    default:
      return unreachable(decision);
  }
}

/** The ids that an order binds: its own, and that of the key with which its cart was checked out. */
export function boundBy({ id, cart }: PlaceCommand): readonly string[] {
  return cart === null || cart.key === null ? [id] : [id, cart.key.id];
}
