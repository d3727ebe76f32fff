/**
 * Customers who order one after the other, whatever happens to the server: for loads through a
 * failure, of which every single answer must be remembered. Not a measure of speed.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

/** After an answer other than 201, or none: as long as a browser would not even notice. */
const RETRY_MS = 10;
/** Answers that are remembered of one crowd; past it, nobody orders any more. */
const ACCEPTED_MAX = 1_000_000;

export interface CustomersOptions {
  /** Of the server. */
  readonly url: string;
  readonly tokens: readonly string[];
  /** JSON texts, of which each order is a random one. */
  readonly bodies: readonly string[];
  /** How many order at once. */
  readonly count: number;
  /** Milliseconds between an answer and the next order. */
  readonly pauseMs: number;
}

export class Customers {
  readonly #options: CustomersOptions;
  readonly #loops: readonly Promise<void>[];
  readonly #accepted: string[] = [];
  #stopped = false;
  #waiting: { readonly since: number; readonly heard: (at: number) => void } | null = null;

  constructor(options: CustomersOptions) {
    this.#options = options;
    this.#loops = Array.from({ length: options.count }, () => this.#order());
  }

  /** Ids of the orders that were answered with 201. */
  get accepted(): readonly string[] {
    return this.#accepted;
  }

  /** performance.now() at the next 201 to a request that is sent from now on. */
  async nextAccepted(): Promise<number> {
    return await new Promise((heard) => {
      this.#waiting = { since: performance.now(), heard };
    });
  }

  /** Resolves when the last answer is there. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #order(): Promise<void> {
    while (!this.#stopped && this.#accepted.length < ACCEPTED_MAX) {
      const sentAt = performance.now();
      const id = await this.#place().catch(() => undefined);
      if (id !== undefined) {
        this.#accepted.push(id);
        if (this.#waiting !== null && sentAt >= this.#waiting.since) {
          this.#waiting.heard(performance.now());
          this.#waiting = null;
        }
      }
      await delay(id === undefined ? RETRY_MS : this.#options.pauseMs);
    }
  }

  /** The id of the order; undefined when the server did not take it. */
  async #place(): Promise<string | undefined> {
    const { url, tokens, bodies } = this.#options;
    const response = await fetch(`${url}/orders`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${oneOf(tokens)}`,
        'idempotency-key': randomUUID(),
      },
      body: oneOf(bodies),
    });
    const answer = (await response.json()) as { readonly id?: string };
    return response.status === 201 ? answer.id : undefined;
  }
}

function oneOf(texts: readonly string[]): string {
  return texts[randomInt(texts.length)] ?? '';
}
