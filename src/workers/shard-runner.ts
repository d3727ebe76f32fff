/**
 * Runs a shard core on the real world: ports, PostgreSQL, the clock. One per shard thread.
 *
 * Owns: the thread's event loop, timers, the groups of answers. Does not own: any decision.
 * Neighbours: routers send commands over ports, the database executes effects, and whoever awaits
 * `ended` learns how it ended. Whatever goes wrong with PostgreSQL ends the shard: a restart
 * recovers everything from the rows, and nobody was told anything that is not there (I2).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import type { ShardCore } from '../actors/shard-core.ts';
import type { Effect, ShardEvent } from '../actors/shard-protocol.ts';
import type { Batch } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import type { OwnerId } from '../domain/ids.ts';
import type { Answer, ToRouter, ToShard } from '../domain/wire.ts';
import { isPassing } from '../db/db-error.ts';
import type { ShardDatabase } from '../db/shard-database.ts';
import type { ShardEnd } from './shard-task.ts';

/** Milliseconds between looks for overdue commands. */
const TICK_MS = 50;
/** Milliseconds between reads of the own fence; commits prove ownership too. */
const PROOF_MS = 300;
/**
 * Milliseconds for which a shard that failed looks for a fence, and between two looks. A takeover
 * terminates sessions that hold it up before it sets the fence, so the cause of a lost session may
 * appear a moment later; and whoever is fenced must not be restarted to fence back.
 */
const FENCE_WAIT_MS = 1000;
const FENCE_LOOK_MS = 50;

export interface ShardParts {
  readonly ownerId: OwnerId;
  readonly core: ShardCore;
  readonly database: ShardDatabase;
  readonly ports: readonly MessagePort[];
  /** Milliseconds after which a statement that is still unanswered never will be. */
  readonly silenceMsMax: number;
}

export class ShardRunner {
  /** Never rejects. */
  readonly ended: Promise<ShardEnd>;
  readonly #parts: ShardParts;
  readonly #answers: Answer[][];
  readonly #timers: readonly NodeJS.Timeout[];
  #end: (end: ShardEnd) => void = () => undefined;
  /** Nothing is decided or answered any more. */
  #over = false;
  #proving = false;

  constructor(parts: ShardParts) {
    this.#parts = parts;
    this.#answers = parts.ports.map(() => []);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#timers = [
      setInterval(() => this.#handle({ type: 'tick' }), TICK_MS),
      setInterval(() => void this.#prove(), PROOF_MS),
    ];
    for (const [from, port] of parts.ports.entries()) {
      port.on('message', (message: ToShard) => {
        if (message.type === 'stop') this.#handle({ type: 'stop' });
        else this.#handle({ type: 'commands', from, commands: message.commands });
      });
      const ready: ToRouter = { type: 'ready', ownerId: parts.ownerId };
      port.postMessage(ready);
    }
  }

  /** Ends the shard; the end is `fenced` when a takeover is behind the error. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#stop();
    const reason = error instanceof Error ? error.message : String(error);
    const silence = delay(2 * FENCE_WAIT_MS, null);
    void Promise.race([this.#findFence(), silence]).then((by) => {
      this.#end(by === null ? { type: 'failed', reason } : { type: 'fenced', by });
    });
  }

  #handle(event: ShardEvent): void {
    if (this.#over) return;
    try {
      for (const effect of this.#parts.core.step(event, Date.now())) this.#execute(effect);
    } catch (error) {
      this.fail(error);
      return;
    }
    for (let router = 0; router < this.#answers.length; router += 1) {
      const answers = this.#answers[router];
      if (answers === undefined || answers.length === 0) continue;
      this.#answers[router] = [];
      const message: ToRouter = { type: 'answers', answers };
      this.#parts.ports[router]?.postMessage(message);
    }
  }

  #execute(effect: Effect): void {
    const { database } = this.#parts;
    switch (effect.type) {
      case 'answer':
        this.#answers[effect.to]?.push(effect.answer);
        return;
      case 'commit':
        void this.#commit(effect.batch);
        return;
      case 'load':
        void this.#feed({ type: 'load-failed' }, async () => ({
          type: 'loaded',
          products: await database.products(effect.ids),
        }));
        return;
      case 'look-up':
        void this.#feed({ type: 'look-up-failed' }, async () => ({
          type: 'looked-up',
          effects: await database.effects(effect.ids),
        }));
        return;
      case 'wake':
        setTimeout(() => this.#handle({ type: 'tick' }), Math.max(0, effect.at - Date.now()));
        return;
      case 'stopped':
        this.#finish({ type: 'stopped' });
        return;
      default:
        unreachable(effect);
    }
  }

  /** The event that a query gives goes into the core, or `failed` where the session goes on. */
  async #feed(failed: ShardEvent, query: () => Promise<ShardEvent>): Promise<void> {
    try {
      this.#handle(await this.#heard(query()));
    } catch (error) {
      if (isPassing(error)) this.#handle(failed);
      else this.fail(error);
    }
  }

  async #commit(batch: Batch): Promise<void> {
    const provenAt = Date.now();
    try {
      const committed = await this.#heard(this.#parts.database.commit(batch));
      this.#handle({ type: 'committed', no: batch.no, committed, provenAt });
    } catch (error) {
      this.fail(error);
    }
  }

  async #prove(): Promise<void> {
    if (this.#proving || this.#over) return;
    this.#proving = true;
    const provenAt = Date.now();
    try {
      const by = await this.#heard(this.#parts.database.fence(this.#parts.ownerId));
      if (by === null) this.#handle({ type: 'owned', provenAt });
      else this.#finish({ type: 'fenced', by });
    } catch (error) {
      // Without proof the core stops answering by itself.
      if (!isPassing(error)) this.fail(error);
    } finally {
      this.#proving = false;
    }
  }

  /** A connection that was silently cut never answers: the shard ends instead of waiting for it. */
  async #heard<T>(answer: Promise<T>): Promise<T> {
    const { silenceMsMax } = this.#parts;
    const timer = setTimeout(() => {
      this.fail(new Error(`PostgreSQL has not answered for ${silenceMsMax} ms`));
    }, silenceMsMax);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Who fenced this owner, looked for as long as PostgreSQL answers and for a second at most. */
  async #findFence(): Promise<string | null> {
    const { database, ownerId } = this.#parts;
    const deadline = performance.now() + FENCE_WAIT_MS;
    try {
      while (performance.now() < deadline) {
        const by = await database.fence(ownerId);
        if (by !== null) return by;
        await delay(FENCE_LOOK_MS);
      }
    } catch {
      // PostgreSQL cannot say, so the first error stands.
    }
    return null;
  }

  #finish(end: ShardEnd): void {
    if (this.#over) return;
    this.#stop();
    this.#end(end);
  }

  #stop(): void {
    this.#over = true;
    for (const timer of this.#timers) clearInterval(timer);
  }
}
