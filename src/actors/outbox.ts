/** The effects of one step, in the order in which they came about; answers are counted on the way. */
import type { OwnerId } from '../domain/ids.ts';
import type { Refusal, ShedCode } from '../domain/outcome.ts';
import type { Answer, PeerMessage } from '../domain/wire.ts';
import type { Mailroom } from './mailroom.ts';
import type { Effect } from './shard-protocol.ts';
import { countUp } from './tally.ts';
import type { Tally } from './tally.ts';
import type { Waiting, WaitingRequest } from './waiting.ts';

export class Outbox {
  readonly #mailroom: Mailroom;
  readonly #tally: Tally;
  #effects: Effect[] = [];

  constructor(mailroom: Mailroom, tally: Tally) {
    this.#mailroom = mailroom;
    this.#tally = tally;
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
    if (answer.type === 'refused') this.#countRefusal(answer.refusal);
    else if (answer.type === 'accepted' && answer.replayed) this.#tally.replayed += 1;
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
      countUp(this.#tally.shed, code);
      this.push({ type: 'answer', to, answer: { n: command.n, type: 'shed', code } });
    }
  }

  /** Of the lines of other shards their holders say what they could not do. */
  #countRefusal({ code, items }: Refusal): void {
    countUp(this.#tally.refused, code);
    for (const { productId } of items) this.#mailroom.actors.find(productId)?.refuse(code);
  }
}
