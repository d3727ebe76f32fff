/**
 * Runs a shard core on the real world: ports, PostgreSQL, the clock. One per shard thread.
 *
 * Owns: the thread's event loop, timers, the groups of answers and of messages to other shards. Does
 * not own: any decision.
 * Neighbours: routers send commands over ports, other shards messages, the database executes effects
 * and heals its sessions, and whoever awaits `ended` learns how it ended. A defect ends the shard:
 * the next owner recovers everything from the rows, and nobody was told anything that is not there
 * (I2).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import type { ShardCore } from '../actors/shard-core.ts';
import type { Effect, ShardEvent } from '../actors/shard-protocol.ts';
import type { Batch } from '../domain/batch.ts';
import { unreachable } from '../domain/errors.ts';
import type { OwnerId, PartitionId } from '../domain/ids.ts';
import type { BatchRecord } from '../domain/inspection.ts';
import type { Answer, PeerMessage, ToRouter, ToShard } from '../domain/wire.ts';
import { isPassing } from '../db/db-error.ts';
import type { CommitEnd } from '../db/batch-claim.ts';
import type { ShardDatabase } from '../db/shard-database.ts';
import { batchRecord } from './batch-record.ts';
import type { Control, Peer, Question, Report, ShardEnd } from './shard-task.ts';
import type { ThreadInspection } from './thread-inspection.ts';

/** Milliseconds between looks for overdue commands. */
const TICK_MS = 50;
/** Milliseconds between reads of the own fence; commits prove ownership too. */
const PROOF_MS = 300;
/** The same while there is no proof: PostgreSQL may be back at any moment. */
const PROOF_AGAIN_MS = 50;
/** Milliseconds before a read that must be answered is tried again. */
const READ_AGAIN_MS = 100;
/**
 * Milliseconds for which a shard that failed looks for a fence, and between two looks: whoever is
 * fenced must not be replaced, and a takeover terminates sessions before it sets the fence.
 */
const FENCE_WAIT_MS = 1000;
const FENCE_LOOK_MS = 50;

export interface ShardParts {
  readonly shard: number;
  readonly ownerId: OwnerId;
  readonly partitions: readonly PartitionId[];
  readonly core: ShardCore;
  readonly database: ShardDatabase;
  readonly inspection: Pick<ThreadInspection, 'answer'>;
  /** A defect in what is only looked at. */
  readonly onLookFailed: (error: unknown) => void;
  readonly routers: readonly MessagePort[];
  readonly control: MessagePort;
  readonly peers: readonly Peer[];
}

export class ShardRunner {
  /** Never rejects. */
  readonly ended: Promise<ShardEnd>;
  readonly #parts: ShardParts;
  readonly #answers: Answer[][];
  readonly #peers = new Map<OwnerId, Peer>();
  #messages = new Map<OwnerId, PeerMessage[]>();
  readonly #ticker: NodeJS.Timeout;
  /** Of tries that ended and that nobody was told of; a tick takes few. */
  #records: BatchRecord[] = [];
  #end: (end: ShardEnd) => void = () => undefined;
  /** Nothing is decided or answered any more. */
  #over = false;
  /** What the routers were told last. */
  #proven = true;

  constructor(parts: ShardParts) {
    this.#parts = parts;
    this.#answers = parts.routers.map(() => []);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#ticker = setInterval(() => {
      this.#handle({ type: 'tick' });
      this.#tellBatches();
    }, TICK_MS);
    void this.#keepProving();
    for (const peer of parts.peers) this.#meet(peer);
    parts.control.on('message', (message: Control) => {
      if (message.type === 'peer') this.#meet(message.peer);
      else if (message.type === 'inspect') this.#inspect(message);
      else this.#handle(message);
    });
    for (const [from, port] of parts.routers.entries()) {
      port.on('message', ({ commands }: ToShard) => {
        this.#handle({ type: 'commands', from, commands });
      });
      const ready: ToRouter = { type: 'ready' };
      port.postMessage(ready);
    }
  }

  /** Ends the shard; the end is `fenced` when a takeover is behind the error. */
  #fail(error: unknown): void {
    if (this.#over) return;
    this.#stop();
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
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
      this.#fail(error);
      return;
    }
    this.#post();
  }

  /** One message per receiver, whatever the step had to say. */
  #post(): void {
    for (let router = 0; router < this.#answers.length; router += 1) {
      const answers = this.#answers[router];
      if (answers === undefined || answers.length === 0) continue;
      this.#answers[router] = [];
      const message: ToRouter = { type: 'answers', answers };
      this.#parts.routers[router]?.postMessage(message);
    }
    if (this.#messages.size > 0) {
      const messages = this.#messages;
      this.#messages = new Map();
      // An owner that was replaced gets nothing more: PostgreSQL settles what it holds.
      for (const [owner, group] of messages) this.#peers.get(owner)?.port.postMessage(group);
    }
    const proven = this.#parts.core.isProven(Date.now());
    if (proven === this.#proven) return;
    this.#proven = proven;
    const message: ToRouter = { type: 'proven', proven };
    for (const router of this.#parts.routers) router.postMessage(message);
  }

  #execute(effect: Effect): void {
    switch (effect.type) {
      case 'answer':
        this.#answers[effect.to]?.push(effect.answer);
        return;
      case 'send':
        this.#sendLater(effect.to, effect.message);
        return;
      case 'commit':
        void this.#commit(effect.batch);
        return;
      case 'resolve':
        void this.#resolve(effect.no);
        return;
      case 'wake':
        setTimeout(() => this.#handle({ type: 'tick' }), Math.max(0, effect.at - Date.now()));
        return;
      case 'fenced':
        this.#fail(new Error('another owner has the products of this shard'));
        return;
      case 'stopped':
        this.#finish({ type: 'stopped' });
        return;
      default:
        this.#read(effect);
    }
  }

  #read(
    effect: Exclude<
      Effect,
      { type: 'answer' | 'send' | 'commit' | 'resolve' | 'wake' | 'fenced' | 'stopped' }
    >,
  ): void {
    const { database, partitions, ownerId: owner } = this.#parts;
    switch (effect.type) {
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
      case 'find-freed':
        void this.#feed(null, async () => ({
          type: 'freed-found',
          products: await database.freedBy(effect.by),
        }));
        return;
      case 'load-expiring': {
        const { after, max } = effect;
        void this.#feed(null, async () => ({
          type: 'expiring',
          ...(await database.expiring({ partitions, after, max })),
        }));
        return;
      }
      case 'expired-until':
        // The next one says more: nothing depends on this one.
        void database.moveWatermark({ owner, partitions, time: effect.time }).catch((error) => {
          if (!isPassing(error)) this.#fail(error);
        });
        return;
      default:
        unreachable(effect);
    }
  }

  #sendLater(to: OwnerId, message: PeerMessage): void {
    const group = this.#messages.get(to);
    if (group === undefined) this.#messages.set(to, [message]);
    else group.push(message);
  }

  #meet(peer: Peer): void {
    for (const [owner, { shard, port }] of this.#peers) {
      if (shard !== peer.shard) continue;
      port.close();
      this.#peers.delete(owner);
    }
    const { shard, ownerId, port } = peer;
    this.#peers.set(ownerId, peer);
    this.#handle({ type: 'peer', shard, ownerId });
    port.on('message', (messages: PeerMessage[]) => {
      this.#handle({ type: 'messages', from: ownerId, messages });
    });
  }

  /**
   * The event that a query gives goes into the core. When PostgreSQL cannot answer it is `failed`,
   * or with null the query is tried until it is answered.
   */
  async #feed(failed: ShardEvent | null, query: () => Promise<ShardEvent>): Promise<void> {
    while (!this.#over) {
      try {
        this.#handle(await query());
        return;
      } catch (error) {
        if (!isPassing(error)) {
          this.#fail(error);
          return;
        }
        if (failed !== null) {
          this.#handle(failed);
          return;
        }
        await delay(READ_AGAIN_MS);
      }
    }
  }

  async #commit(batch: Batch): Promise<void> {
    const { shard, database } = this.#parts;
    const sentAt = Date.now();
    const since = performance.now();
    try {
      const end = await database.commit(batch);
      const totalMs = performance.now() - since;
      // Its transaction found the owner not fenced.
      this.#settle(batch.no, end, sentAt);
      this.#records.push(batchRecord({ shard, batch, sentAt, totalMs, end }));
      if (this.#over) this.#tellBatches();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #resolve(no: number): Promise<void> {
    const { database, ownerId } = this.#parts;
    try {
      // It may have committed long ago, which proves nothing now.
      this.#settle(no, await database.resolve({ ownerId, no }), 0);
    } catch (error) {
      this.#fail(error);
    }
  }

  #settle(no: number, end: CommitEnd, provenAt: number): void {
    if (end.type !== 'committed') this.#handle({ ...end, no });
    else this.#handle({ type: 'committed', no, committed: end.committed, provenAt });
  }

  /** Nothing that is decided depends on it, so a look that fails ends nothing. */
  #inspect(question: Question): void {
    const { n } = question;
    try {
      this.#report({ type: 'inspected', n, reply: this.#parts.inspection.answer(question) });
    } catch (error) {
      this.#parts.onLookFailed(error);
      this.#report({ type: 'inspected', n, reply: undefined });
    }
  }

  /** Together: nobody waits for it, and a message for each of 600 batches a second wakes the other end. */
  #tellBatches(): void {
    if (this.#records.length === 0) return;
    this.#report({ type: 'batches', records: this.#records });
    this.#records = [];
  }

  #report(report: Report): void {
    this.#parts.control.postMessage(report);
  }

  async #keepProving(): Promise<void> {
    while (!this.#over) {
      const provenAt = Date.now();
      try {
        const by = await this.#parts.database.fence(this.#parts.ownerId);
        if (by !== null) this.#finish({ type: 'fenced', by });
        else this.#handle({ type: 'owned', provenAt });
      } catch (error) {
        // Without proof the core stops answering by itself.
        if (!isPassing(error)) this.#fail(error);
      }
      const proven = this.#parts.core.isProven(Date.now());
      await delay(proven ? PROOF_MS : PROOF_AGAIN_MS);
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
    clearInterval(this.#ticker);
    this.#tellBatches();
  }
}
