/**
 * The engine, the contenders, roof and echo in one run: each one's pool is found by a sweep, then
 * all are loaded in turn within each round, then sold out, then audited.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../statistics.ts';
import type { BenchRun } from '../suite.ts';
import { CONTENDERS } from './catalogue.ts';
import { auditContender } from './contender-audit.ts';
import { conditionalUpdate } from './conditional-update.ts';
import { redisLua } from './redis-lua.ts';
import { rowLock } from './row-lock.ts';
import { stopSeat } from './seat.ts';
import type { Load, Seat } from './seat.ts';
import { goesBackwards, turnsOf } from './turns.ts';
import { tickBatches } from './tick-batches.ts';
import { Venue } from './venue.ts';

export interface ContestPlan {
  readonly fsyncDelayMs: number;
  /** Concurrent customers of the loads. */
  readonly clients: readonly number[];
  /** Those of seats whose line says enough with fewer points: `SPARSE`. */
  readonly sparseClients: readonly number[];
  /** Those with a connection for each. */
  readonly ownConnections: readonly number[];
  /** Pool sizes that are tried. */
  readonly pools: readonly number[];
  readonly withEcho: boolean;
  /** Also what a sold-out product answers, and what Redis loses. */
  readonly withEndings: boolean;
}

export interface SweepPoint {
  readonly contender: string;
  readonly pool: number;
  /** Orders per second: median. */
  readonly perSecond: number;
}

/** Of one kill. */
export interface Loss {
  /** Answers 201 that the load heard. */
  readonly answered: number;
  /** Orders, of which the last ones may have been stored without an answer. */
  readonly stored: number;
}

export interface Contest {
  readonly fsyncDelayMs: number;
  readonly sweep: readonly SweepPoint[];
  /** By contender. */
  readonly bestPools: ReadonlyMap<string, number>;
  readonly rounds: readonly (readonly Load[])[];
  readonly soldOut: readonly (readonly Load[])[];
  /** Empty = not measured. */
  readonly losses: readonly Loss[];
  /** Orders by database, every one accounted for. */
  readonly audited: Readonly<Record<string, number>>;
}

export const SOLD_OUT_CLIENTS = 64;
export const SWEEP_CLIENTS = 256;
const SWEEP_LOADS = 2;
/** Far from both ends of every table; echo is no contender. */
const SPARSE: readonly string[] = ['echo', rowLock.name, tickBatches.name];
/** Of warm-up, sweep and selling out. */
const SHORT_SECONDS = 1;
/** Few, since the slowest sell some 200 a second. */
const SCARCE_UNITS = 200;
const SELL_OUT_LOADS_MAX = 20;
const KILLS = 5;
const KILLED_CLIENTS = 256;
/** More than are sold before the last kill. */
const KILLED_STOCK = 1_000_000;
const KILLED_AFTER_MS = 1_000;
const KILLED_LOAD_SECONDS = 2;

/** As a row of a table: a contender whose pool is as large as the crowd. */
export function withOwnConnections(name: string): string {
  return `${name}, a connection per client`;
}

/** Measures and audits. @throws Error when an audit failed or an answer was wrong */
export async function holdContest(run: BenchRun, plan: ContestPlan): Promise<Contest> {
  const venue = await Venue.open(run, plan.fsyncDelayMs);
  const contest = new ContestRun(run, plan, venue);
  const sweep = await contest.sweep();
  const rounds = await contest.measureRounds();
  const soldOut = plan.withEndings ? await contest.measureSoldOut() : [];
  const audited = await venue.audit();
  const losses = plan.withEndings ? await contest.countLosses() : [];
  const { fsyncDelayMs } = plan;
  return { fsyncDelayMs, sweep, bestPools: contest.bestPools, rounds, soldOut, losses, audited };
}

class ContestRun {
  readonly bestPools = new Map<string, number>();
  readonly #run: BenchRun;
  readonly #plan: ContestPlan;
  readonly #venue: Venue;

  constructor(run: BenchRun, plan: ContestPlan, venue: Venue) {
    this.#run = run;
    this.#plan = plan;
    this.#venue = venue;
  }

  async sweep(): Promise<readonly SweepPoint[]> {
    const points: SweepPoint[] = [];
    for (const contender of CONTENDERS.filter(({ kind }) => kind === 'locks')) {
      let best = 0;
      for (const pool of this.#plan.pools) {
        const seat = await this.#venue.startContender(contender, { pool });
        await this.#warmUp(seat, SWEEP_CLIENTS);
        const loads: number[] = [];
        for (let n = 0; n < SWEEP_LOADS; n += 1) {
          const shape = { connections: SWEEP_CLIENTS, seconds: SHORT_SECONDS };
          loads.push((await this.#venue.load(seat, shape)).perSecond);
        }
        await stopSeat(seat);
        const perSecond = median(loads);
        this.#run.say(`${contender.name}, pool of ${pool}: ${Math.round(perSecond)}/s`);
        points.push({ contender: contender.name, pool, perSecond });
        if (perSecond > best) this.bestPools.set(contender.name, pool);
        best = Math.max(best, perSecond);
      }
    }
    return points;
  }

  async measureRounds(): Promise<readonly (readonly Load[])[]> {
    const { rounds, seconds } = this.#run;
    const seats = await this.#startAll();
    this.#run.say('warming up');
    for (const seat of seats) await this.#warmUp(seat, Math.max(...this.#plan.clients));
    const measured: (readonly Load[])[] = [];
    for (let n = 1; n <= rounds; n += 1) {
      this.#run.say(`round ${n} of ${rounds}`);
      const loads: Load[] = [];
      if (goesBackwards(n)) loads.push(...(await this.#loadOwnConnections(n)));
      for (const connections of this.#plan.clients) {
        for (const seat of turnsOf(seats, n)) {
          const isLeftOut =
            SPARSE.includes(seat.name) && !this.#plan.sparseClients.includes(connections);
          if (!isLeftOut) loads.push(await this.#load(seat, connections, seconds));
        }
      }
      if (!goesBackwards(n)) loads.push(...(await this.#loadOwnConnections(n)));
      measured.push(loads);
    }
    for (const seat of seats) await stopSeat(seat);
    return measured;
  }

  /** Unmeasured: as many clients as connections or more, so each has prepared and planned. */
  async #warmUp(seat: Seat, connections: number): Promise<void> {
    await this.#venue.load(seat, { connections, seconds: SHORT_SECONDS });
  }

  async #startAll(): Promise<readonly Seat[]> {
    const seats = [await this.#venue.startEdge('roof')];
    if (this.#plan.withEcho) seats.push(await this.#venue.startEdge('echo'));
    seats.push(await this.#venue.startEngine(), ...(await this.#startContenders()));
    return seats;
  }

  async #startContenders(more: { readonly stock?: number } = {}): Promise<readonly Seat[]> {
    const seats: Seat[] = [];
    for (const contender of CONTENDERS) {
      const pool = this.bestPools.get(contender.name) ?? 1;
      seats.push(await this.#venue.startContender(contender, { ...more, pool }));
    }
    return seats;
  }

  /**
   * A pool as large as the largest crowd gives a smaller one no connection more than it can use.
   */
  async #loadOwnConnections(round: number): Promise<readonly Load[]> {
    const { ownConnections } = this.#plan;
    const loads: Load[] = [];
    for (const contender of turnsOf([conditionalUpdate, rowLock], round)) {
      const name = withOwnConnections(contender.name);
      const pool = Math.max(1, ...ownConnections);
      const seat = await this.#venue.startContender(contender, { pool, name });
      await this.#warmUp(seat, pool);
      for (const connections of ownConnections) {
        loads.push(await this.#load(seat, connections, this.#run.seconds));
      }
      await stopSeat(seat);
    }
    return loads;
  }

  async #load(seat: Seat, connections: number, seconds: number): Promise<Load> {
    const load = await this.#venue.load(seat, { connections, seconds });
    const shed = load.shed > 0 ? `, ${load.shed} shed` : '';
    this.#run.say(`  ${seat.name}, ${connections} clients: ${Math.round(load.perSecond)}/s${shed}`);
    return load;
  }

  /** The audit counts what was sold on the way: the units that there were, no more and no fewer. */
  async measureSoldOut(): Promise<readonly (readonly Load[])[]> {
    const { rounds, seconds } = this.#run;
    this.#run.say(`selling ${SCARCE_UNITS} units out`);
    const stock = SCARCE_UNITS;
    const seats = [
      await this.#venue.startEngine({ stock }),
      ...(await this.#startContenders({ stock })),
    ];
    for (const seat of seats) await this.#sellOut(seat);
    const measured: (readonly Load[])[] = [];
    for (let n = 1; n <= rounds; n += 1) {
      this.#run.say(`sold out, round ${n} of ${rounds}`);
      const loads: Load[] = [];
      for (const seat of turnsOf(seats, n)) {
        const shape = { connections: SOLD_OUT_CLIENTS, seconds, expected: 'refused' as const };
        loads.push(await this.#venue.load(seat, shape));
      }
      measured.push(loads);
    }
    for (const seat of seats) await stopSeat(seat);
    return measured;
  }

  /** With as many clients as the largest pool that is tried: this is its warm-up as well. */
  async #sellOut(seat: Seat): Promise<void> {
    for (let n = 1; n <= SELL_OUT_LOADS_MAX; n += 1) {
      const { refused } = await this.#venue.load(seat, {
        connections: SWEEP_CLIENTS,
        seconds: SHORT_SECONDS,
        expected: 'either',
      });
      if (refused > 0) return;
    }
    throw new Error(`${seat.name} does not sell ${SCARCE_UNITS} units out`);
  }

  /** kill -9 in the middle of a load: what had been answered by then should be stored. */
  async countLosses(): Promise<readonly Loss[]> {
    const losses: Loss[] = [];
    let storedBefore = 0;
    for (let n = 1; n <= KILLS; n += 1) {
      const seat = await this.#venue.startContender(redisLua, { stock: KILLED_STOCK });
      const load = this.#venue.hear(seat, {
        connections: KILLED_CLIENTS,
        seconds: KILLED_LOAD_SECONDS,
        expected: 'either',
      });
      const killed = delay(KILLED_AFTER_MS).then(() => seat.server.kill());
      const [{ accepted: answered }] = await Promise.all([load, killed]);
      const { orders } = await auditContender(seat.till?.databaseUrl ?? '');
      const stored = orders - storedBefore;
      storedBefore = orders;
      losses.push({ answered, stored });
      this.#run.say(`${redisLua.name}, killed: ${answered} orders answered, ${stored} stored`);
    }
    return losses;
  }
}
