/** The effects of one step, in the order in which they came about. */
import type { OwnerId } from '../domain/ids.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { Answer, PeerMessage } from '../domain/wire.ts';
import type { Mailroom } from './mailroom.ts';
import type { Effect } from './shard-protocol.ts';
import type { Waiting, WaitingRequest } from './waiting.ts';

export class Outbox {
  readonly #mailroom: Mailroom;
  #effects: Effect[] = [];

  constructor(mailroom: Mailroom) {
    this.#mailroom = mailroom;
  }

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** All effects since the last call. */
  take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  send(to: OwnerId, message: PeerMessage): void {
    this.#effects.push({ type: 'send', to, message });
  }

  answer(waiting: WaitingRequest, answer: Answer): void {
    this.#mailroom.releasePlace(waiting);
    this.#effects.push({ type: 'answer', to: waiting.from, answer });
  }

  /** Nothing was decided, or all of it was reverted. */
  shed(waiting: Waiting, code: ShedCode): void {
    waiting.done = true;
    this.#mailroom.releasePlace(waiting);
    const { command, from: to } = waiting;
    if (command.kind === 'hold') {
      this.send(command.home, { type: 'hold-shed', attempt: command.attempt, code });
    } else {
      this.push({ type: 'answer', to, answer: { n: command.n, type: 'shed', code } });
    }
  }
}
