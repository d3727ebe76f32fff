/**
 * The mailboxes of one shard: admission up to a bound, and the round in which they are served.
 *
 * Owns: the actors, who stands in the round, the places of undecided commands. Does not own: what is
 * decided. Neighbours: the shard core asks for the next command and says when a place is free.
 *
 * I7: a command over several products stands in each of their mailboxes and is served when it heads
 *     them all. It joined them all in one step, so no two commands can wait for each other.
 * I9: `mailboxMax` places; one product never takes more than half of what is free.
 */
import type { RequestedLine } from '../domain/order.ts';
import { ActorTable } from './actor-table.ts';
import type { ProductActor } from './product-actor.ts';
import { Queue } from './queue.ts';
import type { ShardLimits } from './shard-protocol.ts';
import type { Waiting } from './waiting.ts';

/** One place in ten is kept for commands other than new orders and edits. */
const ORDER_PLACES_SHARE = 0.9;
/** Edits that may take one of those, as long as there are no more of them in the shard. */
const EDITS_KEPT_MAX = 16;

export interface LineAt {
  readonly line: RequestedLine;
  readonly actor: ProductActor;
}

/** A command whose turn it is, with the actors that decide it. */
export interface Turn {
  readonly waiting: Waiting;
  readonly lines: readonly LineAt[];
}

export class Mailroom {
  readonly actors: ActorTable;
  readonly #placesMax: number;
  /** Loaded actors with mail, each once: a hot product cannot starve the others. */
  readonly #round = new Queue<ProductActor>();
  /** Commands that concern no product here: they wait only for room in the batch. */
  #unboxed = new Queue<Waiting>();
  /** Actors headed by an edit whose turn has not come. */
  readonly #barred = new Set<ProductActor>();
  #undecided = 0;
  /** Those of them that edit a product. */
  #edits = 0;

  constructor(limits: ShardLimits) {
    this.actors = new ActorTable(limits.actorsMax);
    this.#placesMax = limits.mailboxMax;
  }

  /** How many commands may hold a place. */
  get placesMax(): number {
    return this.#placesMax;
  }

  /** Commands that hold a place. */
  get undecided(): number {
    return this.#undecided;
  }

  /** When the oldest command in a mailbox came, milliseconds since the epoch. */
  oldestArrival(): number | null {
    if (this.#undecided === 0) return null;
    let oldest = Infinity;
    for (const { oldestArrival } of this.actors.all()) {
      oldest = Math.min(oldest, oldestArrival ?? Infinity);
    }
    for (const { done, command } of this.#unboxed) {
      if (!done) oldest = Math.min(oldest, command.receivedAt);
    }
    return oldest === Infinity ? null : oldest;
  }

  /** Gives the command a place in each of its mailboxes; false when there is none. */
  admit(waiting: Waiting): boolean {
    if (!this.#hasPlace(waiting)) return false;
    this.takePlace(waiting);
    this.#enqueue(waiting);
    return true;
  }

  /** A command that was taken out undecided goes to the end of its mailboxes, with its place. */
  admitAgain(waiting: Waiting): void {
    this.takePlace(waiting);
    waiting.done = false;
    this.#enqueue(waiting);
  }

  #enqueue(waiting: Waiting): void {
    if (waiting.lines.length === 0) this.#unboxed.push(waiting);
    for (const { productId } of waiting.lines) {
      const actor = this.actors.at(productId);
      actor.mailbox.push(waiting);
      this.joinRound(actor);
    }
  }

  /** Also for a command that comes back from its batch undecided: there may then be too many. */
  takePlace(waiting: Waiting): void {
    if (waiting.holdsPlace) return;
    waiting.holdsPlace = true;
    this.#undecided += 1;
    if (waiting.command.kind === 'edit-product') this.#edits += 1;
  }

  /** The command is answered, or safe in the open batch. */
  releasePlace(waiting: Waiting): void {
    if (!waiting.holdsPlace) return;
    waiting.holdsPlace = false;
    this.#undecided -= 1;
    if (waiting.command.kind === 'edit-product') this.#edits -= 1;
  }

  /** Takes the next command whose turn it is out of its mailboxes; null when there is none. */
  next(): Turn | null {
    for (let next = this.#unboxed.shift(); next !== undefined; next = this.#unboxed.shift()) {
      if (next.done) continue;
      next.done = true;
      return { waiting: next, lines: [] };
    }
    if (this.#barred.size > 0) this.#rejoinBarred();
    for (let actor = this.#round.shift(); actor !== undefined; actor = this.#round.shift()) {
      actor.inRound = false;
      const waiting = headOf(actor);
      const lines = waiting === undefined ? null : this.#linesAtHead(waiting);
      if (waiting === undefined || lines === null) continue;
      for (const at of lines) at.actor.mailbox.shift();
      waiting.done = true;
      return { waiting, lines };
    }
    return null;
  }

  /** The turn's command was served: its actors go to the end of the round. */
  endTurn(turn: Turn): void {
    for (const { actor } of turn.lines) {
      this.joinRound(actor);
      this.actors.dropIfUnknown(actor);
    }
  }

  #rejoinBarred(): void {
    for (const actor of this.#barred) {
      if (isBarred(actor, headOf(actor))) continue;
      this.#barred.delete(actor);
      this.joinRound(actor);
    }
  }

  joinRound(actor: ProductActor): void {
    if (actor.inRound || !actor.decides || actor.mailbox.length === 0) return;
    actor.inRound = true;
    this.#round.push(actor);
  }

  /**
   * Takes out every command that arrived at `time` or before (milliseconds since the epoch). A
   * mailbox is in order of arrival but for the few that came back, so the overdue ones stand in front.
   */
  *takeArrivedUntil(time: number): Generator<Waiting> {
    if (this.#undecided === 0) return;
    for (const actor of this.actors.all()) {
      let head = headOf(actor);
      for (; head !== undefined && head.command.receivedAt <= time; head = headOf(actor)) {
        yield this.takeOut(head);
      }
    }
    let unboxed = this.#unboxed.peek();
    while (unboxed !== undefined && unboxed.command.receivedAt <= time) {
      this.#unboxed.shift();
      if (!unboxed.done) yield this.takeOut(unboxed);
      unboxed = this.#unboxed.peek();
    }
  }

  /**
   * Takes out every edit that arrived at `time` or before, whose turn has not come, and that its
   * whole product waits for.
   */
  *takeBarredUntil(time: number): Generator<Waiting> {
    for (const actor of this.#barred) {
      const head = headOf(actor);
      if (head === undefined || !isBarred(actor, head) || head.command.receivedAt > time) continue;
      yield this.takeOut(head);
    }
  }

  /** Takes out every command that waits for the load under way, which failed. */
  *takeLoading(): Generator<Waiting> {
    for (const actor of this.actors.failLoad()) {
      for (let head = headOf(actor); head !== undefined; head = headOf(actor)) {
        actor.mailbox.shift();
        yield this.takeOut(head);
      }
    }
  }

  /** The command may have stood in front of others, in the mailboxes of all its products. */
  takeOut(waiting: Waiting): Waiting {
    waiting.done = true;
    for (const { productId } of waiting.lines) {
      const actor = this.actors.find(productId);
      if (actor === undefined) continue;
      headOf(actor);
      this.joinRound(actor);
      this.actors.dropIfUnknown(actor);
    }
    return waiting;
  }

  /**
   * An order needs a place outside the tenth that is kept, and none of its products may hold more
   * than half of what is free: the fuller the shard, the less one product may take of it. So does an
   * edit, which waits for those before it, each with a COMMIT of its own; but a few of them are let
   * into the tenth, since a pause is wanted most in the rush that takes all other places.
   */
  #hasPlace({ command, lines }: Waiting): boolean {
    const few = command.kind === 'edit-product' && this.#edits < EDITS_KEPT_MAX;
    const kept = few || (command.kind !== 'place' && command.kind !== 'edit-product');
    if (kept) return this.#undecided < this.#placesMax;
    const depthMax = this.orderDepthMax;
    if (depthMax < 0) return false;
    return lines.every(({ productId }) => {
      const depth = this.actors.find(productId)?.mailbox.length ?? 0;
      return depth <= depthMax;
    });
  }

  /** A mailbox that is deeper takes no more orders at the moment; -1: none does. */
  get orderDepthMax(): number {
    const free = Math.floor(this.#placesMax * ORDER_PLACES_SHARE) - this.#undecided;
    return free > 0 ? Math.floor(free / 2) : -1;
  }

  /** The command's lines with their actors, or null while it does not head all their mailboxes. */
  #linesAtHead(waiting: Waiting): readonly LineAt[] | null {
    const found: LineAt[] = [];
    for (const line of waiting.lines) {
      const actor = this.actors.find(line.productId);
      if (actor?.decides !== true || headOf(actor) !== waiting) return null;
      if (isBarred(actor, waiting)) {
        this.#barred.add(actor);
        return null;
      }
      found.push({ line, actor });
    }
    return found;
  }
}

function isBarred(actor: ProductActor, head: Waiting | undefined): boolean {
  return head?.command.kind === 'edit-product' && !actor.canEdit(head.command.changes);
}

/** The first command that is still to be served; those that another mailbox served are dropped. */
function headOf(actor: ProductActor): Waiting | undefined {
  let head = actor.mailbox.peek();
  while (head?.done === true) {
    actor.mailbox.shift();
    head = actor.mailbox.peek();
  }
  return head;
}
