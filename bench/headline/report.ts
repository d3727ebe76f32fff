/** The tables and plots of the headline suite. Pure. */
import type { TopLevelSpec } from 'vega-lite';
import { figure, numberText, verdict, withInterval } from '../report.ts';
import { median, ratioSummary, summarise } from '../statistics.ts';
import type { Chart, SuiteReport, Table } from '../suite.ts';
import { FULL_CLIENTS, loadOf, ORDER_CLIENTS, stepOf } from './rounds.ts';
import type { HeadlineRound, ServedName } from './rounds.ts';

const MEGABYTE = 1024 ** 2;

const TITLES: Readonly<Record<ServedName, string>> = {
  echo: 'echo',
  roof: 'roof',
  orders: '**POST /orders**',
  soldOut: 'sold-out answers',
  timed: 'POST /orders, time-prefixed keys',
  alone: 'POST /orders, one batch in flight',
  carts: 'carts of 3 lines on 4 shards',
};
const NAMES = Object.keys(TITLES) as ServedName[];

type Rounds = readonly HeadlineRound[];
type Of = (round: HeadlineRound) => number;
/** The one that stands, and the one that comes then; none where nothing is judged. */
type Bars = readonly [first?: number, then?: number];

/** What was sold besides the figures. */
interface Sold {
  /** Over all databases. */
  readonly orders: number;
  readonly customers: number;
  readonly scarceUnits: number;
}

export function headlineReport(rounds: Rounds, sold: Sold): SuiteReport {
  return {
    title: 'Headline: POST /orders between its roof and its parts',
    notes: [
      'roof: our HTTP edge without an engine behind it; echo: a bare Fastify that sends the body back',
      `one product, ${sold.customers} customers, a fresh key per request (UUIDv4 unless it says ` +
        'time-prefixed, which is UUIDv7), closed loop, every 201 after its COMMIT',
      `sold-out answers: a product of ${sold.scarceUnits} units that sold out before, in exactly ` +
        'as many orders; counted by the server as nothing but out-of-stock',
      `audit clean on every database sold from, ${numberText(sold.orders)} orders: as many as were ` +
        'answered with 201, but for those under way when a load ended',
    ],
    tables: [
      throughput(rounds),
      ratios(rounds),
      latency(rounds),
      batches(rounds),
      cpu(rounds),
      memory(rounds),
    ],
    charts: [throughputChart(rounds), batchChart(rounds)],
    data: rounds,
  };
}

function throughput(rounds: Rounds): Table {
  const row = (name: string, of: Of) => [name, figure(rounds.map(of))];
  return {
    title: 'Throughput',
    columns: ['', 'answers/s'],
    rows: [
      ...FULL_CLIENTS.flatMap((clients) =>
        NAMES.map((name) =>
          row(
            `${TITLES[name]}, ${clientsText(clients)}`,
            (round) => loadOf(round, clients, name).perSecond,
          ),
        ),
      ),
      ...Object.keys(rounds[0]?.raw ?? {}).map((shape) =>
        row(`raw COPY + merge, ${shape}`, (round) => round.raw[shape] ?? 0),
      ),
      row('**engine without HTTP**', ({ engine }) => engine),
      row('engine without HTTP, one batch in flight', ({ engineAlone }) => engineAlone),
    ],
  };
}

function ratios(rounds: Rounds): Table {
  const row = (name: string, bars: Bars, of: Of) => {
    const { ratio, ...interval } = ratioSummary(rounds.map(of));
    const judged = [0, 1].map((n) => {
      const bar = bars[n];
      return bar === undefined ? '' : `>= ${bar.toFixed(2)}, ${verdict(ratio >= bar)}`;
    });
    return [name, withInterval(ratio, interval, 2), ...judged];
  };
  const pair = (over: ServedName, under: ServedName, bars: Bars) =>
    FULL_CLIENTS.map((clients) =>
      row(
        `${TITLES[over]} / ${TITLES[under]}, ${clientsText(clients)}`.replaceAll('**', ''),
        bars,
        (round) => loadOf(round, clients, over).perSecond / loadOf(round, clients, under).perSecond,
      ),
    );
  return {
    title: 'Ratios, each taken inside a round',
    columns: ['', 'geometric mean', 'bar', 'then'],
    rows: [
      ...pair('orders', 'roof', [0.7, 0.85]),
      ...pair('orders', 'echo', [0.42, 0.55]),
      ...pair('soldOut', 'roof', [0.8, 0.9]),
      ...pair('carts', 'orders', [0.5]),
      ...pair('timed', 'orders', []),
      ...pair('orders', 'alone', []),
      row(
        'engine without HTTP / best raw',
        [0.8],
        ({ engine, raw }) => engine / Math.max(...Object.values(raw)),
      ),
      row(
        'engine, two batches in flight / one',
        [],
        ({ engine, engineAlone }) => engine / engineAlone,
      ),
    ],
  };
}

function latency(rounds: Rounds): Table {
  return {
    title: 'Latency in the closed loop',
    columns: ['', 'p50 ms', 'p99 ms'],
    rows: FULL_CLIENTS.flatMap((clients) =>
      NAMES.map((name) => [
        `${TITLES[name]}, ${clientsText(clients)}`,
        figure(
          rounds.map((round) => loadOf(round, clients, name).p50),
          1,
        ),
        figure(
          rounds.map((round) => loadOf(round, clients, name).p99),
          1,
        ),
      ]),
    ),
  };
}

function batches(rounds: Rounds): Table {
  return {
    title: 'Batches by load',
    columns: ['POST /orders', 'orders/s', 'orders per batch', 'commit p50 ms', 'commit p99 ms'],
    rows: ORDER_CLIENTS.map((clients) => {
      const seen = rounds.map((round) => stepOf(round, clients).batches);
      return [
        clientsText(clients),
        figure(rounds.map((round) => loadOf(round, clients, 'orders').perSecond)),
        figure(seen.map(({ ordersMedian }) => ordersMedian)),
        figure(
          seen.map(({ commitP50 }) => commitP50),
          2,
        ),
        figure(
          seen.map(({ commitP99 }) => commitP99),
          2,
        ),
      ];
    }),
  };
}

function cpu(rounds: Rounds): Table {
  return {
    title: 'CPU per order, in microseconds',
    columns: ['POST /orders', 'HTTP thread', 'shard threads', 'GC and runtime', 'PostgreSQL'],
    rows: ORDER_CLIENTS.map((clients) => {
      const used = rounds.map((round) => stepOf(round, clients).cpu);
      return [
        clientsText(clients),
        figure(used.map(({ http }) => http)),
        figure(used.map(({ shards }) => shards)),
        figure(used.map(({ runtime }) => runtime)),
        figure(used.map(({ postgres }) => postgres)),
      ];
    }),
  };
}

function memory(rounds: Rounds): Table {
  const row = (name: string, of: Of) => [name, figure(rounds.map((round) => of(round) / MEGABYTE))];
  return {
    title: 'Memory at the end of a round',
    columns: ['', 'MB'],
    rows: [
      row('the server of POST /orders', (round) => round.memory.server),
      row('PostgreSQL, for all servers of the run', (round) => round.memory.postgres),
    ],
  };
}

function clientsText(clients: number): string {
  return clients === 1 ? '1 connection' : `${clients} connections`;
}

function throughputChart(rounds: Rounds): Chart {
  const values = NAMES.flatMap((name) =>
    FULL_CLIENTS.map((clients) => ({
      what: TITLES[name].replaceAll('**', ''),
      clients: clientsText(clients),
      ...summarise(rounds.map((round) => loadOf(round, clients, name).perSecond)),
    })),
  );
  const y = { field: 'what', type: 'nominal', sort: null, title: null } as const;
  const yOffset = { field: 'clients', sort: null } as const;
  const spec: TopLevelSpec = {
    title: {
      text: 'Answers per second, one product',
      subtitle: 'medians over rounds, 95 % bootstrap intervals',
    },
    data: { values },
    height: { step: 18 },
    encoding: { y, yOffset },
    layer: [
      {
        mark: { type: 'bar', height: { band: 0.85 } },
        encoding: {
          x: { field: 'median', type: 'quantitative', title: 'answers per second' },
          color: { field: 'clients', type: 'nominal', sort: null },
        },
      },
      {
        mark: { type: 'rule', strokeWidth: 1.5 },
        encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
      },
    ],
  };
  return { name: 'throughput', spec };
}

function batchChart(rounds: Rounds): Chart {
  const of = (clients: number, key: 'ordersMedian' | 'commitP50' | 'commitP99') =>
    median(rounds.map((round) => stepOf(round, clients).batches[key]));
  const x = {
    field: 'clients',
    type: 'ordinal',
    title: 'connections',
    axis: { labelAngle: 0 },
  } as const;
  const line = { type: 'line', point: true } as const;
  const spec: TopLevelSpec = {
    title: { text: 'Batches grow with the load', subtitle: 'POST /orders, medians over rounds' },
    resolve: { legend: { color: 'independent' } },
    hconcat: [
      {
        width: 300,
        data: {
          values: ORDER_CLIENTS.map((clients) => ({
            clients,
            orders: of(clients, 'ordersMedian'),
          })),
        },
        mark: line,
        encoding: { x, y: { field: 'orders', type: 'quantitative', title: 'orders per batch' } },
      },
      {
        width: 300,
        data: {
          values: ORDER_CLIENTS.flatMap((clients) => [
            { clients, ms: of(clients, 'commitP50'), what: 'commit p50' },
            { clients, ms: of(clients, 'commitP99'), what: 'commit p99' },
          ]),
        },
        mark: line,
        encoding: {
          x,
          y: { field: 'ms', type: 'quantitative', title: 'milliseconds from sending to COMMIT' },
          color: { field: 'what', type: 'nominal' },
        },
      },
    ],
  };
  return { name: 'batches', spec };
}
