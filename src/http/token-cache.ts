import type { Identity } from '../domain/user.ts';

/** What was proved by a token. */
export interface VerifiedToken {
  readonly identity: Identity;
  /** Milliseconds since the epoch; whoever finds a token here still has to look at it. */
  readonly expiresAt: number;
}

/**
 * Tokens that were verified already. Verifying each anew costs 40 % of what an echo can do, a look
 * here about 10 %. Invalid tokens are not kept: a flood of them would evict the good ones.
 *
 * Two generations: what is found in the old one moves to the young one, and a young one that is
 * full becomes the old one, whose rest is dropped whole. So a token in use stays, whatever else
 * passes by. One Map that evicts its first key was refused: with a few customers more than places
 * every look misses, and finding the first key walks over all that were deleted before it.
 */
export class TokenCache {
  #young = new Map<string, VerifiedToken>();
  #old = new Map<string, VerifiedToken>();
  readonly #generationMax: number;

  /** @param tokensMax - Bound of the cache, an even number. */
  constructor(tokensMax: number) {
    this.#generationMax = tokensMax / 2;
  }

  /** Entries held; a token that moved to the young generation counts twice until the next swap. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Undefined when the token is unknown. */
  find(token: string): VerifiedToken | undefined {
    const young = this.#young.get(token);
    if (young !== undefined) return young;
    const old = this.#old.get(token);
    if (old !== undefined) this.add(token, old);
    return old;
  }

  /** The caller has verified the token. */
  add(token: string, verified: VerifiedToken): void {
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(token, verified);
  }
}
