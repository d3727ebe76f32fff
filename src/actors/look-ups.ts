/**
 * Commands whose answer depends on what PostgreSQL holds under their id: keyed refusals that the
 * window cannot vouch for, and ids that the merge found bound already.
 *
 * A flood of refused requests must not cost a query each: one query is in flight, the rest wait
 * together for the next (I9: they still count as undecided).
 */
import type { StoredEffect } from '../domain/batch.ts';
import type { RefusalRecord } from '../domain/inspection.ts';
import type { Answer } from '../domain/wire.ts';
import type { WaitingRequest } from './waiting.ts';

export interface LookUp {
  readonly waiting: WaitingRequest;
  /** The answer when the id is not bound. */
  readonly otherwise: Answer;
  /** Of an order that is refused then. */
  readonly record?: RefusalRecord;
}

export class LookUps {
  #queued: LookUp[] = [];
  #inFlight: readonly LookUp[] = [];

  get empty(): boolean {
    return this.#queued.length === 0 && this.#inFlight.length === 0;
  }

  add(lookUp: LookUp): void {
    this.#queued.push(lookUp);
  }

  /** Ids to look up now, each once; null when there are none or a query is in flight. */
  start(idsMax: number): readonly string[] | null {
    if (this.#inFlight.length > 0 || this.#queued.length === 0) return null;
    this.#inFlight = this.#queued.splice(0, idsMax);
    return [...new Set(this.#inFlight.map(({ waiting }) => waiting.command.id))];
  }

  /** Ends the query in flight. */
  end(
    effects: readonly StoredEffect[],
  ): readonly { readonly lookUp: LookUp; readonly effect: StoredEffect | undefined }[] {
    const byId = new Map<string, StoredEffect>(effects.map((effect) => [effect.id, effect]));
    const ended = this.#inFlight;
    this.#inFlight = [];
    return ended.map((lookUp) => ({ lookUp, effect: byId.get(lookUp.waiting.command.id) }));
  }
}
