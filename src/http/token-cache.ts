import type { Identity } from '../domain/user.ts';

interface Entry {
  readonly identity: Identity;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * Tokens that were verified already. Verifying each anew costs 40 % of what an echo can do, a look
 * here about 10 %. Invalid tokens are not kept: a flood of them would evict the good ones.
 */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();
  readonly #tokensMax: number;

  /** @param tokensMax - Bound of the cache; the oldest entry leaves first. */
  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax;
  }

  /** Tokens held. */
  get size(): number {
    return this.#entries.size;
  }

  /** The identity, or undefined when the token is unknown or expired at `now` (milliseconds). */
  find(token: string, now: number): Identity | undefined {
    const entry = this.#entries.get(token);
    if (entry === undefined) return undefined;
    if (now < entry.expiresAt) return entry.identity;
    this.#entries.delete(token);
    return undefined;
  }

  add(token: string, entry: Entry): void {
    if (this.#entries.size >= this.#tokensMax) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(token, entry);
  }
}
