/**
 * More orders than the service can take: a service shrunk to about 1,000 orders/s by slow commits,
 * offered once, twice and five times what it can do. Whoever is turned away must cost nearly nothing.
 */
import { setInterval as every } from 'node:timers/promises';
import { auditSold } from '../audit-sold.ts';
import { HOT_PRODUCT } from '../bench-database.ts';
import { memoryOf } from '../cpu.ts';
import { GENERATOR, runLoad } from '../http-load.ts';
import { bodiesFile, CUSTOMERS, orderOf, tokensFile } from '../load-files.ts';
import type { OpenResult } from '../open-result.ts';
import { countOrders, startOrders } from '../orders-server.ts';
import { verdict } from '../report.ts';
import { median, summarise } from '../statistics.ts';
import type { BenchRun, Chart, Suite, SuiteReport, Table } from '../suite.ts';
import { runOpenLoad } from '../vegeta.ts';

/** One batch of 50 in about 53 ms: more orders never make a larger batch. */
const BATCH_ORDERS = 50;
const COMMIT_DELAY_MS = 50;
const CONNECTIONS = 256;
const FACTORS = [1, 2, 5] as const;
const GOODPUT_BAR = 0.9;
/** The default of REQUEST_TIMEOUT_MS: nobody waits for longer. */
const P99_MS_BAR = 5000;
/** So much larger may be the largest of a load's last third than of its first, and of a round's. */
const MEMORY_GROWTH_BAR = 1.1;
const MEMORY_EVERY_MS = 100;
const WARM_UP_SECONDS = 3;

interface Load extends OpenResult {
  /** From 1. */
  readonly round: number;
  readonly factor: number;
  /** Of the same round, closed loop, orders/s. */
  readonly capacity: number;
  /** Bytes of the server, every MEMORY_EVERY_MS. */
  readonly memory: readonly number[];
}

export const suite: Suite = {
  name: 'overload',
  summary: 'goodput, latency and memory at 1, 2 and 5 times the capacity',
  minutes: 8,
  defaults: { rounds: 7, seconds: 10 },
  run: measure,
};

async function measure(run: BenchRun): Promise<SuiteReport> {
  const cluster = await run.startCluster();
  const server = await startOrders(run, {
    cluster,
    name: 'overload',
    preload: ['./shims/slow-commit.ts'],
    env: {
      COMMIT_DELAY_MS: String(COMMIT_DELAY_MS),
      BATCH_MAX_ORDERS: String(BATCH_ORDERS),
      COMMITS_IN_FLIGHT_MAX: '1',
    },
  });
  const orders = {
    url: server.url,
    workDir: run.workDir,
    tokensFile: tokensFile(run),
    bodiesFile: bodiesFile(run, 'hot', [orderOf([HOT_PRODUCT])]),
  };
  const capacityOf = async (seconds: number) => {
    const { perSecond, failed } = await runLoad({ ...orders, connections: CONNECTIONS, seconds });
    if (failed > 0) throw new Error(`${failed} requests failed while the capacity was measured`);
    return perSecond;
  };

  run.say('warming up');
  const roughly = await capacityOf(WARM_UP_SECONDS);
  const most = Math.round(roughly * Math.max(...FACTORS));
  await runOpenLoad({ ...orders, rate: most, seconds: WARM_UP_SECONDS });
  const loads: Load[] = [];
  for (let n = 1; n <= run.rounds; n += 1) {
    const capacity = await capacityOf(run.seconds);
    await settled(server.databaseUrl);
    for (const factor of n % 2 === 0 ? FACTORS.toReversed() : FACTORS) {
      const before = await countOrders(server.databaseUrl);
      const rate = Math.round(capacity * factor);
      const { value: result, memory } = await whileWatching(server.pid, () =>
        runOpenLoad({ ...orders, rate, seconds: run.seconds }),
      );
      const stored = (await countOrders(server.databaseUrl)) - before;
      check(result, stored);
      loads.push({ ...result, round: n, factor, capacity, memory });
      run.say(
        `round ${n} of ${run.rounds}: ${factor} x ${Math.round(capacity)}/s, ` +
          `${Math.round(result.goodput)}/s accepted, p99 ${Math.round(result.accepted?.p99 ?? 0)} ms`,
      );
    }
  }
  await server.stop();
  await auditSold(run, server);
  return report(run, loads);
}

/** What the closed loop left on its way when its time was over is decided: the orders stand still. */
async function settled(databaseUrl: string): Promise<void> {
  let last = -1;
  for await (const _ of every(4 * COMMIT_DELAY_MS)) {
    const now = await countOrders(databaseUrl);
    if (now === last) return;
    last = now;
  }
}

/** The memory of a process meanwhile. */
async function whileWatching<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly memory: readonly number[] }> {
  const memory = [memoryOf(pid)];
  const timer = setInterval(() => memory.push(memoryOf(pid)), MEMORY_EVERY_MS);
  try {
    return { value: await work(), memory };
  } finally {
    clearInterval(timer);
  }
}

function check(result: OpenResult, stored: number): void {
  const { '201': accepted = 0, '503': shed = 0, ...others } = result.statuses;
  if (Object.keys(others).length > 0 || accepted + shed !== result.requests) {
    throw new Error(`neither accepted nor shed: ${JSON.stringify(others)}`);
  }
  if (stored !== accepted) {
    throw new Error(`${stored} orders were stored, and ${accepted} were answered as accepted`);
  }
}

/** Of the largest in the last third of a load and in its first third. */
function growthOf(memory: readonly number[]): number {
  const third = Math.ceil(memory.length / 3);
  return Math.max(...memory.slice(-third)) / Math.max(...memory.slice(0, third));
}

/** Of the largest in the last round and in the first one, whatever was offered. */
function growthOverRounds(loads: readonly Load[]): number {
  const peakOf = (round: number | undefined) =>
    Math.max(...loads.filter((load) => load.round === round).flatMap(({ memory }) => memory));
  return peakOf(loads.at(-1)?.round) / peakOf(loads[0]?.round);
}

function report(run: BenchRun, loads: readonly Load[]): SuiteReport {
  return {
    title: 'Overload',
    notes: [
      `The server's commits are slowed by ${COMMIT_DELAY_MS} ms with one in flight and at most ${BATCH_ORDERS} orders in each (bench/shims/slow-commit.ts); all other settings are the defaults. Capacity: ${GENERATOR}, ${CONNECTIONS} connections, closed loop, in the same round.`,
      `Then vegeta offers multiples of it in an open model for ${run.seconds} s. Goodput: answers 201 within that time. One product, ${CUSTOMERS} customers, random keys, ${run.rounds} rounds, medians.`,
      `Every answer was 201 or 503, and exactly the answers 201 are stored as orders; audit clean.`,
      `Memory is flat: the server's largest resident size in the last third of a load is at most ${MEMORY_GROWTH_BAR} times the largest in the first third, and that of the last round at most ${MEMORY_GROWTH_BAR} times that of the first.`,
    ],
    tables: [loadTable(loads), barTable(loads)],
    charts: [goodputChart(loads), memoryChart(loads)],
    data: { memoryEveryMs: MEMORY_EVERY_MS, loads },
  };
}

function of(loads: readonly Load[], factor: number, figure: (load: Load) => number): number {
  return median(loads.filter((load) => load.factor === factor).map(figure));
}

function loadTable(loads: readonly Load[]): Table {
  const whole = (value: number) => Math.round(value).toLocaleString('en-US');
  const rows = FACTORS.map((factor) => {
    const figure = (take: (load: Load) => number) => of(loads, factor, take);
    return [
      `${factor} x`,
      whole(figure((it) => it.offered)),
      whole(figure((it) => it.goodput)),
      figure((it) => it.goodput / it.capacity).toFixed(2),
      `${(100 * figure((it) => (it.statuses['503'] ?? 0) / it.requests)).toFixed(1)} %`,
      whole(figure((it) => it.accepted?.p50 ?? Infinity)),
      whole(figure((it) => it.accepted?.p99 ?? Infinity)),
      whole(figure((it) => it.others?.p99 ?? 0)),
      whole(figure((it) => Math.max(...it.memory) / 2 ** 20)),
    ];
  });
  const latencies = ['accepted p50 ms', 'accepted p99 ms', 'shed p99 ms'];
  return {
    title: 'What became of the load',
    columns: [
      'offered',
      'offered/s',
      'goodput/s',
      'goodput / capacity',
      'shed',
      ...latencies,
      'MiB',
    ],
    rows,
  };
}

function barTable(loads: readonly Load[]): Table {
  const worst = loads.filter(({ factor }) => factor === Math.max(...FACTORS));
  const row = (name: string, bar: number, figure: (load: Load) => number) => {
    const { median: middle, low, high } = summarise(worst.map(figure));
    const isCeiling = name !== GOODPUT;
    const held = isCeiling ? middle <= bar : middle >= bar;
    const digits = bar > 100 ? 0 : 2;
    const cells = [middle, low, high].map((value) => value.toFixed(digits));
    return [name, ...cells, `${isCeiling ? '<=' : '>='} ${bar}`, verdict(held)];
  };
  return {
    title: `Against the bars, at ${Math.max(...FACTORS)} times the capacity`,
    columns: ['figure', 'median', 'bootstrap 95 % from', 'to', 'bar', ''],
    rows: [
      row(GOODPUT, GOODPUT_BAR, ({ goodput, capacity }) => goodput / capacity),
      row('p99 of accepted, ms', P99_MS_BAR, ({ accepted }) => accepted?.p99 ?? Infinity),
      row('memory, last third / first third', MEMORY_GROWTH_BAR, ({ memory }) => growthOf(memory)),
      memoryRow(growthOverRounds(loads)),
    ],
  };
}

/** One figure of the whole run: it has no interval. */
function memoryRow(growth: number): readonly string[] {
  const bar = `<= ${MEMORY_GROWTH_BAR}`;
  const name = 'memory, last round / first round, all loads';
  return [name, growth.toFixed(2), '', '', bar, verdict(growth <= MEMORY_GROWTH_BAR)];
}

const GOODPUT = 'goodput / capacity';

function goodputChart(loads: readonly Load[]): Chart {
  const values = FACTORS.flatMap((factor) => {
    const offered = of(loads, factor, (it) => it.offered);
    return [
      { offered, name: 'goodput', perSecond: of(loads, factor, (it) => it.goodput) },
      { offered, name: 'capacity', perSecond: of(loads, factor, (it) => it.capacity) },
    ];
  });
  return {
    name: 'goodput',
    spec: {
      title: 'Goodput by offered load',
      data: { values },
      mark: 'line',
      encoding: {
        x: {
          field: 'offered',
          type: 'quantitative',
          scale: { zero: true },
          title: 'orders offered per second',
        },
        y: { field: 'perSecond', type: 'quantitative', title: 'orders per second' },
        color: { field: 'name', type: 'nominal' },
      },
    },
  };
}

/** The last round's. */
function memoryChart(loads: readonly Load[]): Chart {
  const values = FACTORS.flatMap((factor) =>
    (loads.findLast((load) => load.factor === factor)?.memory ?? []).map((bytes, n) => ({
      second: (n * MEMORY_EVERY_MS) / 1000,
      mebibytes: bytes / 2 ** 20,
      name: `${factor} x capacity`,
    })),
  );
  return {
    name: 'memory',
    spec: {
      title: "The server's memory meanwhile",
      data: { values },
      mark: { type: 'line', point: false },
      encoding: {
        x: { field: 'second', type: 'quantitative', title: 'seconds' },
        y: { field: 'mebibytes', type: 'quantitative', title: 'resident MiB' },
        color: { field: 'name', type: 'nominal' },
      },
    },
  };
}
