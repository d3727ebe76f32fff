/**
 * The questions to one incarnation of a shard that wait for their replies. A question ends exactly
 * once: by its reply, by its time, or with the incarnation; a reply that comes later, or twice, finds
 * nobody.
 *
 * I9 at most `QUESTIONS_MAX` wait, none longer than `ASK_MS_MAX`.
 */
import type { Inspections } from '../domain/inspection.ts';
import type { Ask, Question } from './shard-task.ts';

/** Milliseconds after which a shard counts as silent. */
const ASK_MS_MAX = 1000;
/** Customers ask too, why they were refused. */
const QUESTIONS_MAX = 1000;

type Reply = Inspections[Ask]['reply'] | undefined;

interface Asked {
  readonly resolve: (reply: Reply) => void;
  readonly timer: NodeJS.Timeout;
}

export class ShardQuestions {
  readonly #post: <A extends Ask>(question: Question<A>) => void;
  readonly #asked = new Map<number, Asked>();
  #lastN = 0;
  #over = false;

  constructor(post: <A extends Ask>(question: Question<A>) => void) {
    this.#post = post;
  }

  /** Without a reply. */
  get waiting(): number {
    return this.#asked.size;
  }

  /** Undefined when the shard is silent, failed to look, or ends. Never rejects. */
  ask<A extends Ask>(
    ask: A,
    query: Inspections[A]['query'],
  ): Promise<Inspections[A]['reply'] | undefined> {
    if (this.#over || this.#asked.size >= QUESTIONS_MAX) return Promise.resolve(undefined);
    this.#lastN += 1;
    const n = this.#lastN;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.hear(n, undefined), ASK_MS_MAX).unref();
      // What comes under this number is the reply to this question: it is read here as that.
      const read = (reply: Reply): void => resolve(reply as Inspections[A]['reply'] | undefined);
      this.#asked.set(n, { resolve: read, timer });
      const question: Question<A> = { type: 'inspect', n, ask, query };
      this.#post(question);
    });
  }

  hear(n: number, reply: Reply): void {
    const asked = this.#asked.get(n);
    if (asked === undefined) return;
    this.#asked.delete(n);
    clearTimeout(asked.timer);
    asked.resolve(reply);
  }

  /** Nobody will reply any more. */
  close(): void {
    this.#over = true;
    for (const n of this.#asked.keys()) this.hear(n, undefined);
  }
}
