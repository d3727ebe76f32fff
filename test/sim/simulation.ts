/**
 * The engine on a virtual clock: shard cores that die and are replaced, a fake PostgreSQL that
 * fails, customers who want more than there is, and a model that looks on. Everything follows from
 * the seed.
 *
 * A run has two parts. In the storm everything happens at random; then it calms down, every hold
 * has its time to lapse, and what is left must be for sale to the last unit.
 */
import { createHash } from 'node:crypto';
import type { ShardInspection } from '../../src/actors/inspection.ts';
import type { ShardLimits } from '../../src/actors/shard-protocol.ts';
import type { ProductState } from '../../src/domain/product.ts';
import { Cashier } from './cashier.ts';
import { ClosingSale } from './closing-sale.ts';
import { Customers } from './customers.ts';
import { FakePostgres } from './fake-postgres.ts';
import { FakeRouter } from './fake-router.ts';
import { FakeSupervisor } from './fake-supervisor.ts';
import type { ShardWorld } from './incarnation.ts';
import { Market, productId } from './market.ts';
import { Merchants } from './merchants.ts';
import { Model } from './model.ts';
import { Onlooker } from './onlooker.ts';
import { Dice, VirtualClock } from './virtual-clock.ts';

const START_MS = 1_800_000_000_000;
const STORM_MS = 4000;
/** For a command to be answered and a batch to be settled once nothing fails any more. */
const CALM_MS = 3000;
/** A shard that may ask for one id at a time has many questions left when the storm ends. */
const BACKLOG_MS = 20_000;

export interface SimulationRun {
  /** Of every event and effect. */
  readonly hash: string;
  /** How often each thing happened. */
  readonly seen: Readonly<Record<string, number>>;
}

interface Watching {
  /** Gets the trace. */
  onLine?(this: void, line: string): void;
  /** May look at a shard after every event. */
  look?(this: void, inspection: ShardInspection, now: number): void;
}

/** @throws Error that names the invariant which does not hold */
export function simulate(seed: number, watching: Watching = {}): SimulationRun {
  return new Simulation(new Dice(seed), watching).run();
}

class Simulation {
  readonly #dice: Dice;
  readonly #clock = new VirtualClock(START_MS);
  readonly #hash = createHash('sha256');
  readonly #products: readonly ProductState[];
  readonly #world: ShardWorld;
  readonly #model: Model;
  readonly #router: FakeRouter;
  readonly #market: Market;
  readonly #supervisor: FakeSupervisor;
  readonly #onlooker: Onlooker;
  #storming = true;

  constructor(dice: Dice, { onLine, look }: Watching) {
    const clock = this.#clock;
    const shards = dice.int(2, 4);
    const limits = randomLimits(dice);
    const products = randomProducts(dice);
    const postgres = new FakePostgres(shards, products);
    const model = new Model({ shards, limits, clock, postgres }, products);
    const router = new FakeRouter({ clock, dice, model });
    const ids = [...products.map(({ id }) => id), productId(products.length)];
    const isOpen = (): boolean => this.#storming;
    const market = { clock, dice, router, postgres, products: ids, isOpen };
    this.#dice = dice;
    this.#products = products;
    this.#model = model;
    this.#router = router;
    this.#market = new Market(market);
    this.#world = {
      clock,
      dice,
      postgres,
      limits,
      shards,
      weather: { away: false, outages: 0, trouble: 0, deadliness: 0 },
      witness: model,
      trace: (line) => {
        this.#hash.update(line);
        onLine?.(line);
      },
      look: (inspection) => look?.(inspection, clock.now),
      answer: (from, answer) => router.answer(from, answer),
      send: (from, to, message) => this.#supervisor.send(from, to, message),
      ended: (shard) => this.#supervisor.replace(shard),
    };
    const supervisor = new FakeSupervisor({ world: this.#world, model, router });
    this.#supervisor = supervisor;
    this.#onlooker = new Onlooker({ clock, postgres, supervisor, products: ids });
  }

  run(): SimulationRun {
    const { limits, weather } = this.#world;
    this.#planStorm();
    this.#clock.runUntil(START_MS + STORM_MS);
    this.#storming = false;
    weather.away = false;
    weather.trouble = 0;
    weather.deadliness = 0;
    this.#clock.runUntil(this.#clock.now + limits.holdTtlMs + CALM_MS);
    for (let ms = 0; this.#isBusy() && ms < BACKLOG_MS; ms += CALM_MS) {
      this.#clock.runUntil(this.#clock.now + CALM_MS);
    }
    this.#checkCalm();
    const closing = new ClosingSale(this.#market, this.#model);
    for (const { id } of this.#products) closing.sellOut(id);
    this.#stop();
    const { outages } = weather;
    const seen = {
      ...this.#model.seen,
      ...this.#onlooker.seen,
      outages,
      replaced: this.#supervisor.replaced,
    };
    return { hash: this.#hash.digest('hex'), seen };
  }

  #planStorm(): void {
    const dice = this.#dice;
    const { shards, weather } = this.#world;
    weather.trouble = dice.pick([0, 0.02, 0.1, 0.3]);
    weather.deadliness = dice.pick([0, 0.001, 0.005, 0.02]);
    const rarely = dice.pick([2000, 5000, 20_000]);
    const market = this.#market;
    const cashier = new Cashier(market);
    const customers = new Customers(market, cashier);
    const merchants = new Merchants(market, customers);
    market.nowAndThen(dice.int(5, 40), () => customers.ask());
    market.nowAndThen(50, () => customers.changeCart());
    market.nowAndThen(100, () => cashier.ship());
    market.nowAndThen(dice.pick([60, 200, 1000]), () => merchants.edit());
    market.nowAndThen(rarely, () => this.#supervisor.replace(dice.int(0, shards - 1)));
    market.nowAndThen(rarely, () => this.#goAway());
    if (dice.chance(0.15)) market.nowAndThen(1500, () => this.#lowerStock());
  }

  #goAway(): void {
    const { weather } = this.#world;
    weather.away = true;
    weather.outages += 1;
    this.#clock.after(this.#dice.int(10, 1500), () => {
      weather.away = false;
    });
  }

  #lowerStock(): void {
    const { id } = this.#dice.pick(this.#products);
    this.#model.lowered(id, this.#world.postgres.lowerStock(id, this.#dice.int(1, 2)));
  }

  #isBusy(): boolean {
    return this.#supervisor.serving.some(({ idle }) => !idle);
  }

  #checkCalm(): void {
    this.#model.checkEnd();
    if (this.#router.waiting > 0) throw new Error('I8: somebody still waits');
    for (const { idle, ownerId } of this.#supervisor.serving) {
      if (!idle) throw new Error(`I9: owner ${ownerId} is still busy`);
    }
  }

  #stop(): void {
    const { serving } = this.#supervisor;
    for (const one of serving) one.handle({ type: 'stop' });
    this.#clock.runUntil(this.#clock.now + CALM_MS);
    for (const { stopped, ownerId } of serving) {
      if (!stopped) throw new Error(`I8: owner ${ownerId} does not stop`);
    }
  }
}

/** Everything is small, so that every bound is reached. */
function randomLimits(dice: Dice): ShardLimits {
  return {
    batchOrdersMax: dice.int(1, 8),
    batchLinesMax: dice.int(4, 16),
    batchWaitMsMax: dice.pick([0, 0, 5]),
    commitsInFlightMax: dice.int(1, 3),
    overlapOrdersMin: dice.int(1, 3),
    overlapWaitMsMax: 100,
    mailboxMax: dice.pick([10, 40, 1000]),
    undecidedMsMax: 1000,
    proofAgeMsMax: 1000,
    holdTtlMs: dice.int(700, 3000),
    actorsMax: dice.int(1, 8),
    queryIdsMax: dice.int(1, 4),
    expiringMax: dice.pick([dice.int(1, 20), 100_000]),
  };
}

function randomProducts(dice: Dice): ProductState[] {
  const stock = dice.int(1, 12);
  return Array.from({ length: dice.int(3, 8) }, (_, n) => ({
    id: productId(n),
    name: `Product ${n}`,
    price: { amount: 100 + n, currency: 'USD' },
    status: 'active' as const,
    saleStartsAt: null,
    saleEndsAt: null,
    ...limited(dice.pick([null, null, null, 2, 6])),
    version: 1,
    stock,
    supplied: stock,
    stockVersion: 1,
    sequence: 0,
  }));
}

function limited(limit: number | null): Pick<ProductState, 'perCustomerLimit' | 'customerUnits'> {
  return { perCustomerLimit: limit, customerUnits: limit === null ? null : new Map() };
}
