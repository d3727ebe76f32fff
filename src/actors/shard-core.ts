/**
 * The pure heart of a shard: `step(event, now) -> effects`. It decides commands in mailbox order,
 * groups accepted ones into batches, and answers when PostgreSQL has committed them.
 *
 * Owns: the order in which things happen. The pieces it drives: the mailroom (actors, admission, the
 * round), decisions, the commit queue (open batch, batches in flight), settlement (what becomes of an
 * ended batch), attempts and holds (orders across shards, from either side), expiry, look-ups.
 * Neighbours: `workers/` feeds it events and executes its effects; so do the tests' harnesses.
 *
 * I5 without a recent proof of ownership every command is shed, refusals included.
 * I7 one decision at a time, in the order of the mailroom.
 * I9 `mailboxMax`, `batchOrdersMax`, `commitsInFlightMax`, `actorsMax`, `expiringMax`.
 *
 * Invariant: no I/O, clock, timer, random number, node:* module or npm package in here.
 */
import { unreachable } from '../domain/errors.ts';
import { linesOfShard } from '../domain/ids.ts';
import type { OwnerId } from '../domain/ids.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { ProductState } from '../domain/product.ts';
import type { Command, PeerMessage } from '../domain/wire.ts';
import { NONE } from './commit-queue.ts';
import { Decisions } from './decisions.ts';
import type { IdempotencyWindow } from './idempotency-window.ts';
import { ShardInspection } from './inspection.ts';
import { Settlement } from './settlement.ts';
import type { Effect, ShardEvent, ShardIdentity, ShardLimits } from './shard-protocol.ts';
import { ShardState } from './shard-state.ts';
import type { HoldCommand, RouterIndex, Waiting } from './waiting.ts';

/**
 * Milliseconds after which an edit is shed whose turn does not come. Its product stands still behind
 * it, and two of them may wait for each other: each for a cart that waits behind the other one.
 */
const BARRED_MS_MAX = 1000;

export class ShardCore {
  /** What an operator sees of it; nothing here is decided by it. */
  readonly inspection: ShardInspection;
  readonly #state: ShardState;
  readonly #settlement: Settlement;
  readonly #decisions: Decisions;
  /** The last wake that was asked for. */
  #wakeAt = 0;
  #over = false;

  /** `window` holds what the takeover loaded. */
  constructor(identity: ShardIdentity, limits: ShardLimits, window: IdempotencyWindow) {
    this.#state = new ShardState(identity, limits, window);
    this.#settlement = new Settlement(this.#state);
    this.#decisions = new Decisions(this.#state, this.#settlement);
    this.inspection = new ShardInspection(this.#state);
  }

  /** Commands without a decision (I9). */
  get undecided(): number {
    return this.#state.mailroom.undecided;
  }

  /** Product actors in memory (I9). */
  get actors(): number {
    return this.#state.mailroom.actors.size;
  }

  /** Holds for orders of other shards. */
  get holds(): number {
    return this.#state.holds.size;
  }

  /** Whether it can prove that it owns its products; without that it sheds everything (I5). */
  isProven(now: number): boolean {
    return this.#state.isProven(now);
  }

  /** `now`: wall clock, milliseconds since the epoch. */
  step(event: ShardEvent, now: number): Effect[] {
    if (this.#over) return [];
    this.#take(event, now);
    if (!this.#over) {
      this.#decide(now);
      this.#send(now);
    }
    return this.#state.out.take();
  }

  #take(event: ShardEvent, now: number): void {
    switch (event.type) {
      case 'commands':
        for (const command of event.commands) this.#admitCommand(command, event.from, now);
        return;
      case 'messages':
        for (const message of event.messages) this.#hear(event.from, message, now);
        return;
      case 'peer':
        this.#meet(event.shard, event.ownerId, now);
        return;
      case 'peer-lost':
        this.#state.attempts.losePeer(event.shard);
        return;
      case 'loaded':
        this.#load(event.products);
        return;
      case 'looked-up':
        this.#decisions.endLookUp(event.effects, now);
        return;
      case 'load-failed':
        for (const waiting of this.#state.mailroom.takeLoading()) {
          this.#state.out.shed(waiting, 'database-unavailable');
        }
        return;
      case 'look-up-failed':
        for (const { lookUp } of this.#state.lookUps.end([])) {
          this.#state.out.shed(lookUp.waiting, 'database-unavailable');
        }
        return;
      case 'committed':
        this.#state.prove(event.provenAt, now);
        this.#settlement.commit(event.no, event.committed, now);
        return;
      case 'aborted':
        this.#abort(event, now);
        return;
      case 'unknown':
        this.#state.out.push({ type: 'resolve', no: event.no });
        return;
      case 'freed-found':
        for (const id of event.products) this.#state.mailroom.actors.distrust(id);
        return;
      case 'expiring':
        this.#state.expiry.endLoad(event.orders, event.complete);
        return;
      case 'owned':
        this.#state.prove(event.provenAt, now);
        return;
      case 'tick':
        this.#tick(now);
        return;
      case 'stop':
        this.#state.stopping = true;
        this.#state.attempts.shedWhere(() => true, 'shutting-down');
        this.#shedArrivedUntil(Infinity, 'shutting-down');
        return;
      default:
        unreachable(event);
    }
  }

  #admitCommand(command: Command, from: RouterIndex, now: number): void {
    const lines = this.#linesHere(command);
    this.#admit({ command, from, lines, done: false, holdsPlace: false }, now);
  }

  #linesHere(command: Command): Waiting['lines'] {
    if (command.kind === 'change-status') return NONE;
    // It stands in one mailbox and takes no units of its own.
    if (command.kind !== 'place') return [{ productId: command.productId, quantity: 0 }];
    if (command.otherShards === null) return command.lines;
    return linesOfShard(command.lines, this.#state.identity);
  }

  /** Whether the command has its place. */
  #admit(waiting: Waiting, now: number): boolean {
    if (this.#state.stopping) this.#state.out.shed(waiting, 'shutting-down');
    else if (!this.isProven(now)) this.#state.out.shed(waiting, 'database-unavailable');
    else if (this.#state.mailroom.admit(waiting)) return true;
    else this.#state.out.shed(waiting, 'overloaded');
    return false;
  }

  /** Decides whatever has its turn until there is nothing or the open batch is full. */
  #decide(now: number): void {
    this.#decisions.expire(now);
    while (!this.#state.commits.full) {
      const attempt = this.#state.attempts.takeReady();
      if (attempt !== null) {
        this.#decisions.endAttempt(attempt, now);
        continue;
      }
      const turn = this.#state.mailroom.next();
      if (turn === null) return;
      this.#decisions.decide(turn, now);
      this.#state.mailroom.endTurn(turn);
    }
  }

  #load(products: readonly ProductState[]): void {
    const loaded = this.#state.mailroom.actors.endLoad(
      products,
      (product) => product.sequence === 0 || this.#state.window.complete,
    );
    for (const actor of loaded) this.#state.mailroom.joinRound(actor);
  }

  #tick(now: number): void {
    const overdue = now - this.#state.limits.undecidedMsMax;
    this.#shedArrivedUntil(overdue, 'overloaded');
    for (const waiting of this.#state.mailroom.takeBarredUntil(now - BARRED_MS_MAX)) {
      this.#state.out.shed(waiting, 'overloaded');
    }
    this.#state.attempts.shedWhere(
      ({ waiting }) => waiting.command.receivedAt <= overdue,
      'overloaded',
    );
    this.#state.expiry.tick(now);
    const until = this.#state.expiry.watermark(now, () => this.#state.commits.earliestExpiry());
    if (until !== null) this.#state.out.push({ type: 'expired-until', time: until });
  }

  #abort(event: ShardEvent & { type: 'aborted' }, now: number): void {
    const { no, cause } = event;
    if (cause.type === 'fenced' && cause.owners.includes(this.#state.identity.ownerId)) {
      this.#over = true;
      this.#state.out.push({ type: 'fenced' });
      return;
    }
    this.#settlement.abort(no, cause, now);
  }

  /** Messages of an owner that was replaced do not count: it is fenced, and PostgreSQL decides. */
  #hear(from: OwnerId, message: PeerMessage, now: number): void {
    if (!this.#state.attempts.isPeer(from)) return;
    switch (message.type) {
      case 'hold': {
        const command: HoldCommand = { ...message, kind: 'hold', home: from };
        const { lines } = command;
        const waiting = { command, from: NO_ROUTER, lines, done: false, holdsPlace: false };
        if (this.#admit(waiting, now)) this.#state.holds.expect(waiting);
        return;
      }
      case 'held':
        this.#state.attempts.held(from, message);
        return;
      case 'hold-shed':
        this.#state.attempts.shed(message.attempt, message.code);
        return;
      case 'settle':
        this.#state.holds.settle(from, message.attempt, now);
        return;
      case 'release':
        this.#withdraw(this.#state.holds.release(from, message.attempt, message.diverged));
        return;
      case 'freed':
        for (const freed of message.freed) this.#state.mailroom.actors.free(freed);
        return;
      default:
        unreachable(message);
    }
  }

  #meet(shard: number, owner: OwnerId, now: number): void {
    const former = this.#state.attempts.setPeer(shard, owner);
    if (former === undefined) return;
    this.#state.attempts.shedWhere(
      ({ holds }) => holds.some(({ holder }) => holder === former),
      'overloaded',
    );
    for (const decision of this.#state.commits.takeOpen(({ others }) => others.includes(former))) {
      this.#settlement.undo(decision, { code: 'overloaded', diverged: null, restUntil: now });
    }
    for (const waiting of this.#state.holds.abandon(former)) this.#withdraw(waiting);
    // It may have died between a COMMIT that freed units and telling of it.
    this.#state.out.push({ type: 'find-freed', by: former });
  }

  /** Nobody wants an answer any more. */
  #withdraw(waiting: Waiting | null): void {
    if (waiting === null) return;
    this.#state.mailroom.takeOut(waiting);
    this.#state.mailroom.releasePlace(waiting);
  }

  #shedArrivedUntil(time: number, code: ShedCode): void {
    for (const waiting of this.#state.mailroom.takeArrivedUntil(time))
      this.#state.out.shed(waiting, code);
  }

  #send(now: number): void {
    for (;;) {
      const batch = this.#state.commits.flush(this.#state.stopping ? Infinity : now);
      if (batch === null) break;
      if (typeof batch === 'number') {
        if (batch !== this.#wakeAt) this.#state.out.push({ type: 'wake', at: batch });
        this.#wakeAt = batch;
        break;
      }
      this.#state.out.push({ type: 'commit', batch });
      this.#decide(now);
    }
    const toLoad = this.#state.mailroom.actors.startLoad(this.#state.limits.queryIdsMax);
    if (toLoad !== null) this.#state.out.push({ type: 'load', ids: toLoad });
    const toLookUp = this.#state.lookUps.start(this.#state.limits.queryIdsMax);
    if (toLookUp !== null) this.#state.out.push({ type: 'look-up', ids: toLookUp });
    const expiring = this.#state.stopping ? null : this.#state.expiry.startLoad();
    if (expiring !== null) this.#state.out.push({ type: 'load-expiring', ...expiring });
    if (this.#state.stopping && this.#state.commits.empty && this.#state.lookUps.empty) {
      this.#over = true;
      this.#state.out.push({ type: 'stopped' });
    }
  }
}

/** A hold's answer goes to a peer. */
const NO_ROUTER: RouterIndex = -1;
