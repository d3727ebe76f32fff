/** One shard thread from its start to its death: a core, its sessions, and its ways to the others. */
import { ShardCore } from '../../src/actors/shard-core.ts';
import type { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import type { ShardInspection } from '../../src/actors/inspection.ts';
import type { Effect, ShardEvent, ShardLimits } from '../../src/actors/shard-protocol.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { Answer, PeerMessage } from '../../src/domain/wire.ts';
import { FakeSessions } from './fake-sessions.ts';
import type { World } from './fake-sessions.ts';

/** As the real runner looks at the clock and at its fence. */
const TICK_MS = 50;
const PROOF_MS = 300;
/** The first time and two more. */
const SENDS_MAX = 3;

export interface ShardWorld extends World {
  readonly limits: ShardLimits;
  readonly shards: number;
  trace(this: void, line: string): void;
  /** After every event. */
  look(this: void, inspection: ShardInspection): void;
  answer(from: OwnerId, answer: Answer): void;
  send(from: OwnerId, to: OwnerId, message: PeerMessage): void;
  /** It died, or learned that it is fenced. */
  ended(shard: number): void;
}

export class Incarnation {
  readonly shard: number;
  readonly ownerId: OwnerId;
  alive = true;
  stopped = false;
  readonly #world: ShardWorld;
  readonly #core: ShardCore;
  readonly #sessions: FakeSessions;
  readonly #inFlight = new Set<number>();
  /** By request: the batches that it was in. */
  readonly #sends = new Map<number, number>();
  /** Reads without an answer: the core has one of each kind under way. */
  readonly #asked = new Set<string>();
  /** `find-freed` without an answer. */
  #finding = 0;

  constructor(
    world: ShardWorld,
    identity: { readonly shard: number; readonly ownerId: OwnerId; readonly provenAt: number },
    window: IdempotencyWindow,
  ) {
    this.#world = world;
    this.shard = identity.shard;
    this.ownerId = identity.ownerId;
    this.#core = new ShardCore({ ...identity, shards: world.shards }, world.limits, window);
    this.#sessions = new FakeSessions(world, identity, (event) => this.handle(event));
    this.#every(TICK_MS, () => this.handle({ type: 'tick' }));
    this.#every(PROOF_MS, () => this.#sessions.prove(() => this.#end()));
  }

  /** Nothing is undecided, held for others or on its way to PostgreSQL. */
  get idle(): boolean {
    return this.#core.undecided + this.#core.holds + this.#inFlight.size === 0;
  }

  /** Neither does it wait for an answer to anything that it asked. */
  get quiet(): boolean {
    return this.idle && this.#asked.size + this.#finding === 0;
  }

  get inspection(): ShardInspection {
    return this.#core.inspection;
  }

  /** From now on PostgreSQL never answers, without a word why. */
  cutOff(): void {
    this.#sessions.isCut = true;
  }

  /** The dead hear nothing. */
  handle(event: ShardEvent): void {
    if (!this.alive) return;
    const { clock, dice, trace, weather } = this.#world;
    trace(`${clock.now} #${this.ownerId} ${JSON.stringify(event)}`);
    this.#heard(event);
    for (const effect of this.#core.step(event, clock.now)) {
      if (dice.chance(weather.deadliness)) this.#end();
      if (!this.alive) return;
      trace(`    ${JSON.stringify(effect)}`);
      this.#execute(effect);
    }
    this.#world.look(this.#core.inspection);
    const { mailboxMax, batchOrdersMax, commitsInFlightMax } = this.#world.limits;
    // Whatever comes back undecided from the open batch and those in flight stands in no mailbox.
    const undecidedMax = mailboxMax + batchOrdersMax * (commitsInFlightMax + 1);
    if (this.#core.undecided > undecidedMax) throw new Error('I9: too many undecided commands');
    const isFenced = event.type === 'aborted' && event.cause.type === 'fenced';
    if (isFenced && event.cause.owners.includes(this.ownerId) && this.alive) {
      throw new Error('I5: goes on although it is fenced');
    }
  }

  #execute(effect: Effect): void {
    switch (effect.type) {
      case 'answer':
        this.#world.answer(this.ownerId, effect.answer);
        return;
      case 'send':
        this.#world.witness.said(this.ownerId, effect.to, effect.message);
        this.#world.send(this.ownerId, effect.to, effect.message);
        return;
      case 'wake':
        this.#world.clock.at(effect.at, () => this.handle({ type: 'tick' }));
        return;
      case 'fenced':
        this.#end();
        return;
      case 'stopped':
        if (this.stopped) throw new Error('I8: stopped twice');
        this.stopped = true;
        return;
      case 'commit':
        this.#checkBatch(effect.batch);
        break;
      case 'load':
      case 'look-up':
      case 'load-expiring':
        if (this.#asked.has(effect.type)) throw new Error(`I9: two of ${effect.type} at once`);
        this.#asked.add(effect.type);
        break;
      case 'find-freed':
        this.#finding += 1;
        break;
      case 'resolve':
      case 'expired-until':
        break;
    }
    this.#sessions.execute(effect);
  }

  #checkBatch({ no, orders, stockChanges, statusChanges, edits }: Batch): void {
    const { batchOrdersMax, commitsInFlightMax } = this.#world.limits;
    const size = orders.length + stockChanges.length + statusChanges.length + edits.length;
    if (size === 0 || size > batchOrdersMax) throw new Error(`I9: a batch of ${size}`);
    this.#inFlight.add(no);
    if (this.#inFlight.size > commitsInFlightMax) throw new Error('I9: too many batches in flight');
    const commands = [...orders.map(({ command }) => command), ...stockChanges, ...edits];
    for (const { n } of commands) {
      const sends = (this.#sends.get(n) ?? 0) + 1;
      this.#sends.set(n, sends);
      if (sends > SENDS_MAX) throw new Error(`I9: request ${n} is sent again and again`);
    }
  }

  #heard(event: ShardEvent): void {
    if (event.type === 'committed' || event.type === 'aborted') this.#inFlight.delete(event.no);
    else if (event.type === 'loaded' || event.type === 'load-failed') this.#asked.delete('load');
    else if (event.type === 'expiring') this.#asked.delete('load-expiring');
    else if (event.type === 'freed-found') this.#finding -= 1;
    else if (event.type === 'looked-up' || event.type === 'look-up-failed') {
      this.#asked.delete('look-up');
    }
  }

  #end(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#world.ended(this.shard);
  }

  #every(ms: number, run: () => void): void {
    this.#world.clock.after(ms, () => {
      if (!this.alive) return;
      run();
      this.#every(ms, run);
    });
  }
}
