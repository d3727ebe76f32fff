/**
 * Who asked for what, what came of it, and what ids stand for since then: an id is bound once, to a
 * request that nobody was told to have had no effect (I3, I8). Part of the model.
 */
import type { OrderId, OwnerId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { Answer, Command, PeerMessage } from '../../src/domain/wire.ts';
import { fail } from './fail.ts';

/** A request as the router sent it, and what became of it. */
export interface Request {
  readonly command: Command;
  readonly sentAt: number;
  /** It was sent again to another incarnation, so a shed proves nothing any more (I8). */
  resent: boolean;
  /** Told that it had no effect: refused, shed, or the key stands for something else. */
  closed: boolean;
}

interface Effect {
  readonly hash: string;
  /** What an answer must say. */
  readonly answer: string;
  readonly since: number;
}

export class RequestBook {
  readonly #requests = new Map<string, Request[]>();
  /** By bound id. */
  readonly #effects = new Map<string, Effect>();
  readonly #firstAnswers = new Set<string>();

  add(request: Request): void {
    const all = this.#requests.get(request.command.id) ?? [];
    all.push(request);
    this.#requests.set(request.command.id, all);
  }

  /** The answer reached the router. */
  deliver(request: Request, answer: Answer): void {
    const isNone =
      answer.type === 'refused' ||
      answer.type === 'insufficient-stock' ||
      answer.type === 'status-kept' ||
      answer.type === 'key-reused' ||
      answer.type === 'cart-changed' ||
      answer.type === 'version-differs' ||
      (answer.type === 'shed' && !request.resent);
    if (isNone) request.closed = true;
  }

  bind(id: string, effect: Effect): void {
    if (this.#effects.has(id)) fail('I3', `a second effect of ${id}`);
    this.#effects.set(id, effect);
  }

  /** What the id of the request stands for, if it is this very request. */
  effectOf({ id, requestHash }: Command): Effect | undefined {
    const effect = this.#effects.get(id);
    return effect?.hash === requestHash ? effect : undefined;
  }

  /** The id of the request, or the key that it came with, stands for something else. */
  isMisuse(command: Command): boolean {
    const effect = this.#effects.get(command.id);
    if (effect !== undefined && effect.hash !== command.requestHash) return true;
    const key = command.kind === 'place' ? command.cart?.key : null;
    const bound = key ? this.#effects.get(key.id) : undefined;
    return bound !== undefined && bound.hash !== key?.requestHash;
  }

  /** Somebody is told to be the one whose request took effect. */
  first(id: string): void {
    if (this.#firstAnswers.has(id)) fail('I3', `${id} was done twice`);
    this.#firstAnswers.add(id);
  }

  /** Somebody still waits for this, or was told that it is unknown. */
  open(id: string, hash: string): Command {
    const all = this.#requests.get(id) ?? [];
    const open = all.find(({ command, closed }) => !closed && command.requestHash === hash);
    if (open === undefined) return fail('I8', `${id} took effect after it was denied`);
    return open.command;
  }

  /** Somebody still waits for the order to become this. */
  isAsked(orderId: OrderId, to: OrderStatus): boolean {
    const open = [...this.#requests.values()].flat().filter(({ closed }) => !closed);
    return open.some(({ command }) => {
      return command.kind === 'change-status' && command.orderId === orderId && command.to === to;
    });
  }

  /** When the first request under this id was sent. */
  firstSentAt(id: string): number {
    return Math.min(...(this.#requests.get(id) ?? []).map(({ sentAt }) => sentAt));
  }
}

/** When owners took their lines of orders across shards: as they say to each other. */
export class TakingTimes {
  /** By home and attempt. */
  readonly #orders = new Map<string, OrderId>();
  readonly #times = new Map<string, number>();

  said(now: number, message: PeerMessage, ends: { readonly from: OwnerId; readonly to: OwnerId }) {
    const { from, to } = ends;
    if (message.type === 'hold') {
      const { attempt, orderId: order, take } = message;
      this.#orders.set(`${from}/${attempt}`, order);
      if (take) this.#times.set(nameOf({ home: from, order, owner: from }), now);
    } else if (message.type === 'held' && message.taken !== null) {
      const order = this.#orders.get(`${to}/${message.attempt}`);
      if (order === undefined) return fail('I4', 'lines are held for no order');
      this.#times.set(nameOf({ home: to, order, owner: from }), now);
    }
  }

  /** When `owner` took its lines of the order that `home` is about to commit. */
  find(taken: Taken): number {
    return this.#times.get(nameOf(taken)) ?? fail('I4', `nobody took lines for ${taken.order}`);
  }
}

interface Taken {
  readonly home: OwnerId;
  readonly order: OrderId;
  readonly owner: OwnerId;
}

function nameOf({ home, order, owner }: Taken): string {
  return `${home}/${order}/${owner}`;
}
