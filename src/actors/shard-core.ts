/**
 * The pure heart of a shard: `step(event, now) -> effects`. It decides commands in mailbox order,
 * groups accepted ones into batches, and answers when PostgreSQL has committed them.
 *
 * Owns: decisions and answers. The pieces it drives: the mailroom (actors, admission, the round),
 * the commit queue (open batch, batches in flight), the window, look-ups.
 * Neighbours: `workers/` feeds it events and executes its effects; so do the tests' harnesses.
 *
 * I1 takes count from the decision, gives count from the COMMIT.
 * I2 an accepted answer leaves only in `#settle`, which needs a committed batch.
 * I3 a decided id is pending, in the window, or found by look-up before any keyed refusal leaves.
 * I4 `refusalOf` sees all lines of an order, and they are taken in one step.
 * I5 without a recent proof of ownership every command is shed, refusals included.
 * I7 one decision at a time, in the order of the mailroom.
 * I9 `mailboxMax`, `batchOrdersMax`, `commitsInFlightMax`, `actorsMax`.
 *
 * Invariant: no I/O, clock, timer, random number, node:* module or npm package in here.
 */
import type { Committed, DecidedOrder, StoredEffect } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import { partitionOf } from '../domain/ids.ts';
import type { OrderId, PartitionId } from '../domain/ids.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { ProductState } from '../domain/product.ts';
import type { Answer, ChangeStockCommand, Command, PlaceCommand } from '../domain/wire.ts';
import { CommitQueue } from './commit-queue.ts';
import type { Decision } from './commit-queue.ts';
import { refusalOf } from './decide-order.ts';
import type { IdempotencyWindow, WindowEntry } from './idempotency-window.ts';
import { LookUps } from './look-ups.ts';
import { Mailroom } from './mailroom.ts';
import type { LineAt, Turn } from './mailroom.ts';
import type { Effect, ShardEvent, ShardIdentity, ShardLimits } from './shard-protocol.ts';
import type { RouterIndex, Waiting } from './waiting.ts';

export class ShardCore {
  readonly #limits: ShardLimits;
  readonly #window: IdempotencyWindow;
  readonly #mailroom: Mailroom;
  readonly #commits: CommitQueue;
  readonly #lookUps = new LookUps();
  #effects: Effect[] = [];
  #provenAt: number;
  /** The last wake that was asked for. */
  #wakeAt = 0;
  #stopping = false;
  #stopped = false;

  /** `window` holds what the takeover loaded. */
  constructor(identity: ShardIdentity, limits: ShardLimits, window: IdempotencyWindow) {
    this.#limits = limits;
    this.#window = window;
    this.#mailroom = new Mailroom(limits);
    this.#commits = new CommitQueue(identity.ownerId, limits);
    this.#provenAt = identity.provenAt;
  }

  /** Commands without a decision (I9). */
  get undecided(): number {
    return this.#mailroom.undecided;
  }

  /** Product actors in memory (I9). */
  get actors(): number {
    return this.#mailroom.actors.size;
  }

  /** `now`: wall clock, milliseconds since the epoch. */
  step(event: ShardEvent, now: number): Effect[] {
    this.#effects = [];
    switch (event.type) {
      case 'commands':
        for (const command of event.commands) this.#admit(command, event.from, now);
        break;
      case 'loaded':
        this.#load(event.products);
        break;
      case 'looked-up':
        this.#endLookUp(event.effects);
        break;
      case 'load-failed':
        this.#shedLoading();
        break;
      case 'look-up-failed':
        for (const { lookUp } of this.#lookUps.end([])) {
          this.#shed(lookUp.waiting, 'database-unavailable');
        }
        break;
      case 'committed':
        this.#prove(event.provenAt);
        this.#settle(event.no, event.committed);
        break;
      case 'owned':
        this.#prove(event.provenAt);
        break;
      case 'tick':
        this.#shedArrivedUntil(now - this.#limits.undecidedMsMax, 'overloaded');
        break;
      case 'stop':
        this.#stopping = true;
        this.#shedArrivedUntil(Infinity, 'shutting-down');
        break;
      default:
        unreachable(event);
    }
    this.#decide(now);
    this.#send(now);
    return this.#effects;
  }

  #admit(command: Command, from: RouterIndex, now: number): void {
    const waiting: Waiting = { command, from, done: false, holdsPlace: false };
    if (this.#stopping) this.#shed(waiting, 'shutting-down');
    else if (this.#unproven(now)) this.#shed(waiting, 'database-unavailable');
    else if (!this.#mailroom.admit(waiting)) this.#shed(waiting, 'overloaded');
  }

  /** Serves the mailboxes until they are empty or the open batch is full. */
  #decide(now: number): void {
    while (!this.#commits.full) {
      const turn = this.#mailroom.next();
      if (turn === null) return;
      const { command } = turn.waiting;
      if (this.#unproven(now)) this.#shed(turn.waiting, 'database-unavailable');
      else if (command.receivedAt <= now - this.#limits.undecidedMsMax) {
        this.#shed(turn.waiting, 'overloaded');
      } else if (command.kind === 'place') this.#decideOrder(turn, command, now);
      else this.#decideStockChange(turn, command, now);
      this.#mailroom.endTurn(turn);
    }
  }

  #decideOrder(turn: Turn, command: PlaceCommand, now: number): void {
    const { waiting, lines } = turn;
    if (command.keyed && this.#repeats(waiting)) return;
    const refusal = refusalOf(lines, now);
    if (refusal === null) {
      const decided = this.#accept(command, lines, now);
      this.#join({ kind: 'order', decided, waiting, repeats: null }, now);
      return;
    }
    const answer: Answer = { n: command.n, type: 'refused', refusal };
    const isNew = !command.keyed || lines.some(({ actor }) => actor.covered);
    if (isNew) this.#answer(waiting, answer);
    else this.#lookUps.add({ waiting, otherwise: answer });
  }

  /** Takes the units of all lines. */
  #accept(command: PlaceCommand, lines: readonly LineAt[], now: number): DecidedOrder {
    let total = 0;
    let currency = '';
    let homePartition: PartitionId | undefined;
    const accepted = lines.map(({ line, actor }) => {
      const product = actor.product;
      if (!product) throw new Error(`accepted a line of the unknown product ${line.productId}`);
      const partition = partitionOf(line.productId);
      if (homePartition === undefined || partition < homePartition) homePartition = partition;
      currency = product.price.currency;
      total += product.price.amount * line.quantity;
      const sequence = actor.take(line.quantity);
      return { name: product.name, unitPrice: product.price.amount, sequence };
    });
    if (homePartition === undefined) throw new Error(`order ${command.id} has no lines`);
    const expiresAt = now + this.#limits.holdTtlMs;
    const order = { currency, createdAt: now, expiresAt, lines: accepted };
    return { command, homePartition, total, order };
  }

  #decideStockChange(turn: Turn, command: ChangeStockCommand, now: number): void {
    const { waiting } = turn;
    const actor = this.#mailroom.actors.get(command.productId);
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
      if (command.keyed) this.#lookUps.add({ waiting, otherwise: refused });
      else this.#answer(waiting, refused);
      return;
    }
    // Removed units are gone now; added ones are on sale after the COMMIT.
    actor.available += Math.min(0, delta);
    actor.uncommitted += 1;
    this.#join({ kind: 'stock-change', change: command, waiting, repeats: null }, now);
  }

  #join(decision: Decision, now: number): void {
    this.#mailroom.releasePlace(decision.waiting);
    this.#commits.add(decision, now);
  }

  /** Whether the id was decided before; then the command is answered or waits for that answer. */
  #repeats(waiting: Waiting): boolean {
    const { command } = waiting;
    const pending = this.#commits.pending(command.id);
    if (pending !== undefined) {
      if (pending.repeats === null) pending.repeats = [waiting];
      else pending.repeats.push(waiting);
      return true;
    }
    if (command.kind !== 'place') return false;
    const entry = this.#window.get(command.id);
    if (entry === undefined) return false;
    const same = entry.requestHash === command.requestHash;
    this.#answer(
      waiting,
      same
        ? { n: command.n, type: 'accepted', replayed: true, order: entry.order }
        : { n: command.n, type: 'key-reused' },
    );
    return true;
  }

  #settle(no: number, committed: Committed): void {
    const duplicates = committed.duplicates.length > 0 ? new Set(committed.duplicates) : null;
    for (const decision of this.#commits.settle(no)) {
      const bound = duplicates?.has(decision.waiting.command.id) ?? false;
      if (bound) this.#revert(decision);
      else if (decision.kind === 'order') this.#settleOrder(decision);
      else this.#settleStockChange(decision, committed);
    }
  }

  #settleOrder(decision: Decision & { kind: 'order' }): void {
    const { command, order } = decision.decided;
    for (const line of command.lines) this.#mailroom.actors.get(line.productId).settle(0);
    if (command.keyed) {
      const entry = { requestHash: command.requestHash, lines: command.lines, order };
      this.#remember(command.id, entry);
    }
    this.#answerDecision(decision, (n, replayed) => ({ n, type: 'accepted', replayed, order }));
  }

  /** A product of which the window forgets an order is no longer covered by it. */
  #remember(id: OrderId, entry: WindowEntry): void {
    for (const evicted of this.#window.add(id, entry)) {
      for (const line of evicted.lines) {
        const actor = this.#mailroom.actors.find(line.productId);
        if (actor !== undefined) actor.covered = false;
      }
    }
  }

  #settleStockChange(decision: Decision & { kind: 'stock-change' }, committed: Committed): void {
    const { id, productId, delta } = decision.change;
    this.#mailroom.actors.get(productId).settle(Math.max(0, delta));
    const available = committed.stockAfter[id];
    if (available === undefined) throw new Error(`the merge reported no stock for change ${id}`);
    this.#answerDecision(decision, (n, replayed) => ({ n, type: 'changed', replayed, available }));
  }

  /** The id was bound before this batch: nothing of the decision took effect, the rest of it did. */
  #revert(decision: Decision): void {
    if (decision.kind === 'order') {
      for (const line of decision.decided.command.lines) {
        this.#mailroom.actors.get(line.productId).settle(line.quantity);
      }
    } else {
      const { productId, delta } = decision.change;
      this.#mailroom.actors.get(productId).settle(Math.max(0, -delta));
    }
    for (const waiting of [decision.waiting, ...(decision.repeats ?? [])]) {
      const otherwise: Answer = { n: waiting.command.n, type: 'key-reused' };
      this.#mailroom.takePlace(waiting);
      this.#lookUps.add({ waiting, otherwise });
    }
  }

  #answerDecision(decision: Decision, answer: (n: number, replayed: boolean) => Answer): void {
    const first = decision.waiting.command;
    this.#answer(decision.waiting, answer(first.n, false));
    for (const waiting of decision.repeats ?? []) {
      const { n, requestHash } = waiting.command;
      const same = requestHash === first.requestHash;
      this.#answer(waiting, same ? answer(n, true) : { n, type: 'key-reused' });
    }
  }

  #endLookUp(effects: readonly StoredEffect[]): void {
    // Old keys come back in groups of their own; from now on they cost neither units nor a query.
    for (const effect of effects) if (effect.kind === 'order') this.#remember(effect.id, effect);
    for (const { lookUp, effect } of this.#lookUps.end(effects)) {
      const { n, requestHash } = lookUp.waiting.command;
      if (effect === undefined) this.#answer(lookUp.waiting, lookUp.otherwise);
      else if (effect.requestHash !== requestHash) {
        this.#answer(lookUp.waiting, { n, type: 'key-reused' });
      } else if (effect.kind === 'order') {
        this.#answer(lookUp.waiting, { n, type: 'accepted', replayed: true, order: effect.order });
      } else {
        const available = effect.available;
        this.#answer(lookUp.waiting, { n, type: 'changed', replayed: true, available });
      }
    }
  }

  #load(products: readonly ProductState[]): void {
    const loaded = this.#mailroom.actors.endLoad(
      products,
      (product) => product.sequence === 0 || this.#window.complete,
    );
    for (const actor of loaded) this.#mailroom.joinRound(actor);
  }

  /** Whoever waits for these products is told to come again, and the next command loads anew. */
  #shedLoading(): void {
    for (const waiting of this.#mailroom.takeLoading()) {
      this.#shed(waiting, 'database-unavailable');
    }
  }

  #shedArrivedUntil(time: number, code: ShedCode): void {
    for (const waiting of this.#mailroom.takeArrivedUntil(time)) this.#shed(waiting, code);
  }

  #send(now: number): void {
    for (;;) {
      const batch = this.#commits.flush(this.#stopping ? Infinity : now);
      if (batch === null) break;
      if (typeof batch === 'number') {
        if (batch !== this.#wakeAt) this.#effects.push({ type: 'wake', at: batch });
        this.#wakeAt = batch;
        break;
      }
      this.#effects.push({ type: 'commit', batch });
      this.#decide(now);
    }
    const toLoad = this.#mailroom.actors.startLoad(this.#limits.queryIdsMax);
    if (toLoad !== null) this.#effects.push({ type: 'load', ids: toLoad });
    const toLookUp = this.#lookUps.start(this.#limits.queryIdsMax);
    if (toLookUp !== null) this.#effects.push({ type: 'look-up', ids: toLookUp });
    if (this.#stopping && !this.#stopped && this.#commits.empty && this.#lookUps.empty) {
      this.#stopped = true;
      this.#effects.push({ type: 'stopped' });
    }
  }

  /** A woken zombie must not even refuse: somebody else may own the product by now (I5). */
  #unproven(now: number): boolean {
    return now - this.#provenAt > this.#limits.proofAgeMsMax;
  }

  #prove(provenAt: number): void {
    if (provenAt > this.#provenAt) this.#provenAt = provenAt;
  }

  #shed(waiting: Waiting, code: ShedCode): void {
    waiting.done = true;
    this.#answer(waiting, { n: waiting.command.n, type: 'shed', code });
  }

  #answer(waiting: Waiting, answer: Answer): void {
    this.#mailroom.releasePlace(waiting);
    this.#effects.push({ type: 'answer', to: waiting.from, answer });
  }
}
