/**
 * The cache in Redis, and the one connection to it.
 *
 * What Redis holds is believed only while this process is connected without a break. What was
 * written in between never came here, and a Redis that died may come back with what it saved long
 * ago; so all that the cache holds is dropped on each new connection, before it answers anything.
 * Within a connection commands are carried out in their order: a SET that timed out here is still
 * ahead of the GET that follows, and needs no care.
 *
 * I9: a command is waited for COMMAND_MS_MAX, a silent connection is given up after SILENCE_MS_MAX,
 * and while there is none every command ends at once; nothing is queued.
 */
import { Redis } from 'ioredis';
import type { Cache } from '../domain/cache.ts';

export interface RedisCacheOptions {
  /** May hold a password. */
  readonly url: string;
  /** Milliseconds from a reader's question to `add` with what PostgreSQL answered, at most. */
  readonly readMsMax: number;
  /** Told once each: why Redis cannot be used, and null when it can, also for the first time. */
  readonly onChange: (impediment: string | null) => void;
}

/** Milliseconds. A cache that takes longer is slower than what it caches. */
const COMMAND_MS_MAX = 100;
/** Milliseconds without a byte while an answer is due: a stopped process, a cut without a word. */
const SILENCE_MS_MAX = 500;
const CONNECT_MS_MAX = 1_000;
const RETRY_MS_MIN = 25;
const RETRY_MS_MAX = 1_500;
/** Spread over processes that all lost the same Redis. */
const RETRY_JITTER = 0.2;
/** A connection that lasted this long, milliseconds, was a good one: the next is tried at once. */
const STEADY_MS = 10_000;
const PREFIX = 'hedonify:cache:';
/** Keys that Redis looks at per step of the drop. */
const SCAN_COUNT = 1_000;

export class RedisCache implements Cache {
  /** For whoever counts in Redis (@fastify/rate-limit); its commands fail while Redis is away. */
  readonly client: Redis;
  readonly #readMsMax: number;
  readonly #onChange: RedisCacheOptions['onChange'];
  /** Of `performance.now`; null = not to be used. */
  #usableSince: number | null = null;
  #reported: 'nothing' | 'usable' | 'lost' = 'nothing';
  #reason: string | null = null;
  #connections = 0;
  #retries = 0;
  #isClosed = false;

  /** Connects in the background, now and whenever the connection is lost. */
  constructor(options: RedisCacheOptions) {
    this.#readMsMax = options.readMsMax;
    this.#onChange = options.onChange;
    this.client = new Redis(options.url, {
      connectionName: 'hedonify',
      commandTimeout: COMMAND_MS_MAX,
      socketTimeout: SILENCE_MS_MAX,
      connectTimeout: CONNECT_MS_MAX,
      enableOfflineQueue: false,
      // What was sent when the connection broke is answered with an error, not sent again.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => this.#lost(),
    });
    this.client.on('error', (error: unknown) => {
      this.#reason = reasonOf(error);
    });
    this.client.on('ready', () => void this.#open());
  }

  async get(key: string): Promise<string | undefined> {
    if (this.#usableSince === null) return undefined;
    const value = await this.#tolerate(this.client.get(PREFIX + key));
    return value ?? undefined;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    if (this.#usableSince === null) return;
    await this.#tolerate(this.client.set(PREFIX + key, value, 'PX', Math.ceil(ttlMs)));
  }

  async add(key: string, value: string, ttlMs: number): Promise<void> {
    if (this.#usableSince === null) return;
    // Whoever asked before the drop may have read before a write that is not in here any more.
    if (performance.now() - this.#usableSince < this.#readMsMax) return;
    await this.#tolerate(this.client.set(PREFIX + key, value, 'PX', Math.ceil(ttlMs), 'NX'));
  }

  /** Ends the connection for good; the cache then remembers nothing. */
  close(): void {
    this.#isClosed = true;
    this.#usableSince = null;
    this.client.disconnect();
  }

  /** Undefined instead of an error. */
  async #tolerate<T>(command: Promise<T>): Promise<T | undefined> {
    try {
      return await command;
    } catch (error) {
      // Denied, as when memory is full or this became a replica: an older value may still be there.
      if (isReply(error)) this.#distrust(error);
      return undefined;
    }
  }

  /** Begins again with a new connection, and with its drop. */
  #distrust(error: unknown): void {
    this.#reason = reasonOf(error);
    this.#usableSince = null;
    this.client.disconnect(true);
  }

  /** Milliseconds until the next attempt. */
  #lost(): number {
    const since = this.#usableSince;
    this.#usableSince = null;
    this.#connections += 1;
    this.#report(this.#reason ?? 'the connection was closed');
    this.#reason = null;
    const isFirst = since !== null && performance.now() - since >= STEADY_MS;
    this.#retries = isFirst ? 0 : this.#retries + 1;
    const delayMs = Math.min(RETRY_MS_MIN * 2 ** this.#retries, RETRY_MS_MAX);
    return Math.round(delayMs * (1 + RETRY_JITTER * Math.random()));
  }

  async #open(): Promise<void> {
    const connection = this.#connections;
    try {
      await this.#drop();
    } catch (error) {
      if (connection === this.#connections && !this.#isClosed) this.#distrust(error);
      return;
    }
    // Another one by now, whose drop is its own.
    if (connection !== this.#connections || this.#isClosed) return;
    this.#usableSince = performance.now();
    this.#report(null);
  }

  async #drop(): Promise<void> {
    let cursor = '0';
    do {
      const [next, keys] = await this.client.scan(
        cursor,
        'MATCH',
        `${PREFIX}*`,
        'COUNT',
        SCAN_COUNT,
      );
      if (keys.length > 0) await this.client.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
  }

  #report(impediment: string | null): void {
    const state = impediment === null ? 'usable' : 'lost';
    if (this.#reported === state || this.#isClosed) return;
    this.#reported = state;
    this.#onChange(impediment);
  }
}

/** Redis itself said it; ioredis exports the class as `any`. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Of an answer its code alone: the rest may repeat what was sent, the password included. */
function reasonOf(error: unknown): string {
  if (isReply(error)) return error.message.split(' ', 1)[0] ?? 'denied';
  return error instanceof Error ? error.message : 'unknown';
}
