/**
 * Decides one command whose turn it is: it is answered at once, or what it takes is taken and it
 * joins the open batch, or it waits for others.
 *
 * I1 takes count from here on.
 * I3 a decided id is pending, in the window, or found by look-up before any keyed refusal leaves.
 * I4 an order is decided on the reports of all of its lines, wherever they are owned.
 * I5 without a recent proof of ownership every command is shed, refusals included.
 *
 * Neighbours: the shard core, which says whose turn it is; settlement, where decisions end.
 */
import type { ExpiringOrder, StatusChange, StoredEffect } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import { partitionOf, shardOf } from '../domain/ids.ts';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { LineReport } from '../domain/outcome.ts';
import type {
  AcceptedLine,
  Answer,
  ChangeStatusCommand,
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from '../domain/wire.ts';
import type { Attempt } from './attempts.ts';
import { NONE } from './commit-queue.ts';
import type { Decision, HoldName, StatusDecision } from './commit-queue.ts';
import { canServe, refusalOf, reportsOn } from './decide-order.ts';
import type { Turn } from './mailroom.ts';
import { recordOf } from './refusals.ts';
import type { Settlement } from './settlement.ts';
import type { ShardState } from './shard-state.ts';
import { isHold, isKind } from './waiting.ts';
import type { Waiting, WaitingRequest } from './waiting.ts';

export class Decisions {
  readonly #state: ShardState;
  readonly #settlement: Settlement;

  constructor(state: ShardState, settlement: Settlement) {
    this.#state = state;
    this.#settlement = settlement;
  }

  /** `now`: wall clock, milliseconds since the epoch. */
  decide(turn: Turn, now: number): void {
    const { waiting } = turn;
    if (this.#shedIfLate(waiting, now)) return;
    if (isHold(waiting)) {
      this.#state.mailroom.releasePlace(waiting);
      this.#state.holds.decide(turn, waiting.command, now);
    } else if (isKind(waiting, 'place')) this.#decideOrder(turn, waiting, now);
    else if (isKind(waiting, 'change-stock')) this.#decideStock(waiting, now);
    else if (isKind(waiting, 'change-status')) this.#decideStatus(waiting, now);
    else if (isKind(waiting, 'edit-product')) this.#decideEdit(waiting, now);
  }

  #shedIfLate(waiting: Waiting, now: number): boolean {
    if (!this.#state.isProven(now)) this.#state.out.shed(waiting, 'database-unavailable');
    else if (waiting.command.receivedAt > now - this.#state.limits.undecidedMsMax) return false;
    else this.#state.out.shed(waiting, 'overloaded');
    return true;
  }

  #decideOrder(turn: Turn, waiting: Waiting<PlaceCommand>, now: number): void {
    const { command } = waiting;
    if (command.keyed && this.#repeats(waiting)) return;
    if (command.otherShards !== null) {
      if (!this.#state.attempts.start(turn, waiting, now))
        this.#state.out.shed(waiting, 'overloaded');
      return;
    }
    const { userId } = command;
    if (!canServe(turn.lines, userId, now)) {
      this.#refuse(waiting, reportsOn(turn.lines, userId, now), now);
      return;
    }
    const currency = turn.lines[0]?.actor.product?.price.currency ?? '';
    const lines = turn.lines.map(({ line, actor }) => actor.take(line.quantity, userId));
    const limited = turn.lines.some(({ actor }) => actor.limited);
    this.#accept(waiting, { currency, lines, limited, holds: NONE, repeats: NONE }, now);
  }

  /** Every owner has answered: the order joins the batch, or everything is given back. */
  endAttempt(attempt: Attempt, now: number): void {
    const { waiting, taken, holds, repeats } = attempt;
    const { command } = waiting;
    const reports: LineReport[] = [];
    const lines: AcceptedLine[] = [];
    for (const { productId } of command.lines) {
      const report = attempt.reports.get(productId);
      const line = taken.get(productId);
      if (report === undefined) throw new Error(`nobody reported on ${productId}`);
      reports.push(report);
      if (line !== undefined) lines.push(line);
    }
    const { actors } = this.#state.mailroom;
    const diverged = waiting.lines.some(({ productId }) => actors.find(productId)?.diverged);
    if (diverged || !this.#state.isProven(now)) {
      this.#state.attempts.release(attempt, null);
      for (const each of [waiting, ...repeats]) this.#state.out.shed(each, 'database-unavailable');
    } else if (lines.length === command.lines.length && refusalOf(reports) === null) {
      const currency = reports[0]?.currency ?? '';
      const limited = reports.some((report) => report.limited);
      this.#accept(waiting, { currency, lines, limited, holds, repeats }, now);
    } else {
      this.#state.attempts.release(attempt, null);
      this.#refuse(waiting, reports, now);
      for (const repeat of repeats) {
        const { id, requestHash } = repeat.command;
        const same = id === command.id && requestHash === command.requestHash;
        if (same && isKind(repeat, 'place')) this.#refuse(repeat, reports, now);
        else this.#state.decideAgain(repeat);
      }
    }
  }

  /** The units of all lines are taken: the order joins the open batch. */
  #accept(
    waiting: Waiting<PlaceCommand>,
    order: {
      readonly currency: string;
      readonly lines: readonly AcceptedLine[];
      readonly limited: boolean;
      readonly holds: readonly HoldName[];
      readonly repeats: WaitingRequest[];
    },
    now: number,
  ): void {
    const { command } = waiting;
    const { currency, lines, limited, holds, repeats } = order;
    let total = 0;
    let homePartition: PartitionId | undefined;
    for (const [i, { productId, quantity }] of command.lines.entries()) {
      const partition = partitionOf(productId);
      if (homePartition === undefined || partition < homePartition) homePartition = partition;
      total += (lines[i]?.unitPrice ?? 0) * quantity;
    }
    if (homePartition === undefined) throw new Error(`order ${command.id} has no lines`);
    const expiresAt = now + this.#state.limits.holdTtlMs;
    const decided = {
      command,
      homePartition,
      total,
      limited,
      order: { currency, createdAt: now, expiresAt, lines },
    };
    const others = holds.length === 0 ? NONE : holds.map(({ holder }) => holder);
    const ends = { waiting, repeats, followers: NONE, sends: 0 };
    this.#join({ kind: 'order', decided, holds, others, ...ends }, waiting, now);
  }

  /** The answer waits for a look-up where the id may be bound to an order that is not in memory. */
  #refuse(waiting: Waiting<PlaceCommand>, reports: readonly LineReport[], now: number): void {
    const refusal = refusalOf(reports);
    const { command } = waiting;
    if (refusal === null) throw new Error(`order ${command.id} is refused for no reason`);
    const answer: Answer = { n: command.n, type: 'refused', refusal };
    if (!command.keyed) {
      this.#state.out.answer(waiting, answer);
      return;
    }
    const record = recordOf(command, refusal, { reports, decidedAt: now });
    const { actors } = this.#state.mailroom;
    if (waiting.lines.some(({ productId }) => actors.find(productId)?.covered === true)) {
      this.#state.refusals.remember(command, record);
      this.#state.out.answer(waiting, answer);
    } else this.#state.lookUps.add({ waiting, otherwise: answer, record });
  }

  #decideStock(waiting: Waiting<ChangeStockCommand>, now: number): void {
    const { command } = waiting;
    const actor = this.#state.mailroom.actors.get(command.productId);
    if (command.keyed && this.#repeats(waiting)) return;
    const { n, productId, delta } = command;
    let refused: Answer | null = null;
    if (!actor.product) {
      const items = [{ productId, requested: delta }];
      const refusal = { type: 'refused', code: 'product-not-found', items } as const;
      refused = { n, type: 'refused', refusal };
    } else if (actor.available + delta < 0) {
      refused = { n, type: 'insufficient-stock', available: actor.available };
    }
    if (refused !== null) {
      if (command.keyed) this.#state.lookUps.add({ waiting, otherwise: refused });
      else this.#state.out.answer(waiting, refused);
      return;
    }
    // Removed units are gone now; added ones are on sale after the COMMIT.
    actor.available += Math.min(0, delta);
    actor.uncommitted += 1;
    const ends = { waiting, repeats: NONE, others: NONE, decidedAt: now, sends: 0 };
    this.#join({ kind: 'stock-change', change: command, ...ends }, waiting, now);
  }

  /** No other edit of the product is under way (mailroom). */
  #decideEdit(waiting: Waiting<EditProductCommand>, now: number): void {
    const { n, productId, ifVersion, changes } = waiting.command;
    const actor = this.#state.mailroom.actors.get(productId);
    if (!actor.product) {
      const items = [{ productId, requested: 0 }];
      const refusal = { type: 'refused', code: 'product-not-found', items } as const;
      this.#state.out.answer(waiting, { n, type: 'refused', refusal });
      return;
    }
    const { version } = actor.product;
    if (ifVersion !== null && ifVersion !== version) {
      this.#state.out.answer(waiting, { n, type: 'version-differs', version });
      return;
    }
    // It keeps its place: no batch bounds what waits for a batch of its own (I9).
    actor.startEdit(changes);
    const ends = { others: NONE, decidedAt: now, sends: 0 };
    this.#state.commits.addAlone({ kind: 'edit', version: version + 1, waiting, ...ends });
  }

  /** The guarded update in the batch decides; here one change of an order waits for another. */
  #decideStatus(waiting: Waiting<ChangeStatusCommand>, now: number): void {
    const { id, keyed, orderId, requestHash } = waiting.command;
    const placed = this.#state.commits.pending(orderId);
    const before = placed?.kind === 'order' ? placed : this.#state.commits.changing(orderId);
    if (before !== undefined) {
      before.followers = append(before.followers, waiting);
      return;
    }
    if (keyed && this.#repeats(waiting)) return;
    const others = this.#ownersOf(waiting.command.partitions);
    if (others === null) {
      this.#state.out.shed(waiting, 'overloaded');
      return;
    }
    const key = keyed ? { id, requestHash } : null;
    const { from, to, detail, reason, author } = waiting.command;
    const change = { orderId, from, to, detail, reason, author, at: now, key };
    const ends = { cause: waiting, others, followers: NONE, sends: 0 };
    this.#join({ kind: 'status-change', change, ...ends }, waiting, now);
  }

  /** Orders whose time is over join the batch, up to half of it. */
  expire(now: number): void {
    if (this.#state.stopping || !this.#state.isProven(now)) return;
    while (!this.#state.commits.fullOfExpiries) {
      const order = this.#state.expiry.takeDue(now);
      if (order === null) return;
      const others = this.#ownersOf(order.lines.map(({ productId }) => partitionOf(productId)));
      if (others === null || this.#state.commits.changing(order.orderId) !== undefined) {
        this.#state.expiry.rest(order, now);
        continue;
      }
      this.#state.commits.add({ ...expiryOf(order, now), others }, now);
    }
  }

  /** Owners of other shards that own these partitions; null while one of them is not there. */
  #ownersOf(partitions: readonly PartitionId[]): readonly OwnerId[] | null {
    const { shard, shards } = this.#state.identity;
    let owners: readonly OwnerId[] = NONE;
    for (const partition of partitions) {
      const other = shardOf(partition, shards);
      if (other === shard) continue;
      const owner = this.#state.attempts.peer(other);
      if (owner === undefined) return null;
      if (!owners.includes(owner)) owners = [...owners, owner];
    }
    return owners;
  }

  #join(decision: Decision, waiting: Waiting, now: number): void {
    this.#state.mailroom.releasePlace(waiting);
    this.#state.commits.add(decision, now);
  }

  /** Whether the id was decided before; then the command is answered or waits for that answer. */
  #repeats(waiting: WaitingRequest): boolean {
    const { command } = waiting;
    const key = command.kind === 'place' ? command.cart?.key?.id : undefined;
    const { commits, attempts } = this.#state;
    const pending = commits.pending(command.id) ?? (key && commits.pending(key));
    if (pending) {
      if (pending.kind === 'order' || pending.kind === 'stock-change') {
        pending.repeats = append(pending.repeats, waiting);
      } else if (pending.kind === 'status-change') {
        pending.followers = append(pending.followers, waiting);
      }
      return true;
    }
    const attempt = attempts.find(command.id) ?? (key && attempts.find(key));
    if (attempt) {
      attempt.repeats = append(attempt.repeats, waiting);
      return true;
    }
    if (command.kind !== 'place') return false;
    const entry = this.#state.window.get(command.id);
    if (entry === undefined) return false;
    const same = entry.requestHash === command.requestHash;
    this.#state.out.answer(
      waiting,
      same
        ? { n: command.n, type: 'accepted', replayed: true, order: entry.order }
        : { n: command.n, type: 'key-reused' },
    );
    return true;
  }

  endLookUp(effects: readonly StoredEffect[], now: number): void {
    // Old keys come back in groups of their own; from now on they cost neither units nor a query.
    for (const effect of effects) {
      if (effect.kind === 'order') this.#settlement.remember(effect.id, effect);
    }
    const { lookUps, out, refusals } = this.#state;
    for (const { lookUp, effect } of lookUps.end(effects)) {
      const { waiting, otherwise, record } = lookUp;
      const { command } = waiting;
      const order = command.kind === 'place' ? command : null;
      if (effect === undefined) {
        // What was to be said rests on what this owner knew when it was proven.
        if (this.#state.isProven(now)) {
          if (order !== null && record !== undefined) refusals.remember(order, record);
          out.answer(waiting, otherwise);
        } else out.shed(waiting, 'database-unavailable');
      } else {
        if (order !== null) refusals.forget(order);
        const isSame = effect.requestHash === command.requestHash;
        const { n } = command;
        out.answer(waiting, isSame ? replayOf(effect, n) : { n, type: 'key-reused' });
      }
    }
  }
}

function append<T>(list: T[], item: T): T[] {
  if ((list as never[]) === NONE) return [item];
  list.push(item);
  return list;
}

function expiryOf(order: ExpiringOrder, now: number): Omit<StatusDecision, 'others'> {
  const change: StatusChange = {
    orderId: order.orderId,
    from: ['WAITING_PAYMENT'],
    to: 'EXPIRED',
    detail: null,
    reason: null,
    author: null,
    at: now,
    key: null,
  };
  return { kind: 'status-change', change, cause: order, followers: NONE, sends: 0 };
}

function replayOf(effect: StoredEffect, n: number): Answer {
  switch (effect.kind) {
    case 'order':
      return { n, type: 'accepted', replayed: true, order: effect.order };
    case 'stock-change':
      return { n, type: 'changed', replayed: true, available: effect.available };
    case 'status-change':
      return { n, type: 'status-changed', replayed: true };
    case 'other':
      return { n, type: 'key-reused' };
    default:
      return unreachable(effect);
  }
}
