/**
 * Orders whose lines belong to several shards, on their home shard: the home owner takes its own
 * lines, asks the other owners to hold theirs, and commits the whole order alone (I4).
 *
 * An attempt is over before its order joins a batch, or it never does: it is given up while it waits
 * for the others (deadline, stop, an owner that was replaced) and then releases what it got. From
 * the batch on the order's end settles or releases the holds.
 */
import type { OwnerId, ProductId } from '../domain/ids.ts';
import { linesOfShard } from '../domain/ids.ts';
import type { LineReport, ShedCode } from '../domain/outcome.ts';
import type { AcceptedLine, PlaceCommand } from '../domain/wire.ts';
import type { ActorTable } from './actor-table.ts';
import { boundBy } from './commit-queue.ts';
import type { HoldName } from './commit-queue.ts';
import { reportsOn } from './decide-order.ts';
import type { Turn } from './mailroom.ts';
import type { Outbox } from './outbox.ts';
import { Queue } from './queue.ts';
import type { Waiting, WaitingRequest } from './waiting.ts';

/** An order that waits for other shards. */
export interface Attempt {
  readonly no: number;
  readonly waiting: Waiting<PlaceCommand>;
  /** Every one that was asked. */
  readonly holds: readonly HoldName[];
  readonly reports: Map<ProductId, LineReport>;
  readonly taken: Map<ProductId, AcceptedLine>;
  /** Owners that have not answered. */
  readonly awaited: Set<OwnerId>;
  /** Requests that bind an id of it. */
  repeats: WaitingRequest[];
}

export class Attempts {
  readonly #shards: number;
  readonly #actors: ActorTable;
  readonly #out: Outbox;
  /** By shard; this node's other shards as far as they are known. */
  readonly #peers = new Map<number, OwnerId>();
  /** Those of them whose thread is dead. */
  readonly #lost = new Set<OwnerId>();
  readonly #max: number;
  readonly #byNo = new Map<number, Attempt>();
  /** By the ids that its order binds. */
  readonly #byId = new Map<string, Attempt>();
  /** Answered by all. */
  readonly #ready = new Queue<Attempt>();
  #lastNo = 0;

  constructor(options: {
    readonly shards: number;
    /** Attempts at a time (I9). */
    readonly max: number;
    readonly actors: ActorTable;
    readonly out: Outbox;
  }) {
    this.#shards = options.shards;
    this.#max = options.max;
    this.#actors = options.actors;
    this.#out = options.out;
  }

  get size(): number {
    return this.#byNo.size;
  }

  /** The owner of another shard; undefined while there is none. */
  peer(shard: number): OwnerId | undefined {
    return this.#peers.get(shard);
  }

  /** Whether messages of this owner still count. */
  isPeer(owner: OwnerId): boolean {
    for (const peer of this.#peers.values()) if (peer === owner) return true;
    return false;
  }

  /** Returns the owner that served the shard before and is fenced now. */
  setPeer(shard: number, owner: OwnerId): OwnerId | undefined {
    const former = this.#peers.get(shard);
    this.#peers.set(shard, owner);
    if (former !== undefined) this.#lost.delete(former);
    return former;
  }

  /** The attempt under this id that is under way. */
  find(id: string): Attempt | undefined {
    return this.#byId.get(id);
  }

  /** The shard has no owner that answers; whatever waits for it is given up. */
  losePeer(shard: number): void {
    const owner = this.#peers.get(shard);
    if (owner === undefined) return;
    this.#lost.add(owner);
    this.shedWhere(({ awaited }) => awaited.has(owner), 'overloaded');
  }

  /**
   * Takes the lines of this shard and asks for the others; false when somebody is not there, or too
   * many attempts wait already: a slow shard must not take the places and the units of this one.
   */
  start(turn: Turn, waiting: Waiting<PlaceCommand>, now: number): boolean {
    if (this.#byNo.size >= this.#max) return false;
    const owners: [number, OwnerId][] = [];
    for (const shard of waiting.command.otherShards ?? []) {
      const owner = this.#peers.get(shard);
      if (owner === undefined || this.#lost.has(owner)) return false;
      owners.push([shard, owner]);
    }
    this.#lastNo += 1;
    const no = this.#lastNo;
    const { id: orderId, userId, receivedAt } = waiting.command;
    const reports = reportsOn(turn.lines, userId, now);
    const take = reports.every(({ failure }) => failure === null);
    const attempt: Attempt = {
      no,
      waiting,
      holds: owners.map(([, holder]) => ({ attempt: no, holder })),
      reports: new Map(reports.map((report) => [report.productId, report])),
      taken: new Map<ProductId, AcceptedLine>(),
      awaited: new Set(owners.map(([, owner]) => owner)),
      repeats: [],
    };
    if (take) {
      for (const { line, actor } of turn.lines) {
        attempt.taken.set(line.productId, actor.take(line.quantity, userId));
      }
    }
    this.#byNo.set(no, attempt);
    for (const id of boundBy(waiting.command)) this.#byId.set(id, attempt);
    for (const [shard, owner] of owners) {
      const lines = linesOfShard(waiting.command.lines, { shard, shards: this.#shards });
      const hold = { type: 'hold', attempt: no, orderId, userId, take, receivedAt, lines } as const;
      this.#out.send(owner, hold);
    }
    return true;
  }

  /** An owner's answer; `taken` in the order of `reports`. */
  held(
    from: OwnerId,
    answer: {
      readonly attempt: number;
      readonly reports: readonly LineReport[];
      readonly taken: readonly AcceptedLine[] | null;
    },
  ): void {
    const attempt = this.#byNo.get(answer.attempt);
    if (attempt === undefined || !attempt.awaited.delete(from)) return;
    for (const [i, report] of answer.reports.entries()) {
      attempt.reports.set(report.productId, report);
      const line = answer.taken?.[i];
      if (line !== undefined) attempt.taken.set(report.productId, line);
    }
    if (attempt.awaited.size === 0) this.#ready.push(attempt);
  }

  /** The next attempt that everybody answered; it is over, and its takes are the caller's. */
  takeReady(): Attempt | null {
    for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) {
      if (!this.#byNo.has(next.no)) continue;
      this.#forget(next);
      return next;
    }
    return null;
  }

  /** Gives one up: nothing was decided. */
  shed(no: number, code: ShedCode): void {
    const attempt = this.#byNo.get(no);
    if (attempt === undefined) return;
    this.#forget(attempt);
    this.release(attempt, null);
    for (const waiting of [attempt.waiting, ...attempt.repeats]) this.#out.shed(waiting, code);
  }

  /** Gives up every one to which it applies. */
  shedWhere(applies: (attempt: Attempt) => boolean, code: ShedCode): void {
    for (const attempt of this.#byNo.values()) {
      if (applies(attempt)) this.shed(attempt.no, code);
    }
  }

  /** Gives back what an attempt that is over has taken, here and elsewhere. */
  release({ holds, waiting, taken }: Attempt, diverged: ProductId | null): void {
    const { userId } = waiting.command;
    for (const line of waiting.lines) {
      if (taken.has(line.productId)) this.#actors.giveBack(line, userId);
    }
    this.releaseHolds(holds, diverged);
  }

  releaseHolds(holds: readonly HoldName[], diverged: ProductId | null): void {
    for (const { attempt, holder } of holds) {
      this.#out.send(holder, { type: 'release', attempt, diverged });
    }
  }

  settleHolds(holds: readonly HoldName[]): void {
    for (const { attempt, holder } of holds) this.#out.send(holder, { type: 'settle', attempt });
  }

  #forget(attempt: Attempt): void {
    this.#byNo.delete(attempt.no);
    for (const id of boundBy(attempt.waiting.command)) this.#byId.delete(id);
  }
}
