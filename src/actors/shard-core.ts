/**
 * The pure heart of a shard: `step(event, now) -> effects`. It decides commands in mailbox order,
 * groups accepted ones into batches, and answers when PostgreSQL has committed them.
 *
 * Owns: admission, the round over the mailboxes, decisions, answers. The pieces it drives: product
 * actors (stock, sequence), the commit queue (open batch, batches in flight), the window, look-ups.
 * Neighbours: `workers/` feeds it events and executes its effects; so does the simulator.
 *
 * I1 takes count from the decision, gives count from the COMMIT.
 * I2 an accepted answer leaves only in `#settle`, which needs a committed batch.
 * I3 a decided id is pending, in the window, or found by look-up before any keyed refusal leaves.
 * I4 `refusalOf` sees all lines of an order, and they are taken in one step.
 * I5 without a recent proof of ownership every command is shed, refusals included.
 * I7 one decision at a time, in mailbox order; an order over several products stands in each of
 *    their mailboxes and is decided when it heads them all. It joined them all in one step, so no
 *    two orders can wait for each other.
 * I9 `mailboxMax`, `batchOrdersMax`, `commitsInFlightMax`, `actorsMax`.
 *
 * Invariant: no I/O, clock, timer, random number, node:* module or npm package in here.
 */
import type { Committed, StoredEffect } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import type { ProductId } from '../domain/ids.ts';
import { partitionOf } from '../domain/ids.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { Answer, ChangeStockCommand, Command, PlaceCommand } from '../domain/wire.ts';
import { ActorTable } from './actor-table.ts';
import { CommitQueue } from './commit-queue.ts';
import type { Decision } from './commit-queue.ts';
import { refusalOf } from './decide-order.ts';
import type { OrderLineAt } from './decide-order.ts';
import type { IdempotencyWindow } from './idempotency-window.ts';
import { LookUps } from './look-ups.ts';
import type { ProductActor } from './product-actor.ts';
import { Queue } from './queue.ts';
import type { Effect, ShardEvent, ShardIdentity, ShardLimits } from './shard-protocol.ts';
import type { RouterIndex, Waiting } from './waiting.ts';

/** One place in ten is kept for commands other than new orders. */
const ORDER_PLACES_SHARE = 0.9;

export class ShardCore {
  readonly #limits: ShardLimits;
  readonly #window: IdempotencyWindow;
  readonly #actors: ActorTable;
  readonly #commits: CommitQueue;
  readonly #lookUps = new LookUps();
  /** Loaded actors with mail, each once, served round-robin: a hot product cannot starve others. */
  readonly #round = new Queue<ProductActor>();
  #effects: Effect[] = [];
  #undecided = 0;
  #provenAt: number;
  #stopping = false;
  #stopped = false;

  /** `window` holds what the takeover loaded. */
  constructor(identity: ShardIdentity, limits: ShardLimits, window: IdempotencyWindow) {
    this.#limits = limits;
    this.#window = window;
    this.#actors = new ActorTable(limits.actorsMax);
    this.#commits = new CommitQueue(identity.ownerId, limits);
    this.#provenAt = identity.provenAt;
  }

  /** Commands without a decision (I9). */
  get undecided(): number {
    return this.#undecided;
  }

  get actors(): number {
    return this.#actors.size;
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
      case 'committed':
        this.#prove(event.provenAt);
        this.#settle(event.no, event.committed);
        break;
      case 'owned':
        this.#prove(event.provenAt);
        break;
      case 'tick':
        this.#shedOverdue(now);
        break;
      case 'stop':
        this.#stopping = true;
        this.#shedAll('shutting-down');
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
    if (this.#stopping) return this.#shed(waiting, 'shutting-down');
    if (this.#unproven(now)) return this.#shed(waiting, 'database-unavailable');
    if (!this.#hasPlace(command)) return this.#shed(waiting, 'overloaded');
    waiting.holdsPlace = true;
    this.#undecided += 1;
    for (const id of productsOf(command)) {
      const actor = this.#actors.at(id);
      actor.mailbox.push(waiting);
      this.#joinRound(actor);
    }
  }

  /**
   * An order needs a place outside the tenth that is kept, and none of its products may hold more
   * than half of what is free: the hotter the shard, the less one product may take of it.
   */
  #hasPlace(command: Command): boolean {
    if (command.kind !== 'place') return this.#undecided < this.#limits.mailboxMax;
    const free = Math.floor(this.#limits.mailboxMax * ORDER_PLACES_SHARE) - this.#undecided;
    if (free <= 0) return false;
    for (const line of command.lines) {
      const depth = this.#actors.find(line.productId)?.mailbox.length ?? 0;
      if (depth > free / 2) return false;
    }
    return true;
  }

  #joinRound(actor: ProductActor): void {
    if (actor.inRound || actor.product === undefined || actor.mailbox.length === 0) return;
    actor.inRound = true;
    this.#round.push(actor);
  }

  #decide(now: number): void {
    while (!this.#commits.full) {
      const actor = this.#round.shift();
      if (actor === undefined) return;
      actor.inRound = false;
      this.#decideHead(actor, now);
    }
  }

  /** Serves one command of the actor, unless its head waits for other mailboxes. */
  #decideHead(actor: ProductActor, now: number): void {
    let head = actor.mailbox.peek();
    while (head?.done === true) {
      actor.mailbox.shift();
      head = actor.mailbox.peek();
    }
    if (head === undefined) return;
    const lines = this.#linesAtHead(head);
    if (lines === null) return;
    for (const at of lines) at.actor.mailbox.shift();
    head.done = true;
    if (this.#unproven(now)) {
      this.#shed(head, 'database-unavailable');
    } else if (now - head.command.receivedAt >= this.#limits.undecidedMsMax) {
      this.#shed(head, 'overloaded');
    } else if (head.command.kind === 'place') {
      this.#decideOrder({ waiting: head, command: head.command, lines }, now);
    } else {
      this.#decideStockChange({ waiting: head, command: head.command, actor }, now);
    }
    for (const at of lines) {
      this.#joinRound(at.actor);
      this.#actors.dropIfUnknown(at.actor);
    }
  }

  /** The command's lines with their actors, or null while it does not head all their mailboxes. */
  #linesAtHead(waiting: Waiting): readonly OrderLineAt[] | null {
    const command = waiting.command;
    const lines = command.kind === 'place' ? command.lines : [{ ...command, quantity: 0 }];
    const found: OrderLineAt[] = [];
    for (const line of lines) {
      const actor = this.#actors.find(line.productId);
      if (actor === undefined || actor.product === undefined) return null;
      let head = actor.mailbox.peek();
      while (head?.done === true) {
        actor.mailbox.shift();
        head = actor.mailbox.peek();
      }
      if (head !== waiting) return null;
      found.push({ line, actor });
    }
    return found;
  }

  #decideOrder(
    order: { waiting: Waiting; command: PlaceCommand; lines: readonly OrderLineAt[] },
    now: number,
  ): void {
    const { waiting, command, lines } = order;
    if (command.keyed && this.#repeats(waiting)) return;
    const refusal = refusalOf(lines, now);
    if (refusal !== null) {
      const answer: Answer = { n: command.n, type: 'refused', refusal };
      const isNew = !command.keyed || lines.some(({ actor }) => actor.covered);
      if (isNew) this.#answer(waiting, answer);
      else this.#lookUps.add({ waiting, otherwise: answer });
      return;
    }
    this.#accept(order, now);
  }

  /** Takes the units and lets the order join the open batch; the answer waits for the COMMIT. */
  #accept(
    order: { waiting: Waiting; command: PlaceCommand; lines: readonly OrderLineAt[] },
    now: number,
  ): void {
    let total = 0;
    let currency = '';
    let homePartition = partitionOf(order.command.lines[0]?.productId ?? ('' as ProductId));
    const lines = order.lines.map(({ line, actor }) => {
      const product = actor.product;
      if (!product) throw new Error(`accepted a line of the unknown product ${line.productId}`);
      currency = product.price.currency;
      total += product.price.amount * line.quantity;
      const partition = partitionOf(line.productId);
      if (partition < homePartition) homePartition = partition;
      const sequence = actor.take(line.quantity);
      return { name: product.name, unitPrice: product.price.amount, sequence };
    });
    const expiresAt = now + this.#limits.holdTtlMs;
    const decided = {
      command: order.command,
      homePartition,
      total,
      order: { currency, createdAt: now, expiresAt, lines },
    };
    this.#join({ kind: 'order', decided, waiting: order.waiting, repeats: null }, now);
  }

  #decideStockChange(
    change: { waiting: Waiting; command: ChangeStockCommand; actor: ProductActor },
    now: number,
  ): void {
    const { waiting, command, actor } = change;
    if (command.keyed && this.#repeats(waiting)) return;
    const n = command.n;
    let refused: Answer | null = null;
    if (!actor.product) {
      const items = [{ productId: command.productId, requested: command.delta }];
      refused = { n, type: 'refused', refusal: { type: 'refused', code: 'product-not-found', items } };
    } else if (actor.available + command.delta < 0) {
      refused = { n, type: 'insufficient-stock', available: actor.available };
    }
    if (refused !== null) {
      if (command.keyed) this.#lookUps.add({ waiting, otherwise: refused });
      else this.#answer(waiting, refused);
      return;
    }
    // Removed units are gone now; added ones are on sale after the COMMIT.
    actor.available += Math.min(0, command.delta);
    actor.uncommitted += 1;
    this.#join({ kind: 'stock-change', change: command, waiting, repeats: null }, now);
  }

  #join(decision: Decision, now: number): void {
    this.#releasePlace(decision.waiting);
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
    for (const line of command.lines) this.#actors.get(line.productId).settle(0);
    if (command.keyed) {
      const entry = { requestHash: command.requestHash, lines: command.lines, order };
      const evicted = this.#window.add(command.id, entry);
      for (const line of evicted?.lines ?? []) {
        const actor = this.#actors.find(line.productId);
        if (actor !== undefined) actor.covered = false;
      }
    }
    this.#answerDecision(decision, (n, replayed) => ({ n, type: 'accepted', replayed, order }));
  }

  #settleStockChange(decision: Decision & { kind: 'stock-change' }, committed: Committed): void {
    const { id, productId, delta } = decision.change;
    this.#actors.get(productId).settle(Math.max(0, delta));
    const available = committed.stockAfter[id];
    if (available === undefined) throw new Error(`the merge reported no stock for change ${id}`);
    this.#answerDecision(decision, (n, replayed) => ({ n, type: 'changed', replayed, available }));
  }

  /** The id was bound before this batch: nothing of the decision took effect, the rest of it did. */
  #revert(decision: Decision): void {
    if (decision.kind === 'order') {
      for (const line of decision.decided.command.lines) {
        this.#actors.get(line.productId).settle(line.quantity);
      }
    } else {
      const { productId, delta } = decision.change;
      this.#actors.get(productId).settle(Math.max(0, -delta));
    }
    for (const waiting of [decision.waiting, ...(decision.repeats ?? [])]) {
      const otherwise: Answer = { n: waiting.command.n, type: 'key-reused' };
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
    for (const { lookUp, effect } of this.#lookUps.end(effects)) {
      const { n, requestHash } = lookUp.waiting.command;
      if (effect === undefined) this.#answer(lookUp.waiting, lookUp.otherwise);
      else if (effect.requestHash !== requestHash) {
        this.#answer(lookUp.waiting, { n, type: 'key-reused' });
      } else if (effect.kind === 'order') {
        const order = effect.order;
        this.#answer(lookUp.waiting, { n, type: 'accepted', replayed: true, order });
      } else {
        const available = effect.available;
        this.#answer(lookUp.waiting, { n, type: 'changed', replayed: true, available });
      }
    }
  }

  #load(products: Parameters<ActorTable['endLoad']>[0]): void {
    const loaded = this.#actors.endLoad(
      products,
      (product) => product.sequence === 0 || this.#window.complete,
    );
    for (const actor of loaded) this.#joinRound(actor);
  }

  /** A product's mailbox is in order of arrival, so whatever is overdue stands in front. */
  #shedOverdue(now: number): void {
    if (this.#undecided === 0) return;
    for (const actor of this.#actors.all()) {
      let head = actor.mailbox.peek();
      while (
        head !== undefined &&
        (head.done || now - head.command.receivedAt >= this.#limits.undecidedMsMax)
      ) {
        actor.mailbox.shift();
        if (!head.done) this.#shed(head, 'overloaded');
        head = actor.mailbox.peek();
      }
      this.#joinRound(actor);
    }
  }

  #shedAll(code: ShedCode): void {
    for (const actor of this.#actors.all()) {
      for (let head = actor.mailbox.shift(); head !== undefined; head = actor.mailbox.shift()) {
        if (!head.done) this.#shed(head, code);
      }
    }
  }

  #send(now: number): void {
    for (;;) {
      const batch = this.#commits.flush(this.#stopping ? Infinity : now);
      if (batch === null) break;
      if (typeof batch === 'number') {
        this.#effects.push({ type: 'wake', at: batch });
        break;
      }
      this.#effects.push({ type: 'commit', batch });
      this.#decide(now);
    }
    const toLoad = this.#actors.startLoad(this.#limits.queryIdsMax);
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
    this.#releasePlace(waiting);
    this.#effects.push({ type: 'answer', to: waiting.from, answer });
  }

  #releasePlace(waiting: Waiting): void {
    if (!waiting.holdsPlace) return;
    waiting.holdsPlace = false;
    this.#undecided -= 1;
  }
}

function productsOf(command: Command): readonly ProductId[] {
  return command.kind === 'place'
    ? command.lines.map((line) => line.productId)
    : [command.productId];
}
