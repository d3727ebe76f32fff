/**
 * Deletes carts that nobody has changed for their time to live. It has no state: whatever it did not
 * get to is found by the next run, of this process or another one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CartSweep } from '../domain/cart.ts';

/** Carts per run, so that no run holds the locks of many rows. */
export const CARTS_PER_RUN_MAX = 1_000;
const EVERY_MS = 60_000;
/** After a run that did not get to all of them. */
const BACKLOG_MS = 1_000;

export interface CartExpiryDeps {
  readonly carts: CartSweep;
  /** A run failed; the next one comes all the same. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between two runs; a minute unless a test says otherwise. */
  readonly everyMs?: number;
}

export class CartExpiry {
  readonly #deps: CartExpiryDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: CartExpiryDeps) {
    this.#deps = deps;
  }

  /** Once, when the schema is there. */
  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when no run is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { carts, onError, everyMs = EVERY_MS } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let deleted = 0;
      try {
        deleted = await carts.deleteExpired(CARTS_PER_RUN_MAX);
      } catch (error) {
        onError(error);
      }
      const pauseMs = deleted < CARTS_PER_RUN_MAX ? everyMs : Math.min(everyMs, BACKLOG_MS);
      // It rejects when it is aborted, and only then.
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
