/**
 * Plays a scenario: two shard cores on sessions that a driver provides, the fake's or the real ones.
 * Time is virtual and passes only where a scenario says so or somebody waits for an answer.
 */
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import { ShardCore } from '../../src/actors/shard-core.ts';
import type { Effect, ShardEvent } from '../../src/actors/shard-protocol.ts';
import type { CommitEnd } from '../../src/db/batch-claim.ts';
import type { ShardDatabase } from '../../src/db/shard-database.ts';
import { unreachable } from '../../src/domain/errors.ts';
import { PARTITIONS, shardOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, PartitionId, PaymentId, ProductId } from '../../src/domain/ids.ts';
import type { Answer, Command } from '../../src/domain/wire.ts';
import { LIMITS } from '../actors/shard-harness.ts';
import { ScenarioCommands, wordsOf } from './scenario-commands.ts';
import type { FilledCart } from './scenario-commands.ts';
import { HOLD_TTL_MS, SHARDS } from './scenarios.ts';
import type { Fault, Scenario, Step } from './scenarios.ts';

const TICK_MS = 50;
/** Virtual milliseconds after which there is no answer to be had. */
const ANSWER_MS_MAX = 3000;

/** What a shard asks of PostgreSQL; `ShardDatabase` has it all. */
export type Sessions = Pick<
  ShardDatabase,
  'commit' | 'resolve' | 'products' | 'effects' | 'freedBy' | 'expiring' | 'moveWatermark' | 'close'
>;

export interface ScenarioDriver {
  /** A shop with these products, and owners for all partitions. */
  begin(products: ReadonlyMap<ProductId, number>): Promise<void>;
  /** Who owns the shard's partitions from now on; `former`, if any, is fenced. */
  takeOver(
    shard: number,
    former: OwnerId | null,
  ): Promise<{ readonly ownerId: OwnerId; readonly sessions: Sessions }>;
  harm(fault: Fault): Promise<void>;
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Version 1 is a new cart. */
  fill(cart: FilledCart): Promise<void>;
  startPayment(payment: {
    readonly orderId: OrderId;
    readonly paymentId: PaymentId;
  }): Promise<void>;
  lower(product: ProductId, units: number): Promise<void>;
  fence(owner: OwnerId): Promise<void>;
  stockOf(product: ProductId): Promise<number>;
}

interface Shard {
  readonly ownerId: OwnerId;
  readonly partitions: readonly PartitionId[];
  readonly core: ShardCore;
  readonly sessions: Sessions;
  alive: boolean;
}

/** What came out, in the words of the scenario. */
type ScenarioEnd = Pick<Scenario, 'answers' | 'stockAfter'>;

export async function play(scenario: Scenario, driver: ScenarioDriver): Promise<ScenarioEnd> {
  const stage = new ScenarioStage(scenario, driver);
  try {
    return await stage.play();
  } finally {
    await stage.close();
  }
}

class ScenarioStage {
  readonly #scenario: Scenario;
  readonly #driver: ScenarioDriver;
  readonly #commands: ScenarioCommands;
  readonly #shards: Shard[] = [];
  readonly #opened: Sessions[] = [];
  /** By number of the command. */
  readonly #homes: number[] = [];
  readonly #answers: (string | null)[] = [];
  /** What PostgreSQL has been asked and has not answered. */
  readonly #underWay = new Set<Promise<void>>();
  #committing = 0;
  readonly #events: [Shard, ShardEvent][] = [];
  #now = Date.now();

  constructor(scenario: Scenario, driver: ScenarioDriver) {
    this.#scenario = scenario;
    this.#driver = driver;
    this.#commands = new ScenarioCommands(SHARDS, scenario.stock.length);
  }

  async play(): Promise<ScenarioEnd> {
    const { stock, steps } = this.#scenario;
    const { products } = this.#commands;
    await this.#driver.begin(new Map(products.map((id, n) => [id, stock[n] ?? 0])));
    for (let shard = 0; shard < SHARDS; shard += 1) await this.#start(shard);
    await this.#settle();
    for (const step of steps) await this.#take(step);
    const stockAfter = await Promise.all(products.map((id) => this.#driver.stockOf(id)));
    return { answers: this.#answers.map((answer) => answer ?? 'nothing'), stockAfter };
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((sessions) => sessions.close()));
  }

  async #take(step: Step): Promise<void> {
    const driver = this.#driver;
    switch (step.do) {
      case 'send':
        this.#send(step.asked);
        return;
      case 'settle':
        return this.#settle();
      case 'pass':
        this.#pass(step.ms);
        return;
      case 'harm':
        return driver.harm(step.fault);
      case 'go-away':
        return driver.goAway();
      case 'come-back':
        return driver.comeBack();
      case 'fill':
        return driver.fill(this.#commands.fill(step.cart, step.by, step.lines));
      case 'start-payment':
        return driver.startPayment(this.#commands.payment(step.key));
      case 'lower':
        return driver.lower(this.#commands.product(step.product), step.units);
      case 'fence':
        return driver.fence(this.#shard(step.shard).ownerId);
      case 'replace':
        return this.#replace(step.shard);
      default:
        unreachable(step);
    }
  }

  #send(asked: Extract<Step, { do: 'send' }>['asked']): void {
    const groups = new Map<number, Command[]>();
    for (const each of asked) {
      const sent = { n: this.#answers.length, now: this.#now };
      const { command, home } = this.#commands.make(each, sent);
      this.#answers.push(null);
      this.#homes.push(home);
      groups.set(home, [...(groups.get(home) ?? []), command]);
    }
    for (const [home, commands] of groups) {
      this.#handle(this.#shard(home), { type: 'commands', from: 0, commands });
    }
  }

  async #settle(): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += TICK_MS) {
      while (this.#underWay.size > 0) await Promise.race(this.#underWay);
      if (!this.#answers.includes(null) || waitedMs >= ANSWER_MS_MAX) return;
      this.#pass(TICK_MS);
    }
  }

  #pass(ms: number): void {
    this.#now += ms;
    for (const shard of this.#shards) this.#handle(shard, { type: 'tick' });
  }

  /** It dies when it has sent a batch, or has nothing to send; nobody hears how the batch ends. */
  async #replace(n: number): Promise<void> {
    while (this.#committing === 0 && this.#underWay.size > 0) await Promise.race(this.#underWay);
    this.#die(this.#shard(n));
    await Promise.all(this.#underWay);
    await this.#start(n);
  }

  #die(shard: Shard): void {
    shard.alive = false;
    const n = this.#shards.indexOf(shard);
    for (const [i, home] of this.#homes.entries()) if (home === n) this.#answers[i] ??= 'nothing';
  }

  async #start(n: number): Promise<void> {
    const former = this.#shards[n]?.ownerId ?? null;
    const { ownerId, sessions } = await this.#driver.takeOver(n, former);
    this.#opened.push(sessions);
    const identity = { ownerId, shard: n, shards: SHARDS, provenAt: this.#now };
    // Whatever was sold before is in PostgreSQL only.
    const window = new IdempotencyWindow({ linesMax: 1000, complete: false });
    const core = new ShardCore(identity, { ...LIMITS, holdTtlMs: HOLD_TTL_MS }, window);
    const all = Array.from({ length: PARTITIONS }, (_, partition) => partition as PartitionId);
    const partitions = all.filter((partition) => shardOf(partition, SHARDS) === n);
    const started: Shard = { ownerId, core, sessions, partitions, alive: true };
    this.#shards[n] = started;
    for (const [shard, other] of this.#shards.entries()) {
      if (shard === n) continue;
      this.#handle(started, { type: 'peer', shard, ownerId: other.ownerId });
      this.#handle(other, { type: 'peer', shard: n, ownerId });
    }
  }

  /** One after another: an effect of this event can be an event of another shard. */
  #handle(shard: Shard, event: ShardEvent): void {
    this.#events.push([shard, { type: 'owned', provenAt: this.#now }], [shard, event]);
    if (this.#events.length > 2) return;
    for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
      const [to, what] = next;
      const effects = to.alive ? to.core.step(what, this.#now) : [];
      for (const effect of effects) this.#execute(to, effect);
      this.#events.shift();
    }
  }

  #shard(n: number): Shard {
    const shard = this.#shards[n];
    if (shard === undefined) throw new Error(`there is no shard ${n}`);
    return shard;
  }

  #execute(shard: Shard, effect: Effect): void {
    const { sessions, ownerId, partitions } = shard;
    switch (effect.type) {
      case 'answer':
        this.#answer(effect.answer);
        return;
      case 'send': {
        const to = this.#shards.find((one) => one.ownerId === effect.to);
        const messages = [effect.message];
        if (to !== undefined) this.#handle(to, { type: 'messages', from: ownerId, messages });
        return;
      }
      case 'commit':
        this.#committing += 1;
        this.#ask(shard, async () => {
          const end = await sessions.commit(effect.batch);
          this.#committing -= 1;
          return this.#ended(effect.batch.no, end);
        });
        return;
      case 'resolve':
        this.#ask(shard, async () => {
          return this.#ended(effect.no, await sessions.resolve({ ownerId, no: effect.no }));
        });
        return;
      case 'load':
        this.#ask(shard, async () => {
          return { type: 'loaded', products: await sessions.products(effect.ids) };
        });
        return;
      case 'look-up':
        this.#ask(shard, async () => {
          return { type: 'looked-up', effects: await sessions.effects(effect.ids) };
        });
        return;
      case 'find-freed':
        this.#ask(shard, async () => {
          return { type: 'freed-found', products: await sessions.freedBy(effect.by) };
        });
        return;
      case 'load-expiring': {
        const query = { partitions, after: effect.after, max: effect.max };
        this.#ask(shard, async () => ({ type: 'expiring', ...(await sessions.expiring(query)) }));
        return;
      }
      case 'expired-until':
        this.#ask(shard, async () => {
          await sessions.moveWatermark({ owner: ownerId, partitions, time: effect.time });
          return { type: 'tick' };
        });
        return;
      case 'fenced':
        this.#die(shard);
        return;
      case 'wake':
      case 'stopped':
        return;
      default:
        unreachable(effect);
    }
  }

  #ask(shard: Shard, query: () => Promise<ShardEvent>): void {
    const asked = query().then((event) => {
      this.#underWay.delete(asked);
      this.#handle(shard, event);
    });
    this.#underWay.add(asked);
  }

  #ended(no: number, end: CommitEnd): ShardEvent {
    return end.type === 'committed' ? { ...end, no, provenAt: this.#now } : { ...end, no };
  }

  #answer(answer: Answer): void {
    if (this.#answers[answer.n] !== null) throw new Error(`I8: ${answer.n} is answered twice`);
    this.#answers[answer.n] = wordsOf(answer);
  }
}
