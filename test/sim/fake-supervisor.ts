/**
 * The supervisor as the shards see it: it starts them, introduces them to each other, and puts a new
 * owner where one died. Also the channels between them, which keep the order.
 */
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { PeerMessage } from '../../src/domain/wire.ts';
import type { FakeRouter } from './fake-router.ts';
import { Incarnation } from './incarnation.ts';
import type { ShardWorld } from './incarnation.ts';
import type { Model } from './model.ts';

const TAKEOVER_RETRY_MS = 30;

interface Post {
  readonly sentAt: number;
  /** When it arrives. */
  readonly at: number;
  readonly messages: PeerMessage[];
}

export class FakeSupervisor {
  /** By shard: who serves it, or did until it died. */
  readonly serving: Incarnation[] = [];
  readonly #world: ShardWorld;
  readonly #model: Model;
  readonly #router: FakeRouter;
  readonly #byOwner = new Map<OwnerId, Incarnation>();
  /** Shards that a successor is on its way for. */
  readonly #succeeding = new Set<number>();
  /** By sender and receiver: what was posted last. */
  readonly #posts = new Map<string, Post>();
  /** When it heard last of somebody new. */
  readonly #introducedAt = new Map<Incarnation, number>();

  constructor(parts: {
    readonly world: ShardWorld;
    readonly model: Model;
    readonly router: FakeRouter;
  }) {
    this.#world = parts.world;
    this.#model = parts.model;
    this.#router = parts.router;
    const { shards } = this.#world;
    for (let shard = 0; shard < shards; shard += 1) this.#start(shard, this.#takeOver(shard));
    for (const one of this.serving) this.#introduceTo(one);
    for (const one of this.serving) this.#router.connect(one);
  }

  /** Incarnations that were replaced. */
  get replaced(): number {
    return this.#byOwner.size - this.serving.length;
  }

  /** Everybody serves, and nothing is under way between them, to PostgreSQL or back. */
  get isQuiet(): boolean {
    const { now } = this.#world.clock;
    if (this.#succeeding.size > 0 || !this.serving.every(({ quiet }) => quiet)) return false;
    for (const { at } of this.#posts.values()) if (at >= now) return false;
    return true;
  }

  /**
   * Fences the former owner and starts another, as soon as PostgreSQL lets it: the answer to a
   * death, or somebody's takeover from an owner that lives and knows nothing of it.
   */
  replace(shard: number): void {
    if (this.#succeeding.has(shard)) return;
    this.#succeeding.add(shard);
    const { clock, dice } = this.#world;
    clock.after(dice.int(1, 200), () => this.#succeed(shard));
  }

  /**
   * What was sent arrives even when the sender has died since; the dead hear nothing. Messages of
   * one step arrive together.
   */
  send(from: OwnerId, to: OwnerId, message: PeerMessage): void {
    const { clock, dice } = this.#world;
    const receiver = this.#byOwner.get(to);
    if (receiver === undefined) throw new Error(`a message to owner ${to}, who never was`);
    const channel = `${from}>${to}`;
    const last = this.#posts.get(channel);
    if (last?.sentAt === clock.now) {
      last.messages.push(message);
      return;
    }
    const delay = dice.chance(0.1) ? dice.int(1, 200) : dice.int(1, 4);
    const at = Math.max(last?.at ?? 0, clock.now + delay);
    const messages = [message];
    this.#posts.set(channel, { sentAt: clock.now, at, messages });
    clock.at(at, () => receiver.handle({ type: 'messages', from, messages }));
  }

  #succeed(shard: number): void {
    const { clock, dice, limits, weather } = this.#world;
    if (weather.away) {
      clock.after(TAKEOVER_RETRY_MS, () => this.#succeed(shard));
      return;
    }
    const former = this.serving[shard];
    const ownerId = this.#takeOver(shard);
    if (dice.chance(0.5)) former?.cutOff();
    // Whoever lives on may refuse for as long as its last proof of ownership is fresh.
    const patience = former?.alive === true ? limits.proofAgeMsMax : 0;
    clock.after(patience + dice.int(1, 200), () => {
      if (former !== undefined) former.alive = false;
      this.#succeeding.delete(shard);
      const successor = this.#start(shard, ownerId);
      this.#introduceTo(successor);
      this.#introduce(successor);
      this.#router.connect(successor);
    });
  }

  #takeOver(shard: number): OwnerId {
    const ownerId = this.#world.postgres.takeOver(this.serving[shard]?.ownerId ?? null);
    this.#model.tookOver(shard, ownerId);
    return ownerId;
  }

  #start(shard: number, ownerId: OwnerId): Incarnation {
    const provenAt = this.#world.clock.now;
    const window = this.#loadWindow(shard);
    const started = new Incarnation(this.#world, { shard, ownerId, provenAt }, window);
    this.serving[shard] = started;
    this.#byOwner.set(ownerId, started);
    return started;
  }

  /** As much of what its predecessors sold as the memory has room for. */
  #loadWindow(shard: number): IdempotencyWindow {
    const { dice, postgres } = this.#world;
    const linesMax = dice.pick([4, 40, 4000]);
    const orders = postgres.homeOrders(shard);
    let lines = 0;
    const newest = orders.toReversed().filter(({ command }) => {
      lines += command.lines.length;
      return lines <= linesMax;
    });
    const complete = newest.length === orders.length;
    const window = new IdempotencyWindow({ linesMax, complete });
    for (const { command, order } of newest.toReversed()) {
      const { id, requestHash, lines: requested } = command;
      window.add(id, { requestHash, lines: requested, order });
    }
    return window;
  }

  /** Before it hears anything else. */
  #introduceTo(newcomer: Incarnation): void {
    for (const { shard, ownerId } of this.serving) {
      if (shard !== newcomer.shard) newcomer.handle({ type: 'peer', shard, ownerId });
    }
  }

  /** The others hear of it a little later, and get its messages only then. */
  #introduce({ shard, ownerId }: Incarnation): void {
    const { clock, dice } = this.#world;
    for (const other of this.serving) {
      if (other.shard === shard) continue;
      const at = Math.max(this.#introducedAt.get(other) ?? 0, clock.now + dice.int(0, 20));
      this.#introducedAt.set(other, at);
      this.#posts.set(`${ownerId}>${other.ownerId}`, { sentAt: 0, at, messages: [] });
      clock.at(at, () => other.handle({ type: 'peer', shard, ownerId }));
    }
  }
}
