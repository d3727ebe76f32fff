/**
 * What becomes of a batch's decisions when the batch has its end.
 *
 * I1 takes are given back only for what PostgreSQL did not do and never will; gives count from here.
 * I2 an accepted answer leaves only in `commit`.
 * I3 a decision whose id was bound before is undone, and its customer gets the effect of that id.
 * I8 what an abort leaves undone is sent again at most twice, then shed: nobody's neighbours suffer
 *    for one bad command, and nothing loops.
 *
 * Neighbours: the shard core, which hands over ended batches and decides the commands that come
 * back undecided.
 */
import type { FreedUnits } from '../domain/product.ts';
import type { AbortCause, Committed, ExpiringOrder, StatusChange } from '../domain/batch.ts';
import { partitionOf, shardOf } from '../domain/ids.ts';
import type { OrderId, OwnerId, ProductId } from '../domain/ids.ts';
import type { OrderStatus } from '../domain/order.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { Answer, PlaceCommand } from '../domain/wire.ts';
import type {
  Decision,
  EditDecision,
  OrderDecision,
  StatusDecision,
  StockDecision,
} from './commit-queue.ts';
import type { WindowEntry } from './idempotency-window.ts';
import type { ShardState } from './shard-state.ts';
import type { WaitingRequest } from './waiting.ts';

/** The first time and two more. */
const SENDS_MAX = 3;
/**
 * Milliseconds for which an expiry rests that PostgreSQL denied: nobody waits for it, and every time
 * the rest of its batch is sent again for nothing.
 */
const DENIED_REST_MS = 60_000;

/** Why a decision is undone. */
export interface Undoing {
  readonly code: ShedCode;
  /** The product whose stock PostgreSQL denied. */
  readonly diverged: ProductId | null;
  /** When an expiry is tried again, milliseconds since the epoch. */
  readonly restUntil: number;
}

interface BatchEnd {
  readonly committed: Committed;
  /** Ids of it that were bound before; null = none. */
  readonly duplicates: ReadonlySet<string> | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export class Settlement {
  readonly #state: ShardState;

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** `now`: milliseconds since the epoch. */
  commit(no: number, committed: Committed, now: number): void {
    const duplicates = committed.duplicates.length > 0 ? new Set(committed.duplicates) : null;
    const end = { committed, duplicates, now };
    for (const decision of this.#state.commits.land(no)) {
      this.#state.commits.forget(decision);
      if (decision.kind === 'order') this.#commitOrder(decision, end);
      else if (decision.kind === 'stock-change') this.#commitStock(decision, end);
      else if (decision.kind === 'edit') this.#commitEdit(decision);
      else this.#commitStatus(decision, end);
    }
    this.#free(committed.freed);
  }

  /** `now`: milliseconds since the epoch. Commands that are overdue are not worth another try. */
  abort(no: number, cause: AbortCause, now: number): void {
    const { commits, limits } = this.#state;
    const overdueSince = now - limits.undecidedMsMax;
    const undoing = undoingOf(cause, now);
    const decisions = commits.land(no);
    const blamed = this.#blame(decisions, cause, undoing);
    const again: Decision[] = [];
    for (const decision of decisions) {
      const spent = decision.sends >= SENDS_MAX || arrivedAt(decision) <= overdueSince;
      if (blamed(decision)) this.undo(decision, undoing);
      else if (spent) this.undo(decision, { ...undoing, restUntil: now });
      else again.push(decision);
    }
    commits.sendAgain(again);
  }

  /** Nothing of the decision took effect: everything it took is given back. */
  undo(decision: Decision, { code, diverged, restUntil }: Undoing): void {
    const { commits, expiry, out } = this.#state;
    commits.forget(decision);
    this.#giveBack(decision, diverged);
    if (decision.kind === 'status-change') {
      if (isExpiring(decision.cause)) expiry.rest(decision.cause, restUntil);
      else out.shed(decision.cause, code);
    } else if (decision.kind === 'edit') {
      out.shed(decision.waiting, code);
      return;
    } else {
      for (const waiting of [decision.waiting, ...decision.repeats]) out.shed(waiting, code);
    }
    if (decision.kind !== 'stock-change') this.#decideAgain(decision.followers);
  }

  /** A product of which the window forgets an order is no longer covered by it. */
  remember(id: OrderId, entry: WindowEntry): void {
    for (const evicted of this.#state.window.add(id, entry)) {
      for (const line of evicted.lines) {
        const actor = this.#state.mailroom.actors.find(line.productId);
        if (actor !== undefined) actor.covered = false;
      }
    }
  }

  #commitOrder(decision: OrderDecision, { committed, duplicates, now }: BatchEnd): void {
    const { command, order } = decision.decided;
    if (command.cart !== null && committed.cartsChanged.includes(command.id)) {
      this.#giveBack(decision, null);
      this.#state.out.answer(decision.waiting, { n: command.n, type: 'cart-changed' });
      // They may have read the cart as it is now.
      this.#decideAgain([...decision.repeats, ...decision.followers]);
      return;
    }
    if (duplicates?.has(command.id) === true) {
      this.#giveBack(decision, null);
      // Whoever came with another key, or with none, may be told something else.
      const [same, others] = partition(decision.repeats, (repeat) => bindsAs(repeat, command));
      this.#lookUp([decision.waiting, ...same]);
      this.#decideAgain([...others, ...decision.followers]);
      return;
    }
    const { attempts, expiry, mailroom, refusals, tally } = this.#state;
    for (const line of decision.waiting.lines) {
      mailroom.actors.commitSale(line, now);
      tally.units += line.quantity;
    }
    tally.orders += 1;
    refusals.forget(command);
    attempts.settleHolds(decision.holds);
    const { expiresAt } = order;
    const lines = expiry.book.share(command.lines);
    expiry.add({ orderId: command.id, expiresAt, lines });
    if (command.keyed) {
      const entry = { requestHash: command.requestHash, lines: command.lines, order };
      this.remember(command.id, entry);
    }
    this.#answerAll(decision, (n, replayed) => ({ n, type: 'accepted', replayed, order }));
    this.#decideAgain(decision.followers);
  }

  #commitStock(decision: StockDecision, { committed, duplicates }: BatchEnd): void {
    const { id, productId, delta } = decision.change;
    if (duplicates?.has(id) === true) {
      this.#giveBack(decision, null);
      this.#lookUp([decision.waiting, ...decision.repeats]);
      return;
    }
    this.#state.mailroom.actors.settle(productId, Math.max(0, delta));
    const available = committed.stockAfter[id];
    if (available === undefined) throw new Error(`the merge reported no stock for change ${id}`);
    this.#answerAll(decision, (n, replayed) => ({ n, type: 'changed', replayed, available }));
  }

  #commitEdit({ waiting, version }: EditDecision): void {
    const { actors } = this.#state.mailroom;
    const { n, productId } = waiting.command;
    const mustLoad = actors.get(productId).commitEdit(version);
    actors.settle(productId, 0);
    if (mustLoad) actors.distrust(productId);
    this.#state.out.answer(waiting, { n, type: 'edited', version });
  }

  #commitStatus(decision: StatusDecision, { committed, duplicates }: BatchEnd): void {
    const { change, cause } = decision;
    if (change.key !== null && duplicates?.has(change.key.id) === true) {
      const { id } = change.key;
      const [same, others] = partition(decision.followers, ({ command }) => command.id === id);
      this.#lookUp(isExpiring(cause) ? same : [cause, ...same]);
      this.#decideAgain(others);
      return;
    }
    const status = committed.unchanged[change.orderId];
    const { expiry, tally } = this.#state;
    if (status !== 'WAITING_PAYMENT') expiry.book.remove(change.orderId);
    if (isExpiring(cause)) {
      expiry.settle();
      if (status === undefined) tally.lapsed += 1;
    } else {
      const { n } = cause.command;
      const changed: Answer = { n, type: 'status-changed', replayed: false };
      const isChanged = status === undefined || shippedInPart(change, status);
      this.#state.out.answer(cause, isChanged ? changed : kept(n, status));
    }
    const { orderId, to } = change;
    this.#answerFollowers(decision.followers, { orderId, status: status ?? to });
  }

  /**
   * The order has this status now. Whoever cannot change it is told so at once, a thousand of them
   * as well as one; a key may be bound to what it did before, or was used for another order.
   */
  #answerFollowers(
    followers: readonly WaitingRequest[],
    { orderId, status }: { readonly orderId: OrderId; readonly status: OrderStatus },
  ): void {
    const { mailroom, lookUps, out } = this.#state;
    for (const waiting of followers) {
      const { command } = waiting;
      const isSettled =
        command.kind === 'change-status' &&
        command.orderId === orderId &&
        !command.from.includes(status);
      if (!isSettled) this.#state.decideAgain(waiting);
      else if (command.keyed) {
        mailroom.takePlace(waiting);
        lookUps.add({ waiting, otherwise: kept(command.n, status) });
      } else out.answer(waiting, kept(command.n, status));
    }
  }

  /** Units that a status change freed are on sale with whoever owns the product. */
  #free(freed: readonly FreedUnits[]): void {
    if (freed.length === 0) return;
    const { identity, mailroom, attempts, out } = this.#state;
    const elsewhere = new Map<OwnerId, FreedUnits[]>();
    for (const units of freed) {
      const shard = shardOf(partitionOf(units.productId), identity.shards);
      if (shard === identity.shard) {
        mailroom.actors.free(units);
        continue;
      }
      // An owner that is not there yet will load the product with these units.
      const owner = attempts.peer(shard);
      if (owner === undefined) continue;
      const group = elsewhere.get(owner);
      if (group === undefined) elsewhere.set(owner, [units]);
      else group.push(units);
    }
    for (const [owner, group] of elsewhere) out.send(owner, { type: 'freed', freed: group });
  }

  /** Whose fault the abort is; a product whose stock PostgreSQL denied is loaded again. */
  #blame(
    decisions: readonly Decision[],
    cause: AbortCause,
    undoing: Undoing,
  ): (decision: Decision) => boolean {
    if (cause.type === 'passing') return () => false;
    if (cause.type === 'fenced') {
      return ({ others }) => others.some((other) => cause.owners.includes(other));
    }
    const { id } = cause;
    if (id === null) return () => true;
    const concerns = (decision: Decision): boolean => concernsId(decision, id);
    if (!decisions.some(concerns)) return () => true;
    const { commits, mailroom } = this.#state;
    mailroom.actors.distrust(id as ProductId);
    for (const decision of commits.takeOpen(concerns)) this.undo(decision, undoing);
    return concerns;
  }

  #giveBack(decision: Decision, diverged: ProductId | null): void {
    const { mailroom } = this.#state;
    const { actors } = mailroom;
    if (decision.kind === 'order') {
      const { userId } = decision.decided.command;
      for (const line of decision.waiting.lines) actors.giveBack(line, userId);
      this.#state.attempts.releaseHolds(decision.holds, diverged);
    } else if (decision.kind === 'stock-change') {
      actors.settle(decision.change.productId, Math.max(0, -decision.change.delta));
    } else if (decision.kind === 'edit') {
      const { productId } = decision.waiting.command;
      actors.get(productId).abortEdit();
      actors.settle(productId, 0);
      mailroom.joinRound(actors.get(productId));
    }
  }

  /** The id was bound before this batch: whoever asked gets what it is bound to. */
  #lookUp(requests: readonly WaitingRequest[]): void {
    for (const waiting of requests) {
      const otherwise: Answer = { n: waiting.command.n, type: 'key-reused' };
      this.#state.mailroom.takePlace(waiting);
      this.#state.lookUps.add({ waiting, otherwise });
    }
  }

  #decideAgain(requests: readonly WaitingRequest[]): void {
    for (const waiting of requests) this.#state.decideAgain(waiting);
  }

  #answerAll(
    decision: OrderDecision | StockDecision,
    answer: (n: number, replayed: boolean) => Answer,
  ): void {
    const { out } = this.#state;
    const first = decision.waiting.command;
    out.answer(decision.waiting, answer(first.n, false));
    for (const waiting of decision.repeats) {
      const { n, id, requestHash } = waiting.command;
      // An order may have the same lines and share only the key.
      const same = id === first.id && requestHash === first.requestHash;
      out.answer(waiting, same ? answer(n, true) : { n, type: 'key-reused' });
    }
  }
}

function undoingOf(cause: AbortCause, now: number): Undoing {
  if (cause.type === 'fenced') return { code: 'overloaded', diverged: null, restUntil: now };
  const code = 'database-unavailable';
  if (cause.type === 'passing') return { code, diverged: null, restUntil: now };
  return { code, diverged: cause.id as ProductId | null, restUntil: now + DENIED_REST_MS };
}

/** Milliseconds since the epoch; an expiry has no customer who waits for it. */
function arrivedAt(decision: Decision): number {
  if (decision.kind !== 'status-change') return decision.waiting.command.receivedAt;
  return isExpiring(decision.cause) ? Infinity : decision.cause.command.receivedAt;
}

function isExpiring(cause: StatusDecision['cause']): cause is ExpiringOrder {
  return 'expiresAt' in cause;
}

/** Lines of the order were shipped, and others are not yet. */
function shippedInPart({ detail, from }: StatusChange, status: OrderStatus): boolean {
  return detail?.kind === 'shipment' && from.includes(status);
}

/** The request would bind the same ids as the order. */
function bindsAs({ command }: WaitingRequest, { id, cart }: PlaceCommand): boolean {
  const key = command.kind === 'place' ? command.cart?.key?.id : undefined;
  return command.id === id && key === cart?.key?.id;
}

function kept(n: number, status: OrderStatus): Answer {
  return { n, type: 'status-kept', status };
}

function partition<T>(all: readonly T[], first: (item: T) => boolean): [T[], T[]] {
  return [all.filter(first), all.filter((item) => !first(item))];
}

function concernsId(decision: Decision, id: string): boolean {
  if (decision.kind === 'order') {
    const { command } = decision.decided;
    return command.id === id || command.lines.some(({ productId }) => productId === id);
  }
  if (decision.kind === 'stock-change') {
    return decision.change.id === id || decision.change.productId === id;
  }
  if (decision.kind === 'edit') return decision.waiting.command.productId === id;
  return decision.change.orderId === id || decision.change.key?.id === id;
}
