/**
 * The requests of one router that have no final answer. Pure bookkeeping: it knows no port, timer
 * or clock.
 *
 * I8 one final answer: a request leaves `#waiting` exactly once, by an answer or by its deadline. A
 *    later answer finds nobody and settles what reading the order is told.
 * I3 a request whose shard died goes to the next owner as a keyed one: its id then finds whatever
 *    the dead one committed. Nothing that owner sheds is known not to have happened.
 */
import { boundBy } from '../actors/commit-queue.ts';
import { unreachable } from '../domain/errors.ts';
import type { OrderId, UserId } from '../domain/ids.ts';
import type { Answer, Command, PlaceCommand } from '../domain/wire.ts';
import { editOutcome, placeOutcome, statusOutcome, stockOutcome } from './answer-outcome.ts';
import type { PlaceWaiter, Waiter } from './waiter.ts';

interface Late {
  readonly shard: number;
  readonly command: PlaceCommand;
}

export class Requests {
  readonly #waiting = new Map<number, Waiter>();
  /** Orders answered `unknown` whose shard has not answered yet, by request and by the ids they bind. */
  readonly #late = new Map<number, Late>();
  readonly #unsettled = new Map<string, { readonly userId: UserId; requests: number }>();

  /** Without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Waiting, or answered `unknown` and not settled since (I9). */
  get open(): number {
    return this.#waiting.size + this.#late.size;
  }

  add(waiter: Waiter): void {
    this.#waiting.set(waiter.command.n, waiter);
  }

  /** `id`: of the order, or the one that the key of its checkout stands for. */
  unsettledCustomer(id: OrderId): UserId | undefined {
    return this.#unsettled.get(id)?.userId;
  }

  settle(answer: Answer): void {
    const waiter = this.#waiting.get(answer.n);
    if (waiter === undefined) {
      this.#settleLate(answer.n);
      return;
    }
    this.#waiting.delete(answer.n);
    if (waiter.moved && answer.type === 'shed') {
      answerUnknown(waiter);
      return;
    }
    switch (waiter.kind) {
      case 'place':
        waiter.resolve(placeOutcome(answer, waiter));
        return;
      case 'change-stock':
        waiter.resolve(stockOutcome(answer));
        return;
      case 'edit-product':
        waiter.resolve(editOutcome(answer));
        return;
      case 'change-status':
        waiter.resolve(statusOutcome(answer, waiter.command));
        return;
      default:
        unreachable(waiter);
    }
  }

  /**
   * Ends what was received at `time` or before (see `since`). A Map is in order of insertion and all
   * requests have the same time, so the overdue come first.
   */
  expire(time: number): void {
    for (const [n, waiter] of this.#waiting) {
      if (waiter.since > time) return;
      this.#waiting.delete(n);
      if (waiter.kind === 'place') this.#remember(waiter);
      answerUnknown(waiter);
    }
  }

  /**
   * The shard's owner is fenced and another one serves: nothing of the old one can commit any more.
   * Returns the commands to send to the new one.
   */
  move(shard: number): readonly Command[] {
    for (const [n, late] of this.#late) if (late.shard === shard) this.#settleLate(n);
    const moved: Command[] = [];
    for (const [n, waiter] of this.#waiting) {
      if (waiter.shard !== shard) continue;
      const { kind } = waiter;
      if ((kind === 'change-stock' && !waiter.command.keyed) || kind === 'edit-product') {
        // Nothing in PostgreSQL tells whether it took effect.
        this.#waiting.delete(n);
        answerUnknown(waiter);
      } else {
        waiter.moved = true;
        // Its id finds what was committed under it; a status change asks PostgreSQL anyway.
        const { command } = waiter;
        moved.push(command.kind === 'place' ? { ...command, keyed: true } : command);
      }
    }
    return moved;
  }

  #remember({ shard, command }: PlaceWaiter): void {
    this.#late.set(command.n, { shard, command });
    for (const id of boundBy(command)) {
      const unsettled = this.#unsettled.get(id);
      if (unsettled === undefined) this.#unsettled.set(id, { userId: command.userId, requests: 1 });
      else unsettled.requests += 1;
    }
  }

  /** Every late request for an order must have its answer: one may commit what another did not. */
  #settleLate(n: number): void {
    const late = this.#late.get(n);
    if (late === undefined) return;
    this.#late.delete(n);
    for (const id of boundBy(late.command)) {
      const unsettled = this.#unsettled.get(id);
      if (unsettled === undefined) continue;
      unsettled.requests -= 1;
      if (unsettled.requests === 0) this.#unsettled.delete(id);
    }
  }
}

function answerUnknown(waiter: Waiter): void {
  switch (waiter.kind) {
    case 'place':
      waiter.resolve({ type: 'unknown', orderId: waiter.command.id });
      return;
    case 'change-stock':
    case 'edit-product':
      waiter.resolve({ type: 'unknown', orderId: null });
      return;
    case 'change-status':
      waiter.resolve({ type: 'unknown', orderId: waiter.command.orderId });
      return;
    default:
      unreachable(waiter);
  }
}
