/**
 * One product, one machine, one run: the engine between its roof and its parts. Everything is
 * measured in every round, so that a round's ratios are of the same minute.
 *
 * What a round is stands in headline/rounds.ts, the tables are headline/report.ts's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { auditSold } from '../audit-sold.ts';
import { createBenchDatabase, oneUnit, threeLineCarts } from '../bench-database.ts';
import type { BenchServer } from '../child.ts';
import { memoryOf, postgresMemory } from '../cpu.ts';
import { headlineReport } from '../headline/report.ts';
import { FULL_CLIENTS, ORDER_CLIENTS, SERVED } from '../headline/rounds.ts';
import type { BatchFigures, HeadlineRound } from '../headline/rounds.ts';
import type { ServedName, Step } from '../headline/rounds.ts';
import { runLoad } from '../http-load.ts';
import type { LoadOptions, LoadResult } from '../http-load.ts';
import { bodiesFile, CUSTOMERS, tokensFile } from '../load-files.ts';
import { OrderAccount } from '../order-account.ts';
import { withCost } from '../order-cost.ts';
import { lastBatches, orderCounts } from '../order-counts.ts';
import { RawPipeline } from '../raw-pipeline.ts';
import { quantile } from '../statistics.ts';
import type { BenchRun, Suite, SuiteReport } from '../suite.ts';
import type { EngineFigures } from '../targets/engine.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';

const WARM_UP_SECONDS = 2;
/** Of the product that is sold out before anything is measured. */
const SCARCE_UNITS = 1000;
const SELL_OUT_CLIENTS = 64;
const RAW_SHAPES = [
  { connections: 1, batchOrders: 300 },
  { connections: 1, batchOrders: 1000 },
  { connections: 2, batchOrders: 300 },
  { connections: 2, batchOrders: 1000 },
];

export const suite: Suite = {
  name: 'headline',
  summary: 'POST /orders between echo, roof, the raw pipeline and the engine without HTTP',
  minutes: 11,
  defaults: { rounds: 7, seconds: 3 },
  run: async (run) => {
    const bench = await Headline.start(run);
    await bench.sellOut();
    run.say('warming up');
    await bench.measureRound(WARM_UP_SECONDS);
    const rounds: HeadlineRound[] = [];
    for (let n = 1; n <= run.rounds; n += 1) {
      run.say(`round ${n} of ${run.rounds}`);
      rounds.push(await bench.measureRound(run.seconds));
    }
    return await bench.finish(rounds);
  },
};

/** What sells, and what it must have sold in the end. */
interface Till {
  readonly name: string;
  readonly databaseUrl: string;
  readonly account: OrderAccount;
}

interface Parts {
  readonly run: BenchRun;
  readonly postmaster: number;
  readonly servers: Readonly<Record<ServedName, BenchServer>>;
  readonly engine: BenchServer;
  readonly engineAlone: BenchServer;
  readonly raw: RawPipeline;
  readonly tills: ReadonlyMap<string, Till>;
}

class Headline {
  readonly #parts: Parts;
  readonly #tokensFile: string;
  readonly #oneUnitFile: string;
  readonly #cartsFile: string;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#tokensFile = tokensFile(parts.run);
    this.#oneUnitFile = bodiesFile(parts.run, 'one-unit', oneUnit());
    this.#cartsFile = bodiesFile(parts.run, 'carts', threeLineCarts());
  }

  static async start(run: BenchRun): Promise<Headline> {
    const cluster = await run.startCluster();
    run.say('starting echo, roof, the servers and the engines');
    const tills = new Map<string, Till>();
    const database = async (name: string, stock?: { readonly stock: number }) => {
      const databaseUrl = await createBenchDatabase(cluster.databaseUrl, name.toLowerCase(), stock);
      tills.set(name, { name, databaseUrl, account: new OrderAccount() });
      return databaseUrl;
    };
    const server = async (name: ServedName, env: Readonly<Record<string, string>>) => {
      const databaseUrl = await database(
        name,
        name === 'soldOut' ? { stock: SCARCE_UNITS } : undefined,
      );
      const common = { DATABASE_URL: databaseUrl, JWT_SECRET: BENCH_JWT_SECRET, PORT: '0' };
      return await run.startTarget({ file: '../src/main.ts', env: { ...common, ...env } });
    };
    const engine = async (name: string, commitsInFlightMax: number) =>
      await run.startTarget({
        file: './targets/engine.ts',
        args: [await database(name), String(commitsInFlightMax)],
      });
    return new Headline({
      run,
      postmaster: cluster.pid,
      tills,
      servers: {
        echo: await run.startTarget({ file: './targets/echo.ts' }),
        roof: await run.startTarget({ file: './targets/roof.ts' }),
        orders: await server('orders', { SHARDS: '1' }),
        timed: await server('timed', { SHARDS: '1' }),
        alone: await server('alone', { SHARDS: '1', COMMITS_IN_FLIGHT_MAX: '1' }),
        carts: await server('carts', { SHARDS: '4' }),
        soldOut: await server('soldOut', { SHARDS: '1' }),
      },
      engine: await engine('engine', 2),
      engineAlone: await engine('engineAlone', 1),
      // Nothing is decided there, so it is no till: there is nothing that an audit could hold it to.
      raw: await RawPipeline.open(await createBenchDatabase(cluster.databaseUrl, 'raw')),
    });
  }

  /** Its last unit goes here: as many orders as units, whatever came at once. */
  async sellOut(): Promise<void> {
    const { run, servers } = this.#parts;
    run.say(`selling ${SCARCE_UNITS} units out`);
    const shape = { connections: SELL_OUT_CLIENTS, seconds: WARM_UP_SECONDS };
    await this.#load('soldOut', { ...shape, expected: 'either' });
    const sold = (await orderCounts(servers.soldOut.url)).get('accepted') ?? 0;
    if (sold !== SCARCE_UNITS) throw new Error(`${SCARCE_UNITS} units made ${sold} orders`);
  }

  async measureRound(seconds: number): Promise<HeadlineRound> {
    const { run, engine, engineAlone, raw, servers, postmaster } = this.#parts;
    const steps: Step[] = [];
    for (const connections of ORDER_CLIENTS) {
      steps.push(await this.#measureStep({ connections, seconds }));
    }
    const ceilings: Record<string, number> = {};
    for (const shape of RAW_SHAPES) {
      const name = `${shape.connections} x ${shape.batchOrders}`;
      const perSecond = await raw.measure(shape, Math.max(1, Math.round(seconds / 2)));
      ceilings[name] = perSecond;
      run.say(`  raw ${name}: ${Math.round(perSecond)}/s`);
    }
    return {
      steps,
      raw: ceilings,
      engine: await this.#measureEngine('engine', engine, seconds),
      engineAlone: await this.#measureEngine('engineAlone', engineAlone, seconds),
      memory: { server: memoryOf(servers.orders.pid), postgres: postgresMemory(postmaster) },
    };
  }

  /** Stops what sold, audits it, and counts it against what was answered. */
  async finish(rounds: readonly HeadlineRound[]): Promise<SuiteReport> {
    const { run, servers, engine, engineAlone, tills } = this.#parts;
    const all = [...Object.values(servers), engine, engineAlone];
    await Promise.all(all.map((it) => it.stop()));
    let orders = 0;
    for (const till of tills.values()) {
      const stored = await auditSold(run, till);
      till.account.close(till.name, stored);
      orders += stored;
    }
    return headlineReport(rounds, { orders, customers: CUSTOMERS, scarceUnits: SCARCE_UNITS });
  }

  async #measureStep(shape: Shape): Promise<Step> {
    const { connections } = shape;
    const loads: Partial<Record<ServedName, LoadResult>> = {};
    let told: Pick<Step, 'cpu' | 'batches'> | undefined;
    for (const name of FULL_CLIENTS.includes(connections) ? SERVED : (['orders'] as const)) {
      if (name === 'orders') {
        const { load, ...rest } = await this.#measureOrders(shape);
        loads[name] = load;
        told = rest;
      } else if (name === 'soldOut') {
        loads[name] = await this.#measureSoldOut(shape);
      } else {
        const keys = name === 'timed' ? 'time-prefixed' : 'random';
        loads[name] = await this.#load(name, { ...shape, keys });
      }
    }
    if (told === undefined) throw new Error('orders are part of every step');
    return { connections, loads, ...told };
  }

  /** With what it costs, and with what its batches are like in the middle of it. */
  async #measureOrders(
    shape: Shape,
  ): Promise<Pick<Step, 'cpu' | 'batches'> & { load: LoadResult }> {
    const { servers, postmaster } = this.#parts;
    const { pid, url } = servers.orders;
    const [{ cpu, ...load }, batches] = await Promise.all([
      withCost({ server: pid, postmaster }, () => this.#load('orders', shape)),
      delay(shape.seconds * 500).then(() => batchFigures(url)),
    ]);
    return { load, cpu, batches };
  }

  /** The load generator sees 4xx alone: that all of it was `out-of-stock` is the server's count. */
  async #measureSoldOut(shape: Shape): Promise<LoadResult> {
    const { url } = this.#parts.servers.soldOut;
    const before = await orderCounts(url);
    const load = await this.#load('soldOut', { ...shape, expected: 'refused' });
    for (const [answer, count] of await orderCounts(url)) {
      const more = count - (before.get(answer) ?? 0);
      const isRight = answer === 'refused out-of-stock' ? more >= load.refused : more === 0;
      if (!isRight) throw new Error(`soldOut: ${load.refused} refusals, and ${more} "${answer}"`);
    }
    return load;
  }

  async #load(
    name: ServedName,
    asked: Shape & Pick<LoadOptions, 'keys' | 'expected'>,
  ): Promise<LoadResult> {
    const { run, servers, tills } = this.#parts;
    const load = await runLoad({
      ...asked,
      url: servers[name].url,
      tokensFile: this.#tokensFile,
      bodiesFile: name === 'carts' ? this.#cartsFile : this.#oneUnitFile,
    });
    run.say(
      `  ${name}, ${asked.connections} connections: ${Math.round(load.perSecond)}/s, ` +
        `p50 ${load.p50.toFixed(1)} ms, p99 ${load.p99.toFixed(1)} ms`,
    );
    if (load.failed > 0) throw new Error(`${load.failed} requests to ${name} failed`);
    tills.get(name)?.account.add({ accepted: load.accepted, unheard: asked.connections });
    return load;
  }

  async #measureEngine(name: string, target: BenchServer, seconds: number): Promise<number> {
    const { run, tills } = this.#parts;
    const response = await fetch(`${target.url}/?seconds=${seconds}`);
    const { accepted, perSecond } = (await response.json()) as EngineFigures;
    tills.get(name)?.account.add({ accepted, unheard: 0 });
    run.say(`  ${name}, without HTTP: ${Math.round(perSecond)}/s`);
    return perSecond;
  }
}

type Shape = Pick<LoadOptions, 'connections' | 'seconds'>;

async function batchFigures(serverUrl: string): Promise<BatchFigures> {
  const batches = await lastBatches(serverUrl);
  const times = batches.map(({ totalMs }) => totalMs);
  return {
    ordersMedian: quantile(
      batches.map(({ orders }) => orders),
      0.5,
    ),
    commitP50: quantile(times, 0.5),
    commitP99: quantile(times, 0.99),
  };
}
