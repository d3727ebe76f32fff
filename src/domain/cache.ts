/**
 * A store that may forget: Redis, or this process. Nothing rests on it but speed, so it never
 * rejects: while it is away it remembers nothing.
 */
export interface Cache {
  get(key: string): Promise<string | undefined>;
  /** For whoever wrote what is cached: replaces what is there. `ttlMs`: milliseconds, above 0. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  /** For whoever only read it: what a writer put there meanwhile is newer, and stays. */
  add(key: string, value: string, ttlMs: number): Promise<void>;
}
