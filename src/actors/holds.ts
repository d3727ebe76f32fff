/**
 * Lines that this shard holds in memory for orders of other shards (the holder's side).
 *
 * A hold is named by the home shard's owner and its attempt. It ends by that owner's word, or with
 * the owner, when PostgreSQL has the last word. It never ends by a deadline, since its order may be
 * committed already (I1, I4).
 */
import type { OwnerId, ProductId } from '../domain/ids.ts';
import { reportsOn } from './decide-order.ts';
import type { ActorTable } from './actor-table.ts';
import type { Turn } from './mailroom.ts';
import type { Outbox } from './outbox.ts';
import type { Tally } from './tally.ts';
import type { HoldCommand, Waiting } from './waiting.ts';

interface Hold {
  readonly waiting: Waiting<HoldCommand>;
  taken: boolean;
}

export class Holds {
  readonly #actors: ActorTable;
  readonly #out: Outbox;
  readonly #tally: Tally;
  readonly #byHome = new Map<OwnerId, Map<number, Hold>>();

  constructor(actors: ActorTable, out: Outbox, tally: Tally) {
    this.#actors = actors;
    this.#out = out;
    this.#tally = tally;
  }

  /** Holds that are taken or wait in a mailbox. */
  get size(): number {
    let size = 0;
    for (const holds of this.#byHome.values()) size += holds.size;
    return size;
  }

  /** The hold stands in its mailboxes. */
  expect(waiting: Waiting<HoldCommand>): void {
    const { home, attempt } = waiting.command;
    let holds = this.#byHome.get(home);
    if (holds === undefined) this.#byHome.set(home, (holds = new Map<number, Hold>()));
    holds.set(attempt, { waiting, taken: false });
  }

  /** Its turn has come: takes all lines or none, and says what it could do. */
  decide(turn: Turn, { home, attempt, take, userId }: HoldCommand, now: number): void {
    const reports = reportsOn(turn.lines, userId, now);
    for (const { failure, productId } of reports) {
      if (failure !== null) this.#actors.find(productId)?.refuse(failure);
    }
    const takes = take && reports.every(({ failure }) => failure === null);
    const taken = takes
      ? turn.lines.map(({ line, actor }) => actor.take(line.quantity, userId))
      : null;
    const hold = this.#byHome.get(home)?.get(attempt);
    if (hold === undefined) throw new Error(`hold ${attempt} of owner ${home} was not expected`);
    if (takes) hold.taken = true;
    else this.#forget(home, attempt);
    this.#out.send(home, { type: 'held', attempt, reports, taken });
  }

  /** Its order is committed. `now`: milliseconds since the epoch. */
  settle(home: OwnerId, attempt: number, now: number): void {
    const hold = this.#byHome.get(home)?.get(attempt);
    if (hold === undefined) return;
    this.#forget(home, attempt);
    if (!hold.taken) return;
    for (const line of hold.waiting.lines) {
      this.#actors.commitSale(line, now);
      this.#tally.units += line.quantity;
    }
  }

  /**
   * Nothing of the order is committed, nor ever will be. Returns the wish if it still stands in the
   * mailboxes.
   */
  release(home: OwnerId, attempt: number, diverged: ProductId | null): Waiting | null {
    const hold = this.#byHome.get(home)?.get(attempt);
    if (hold === undefined) return null;
    if (hold.taken && diverged !== null) this.#actors.distrust(diverged);
    this.#end(hold, true);
    return hold.taken ? null : hold.waiting;
  }

  /**
   * The home owner is fenced, and every transaction of it is over: what it did with its holds is in
   * the committed stock, so their products are loaded again. Returns the wishes that still stand in
   * mailboxes.
   */
  abandon(home: OwnerId): readonly Waiting[] {
    const holds = [...(this.#byHome.get(home)?.values() ?? [])];
    this.#byHome.delete(home);
    const undecided: Waiting[] = [];
    for (const hold of holds) {
      if (hold.taken) {
        for (const { productId } of hold.waiting.lines) this.#actors.distrust(productId);
      } else undecided.push(hold.waiting);
      this.#end(hold, false);
    }
    return undecided;
  }

  #end({ waiting, taken }: Hold, giveBack: boolean): void {
    const { home, attempt, userId } = waiting.command;
    this.#forget(home, attempt);
    if (!taken) return;
    for (const line of waiting.lines) {
      if (giveBack) this.#actors.giveBack(line, userId);
      else this.#actors.settle(line.productId, 0);
    }
  }

  #forget(home: OwnerId, attempt: number): void {
    this.#byHome.get(home)?.delete(attempt);
  }
}
