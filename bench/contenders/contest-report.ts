/** Tables and charts of contests. Pure. */
import type { TopLevelSpec } from 'vega-lite';
import { figure, numberText, verdict, withInterval } from '../report.ts';
import { median, ratioSummary } from '../statistics.ts';
import type { Chart, Table } from '../suite.ts';
import { CONTENDERS } from './catalogue.ts';
import { withOwnConnections } from './contest.ts';
import type { Contest } from './contest.ts';
import type { Load } from './seat.ts';
import { ENGINE } from './venue.ts';

/** DESIGN, "Performance, how it is judged"; of no other way to sell does it say what is enough. */
const BAR_ONE_STATEMENT = 6;
const BAR_OWN_CONNECTIONS = 20;
const OWN_CONNECTIONS_CLIENTS_MIN = 128;
/** With fewer, a batch has too few orders to be worth judging. */
const JUDGED_CLIENTS_MIN = 64;

const NOT_DURABLE = ' (not durable)';
const REDIS = CONTENDERS.filter(({ kind }) => kind === 'redis').map(({ name }) => name);
const LOCKS = CONTENDERS.filter(({ kind }) => kind === 'locks').map(({ name }) => name);
const OWN_SELLERS = ['conditional-update', 'row-lock'];
const OWN = OWN_SELLERS.map(withOwnConnections);
/** A logarithmic chart needs an end. */
const CHART_MIN = 10;

type Rounds = Contest['rounds'];

function seatsOf(rounds: Rounds): readonly string[] {
  return [...new Set(rounds.flat().map(({ seat }) => seat))];
}

function clientsOf(rounds: Rounds): readonly number[] {
  return [...new Set(rounds.flat().map(({ clients }) => clients))].toSorted((a, b) => a - b);
}

/** One value per round in which it was measured. */
function valuesOf(
  rounds: Rounds,
  seat: string,
  of: (load: Load) => number,
): (c: number) => number[] {
  return (clients) =>
    rounds.flatMap((loads) =>
      loads.filter((load) => load.seat === seat && load.clients === clients).map(of),
    );
}

function cell(values: readonly number[], digits = 0): string {
  return values.length === 0 ? '' : figure(values, digits);
}

function clientsText(clients: number): string {
  return clients === 1 ? '1 client' : `${clients} clients`;
}

function shown(seat: string): string {
  return REDIS.includes(seat) ? seat + NOT_DURABLE : seat;
}

/** Durable ones and edges; what is not durable stands in a table of its own. */
export function throughputTables({ rounds }: Contest): readonly Table[] {
  const clients = clientsOf(rounds);
  const columns = ['orders/s', ...clients.map(clientsText)];
  const row = (seat: string) => [
    shown(seat),
    ...clients.map((count) => cell(valuesOf(rounds, seat, (load) => load.perSecond)(count))),
  ];
  const seats = seatsOf(rounds);
  return [
    {
      title: 'Accepted orders by clients, one product',
      columns,
      rows: seats.filter((seat) => !REDIS.includes(seat)).map(row),
    },
    {
      title: 'Answered before anything is durable',
      columns,
      rows: seats.filter((seat) => REDIS.includes(seat)).map(row),
    },
  ];
}

/** The engine against the best of some seats inside each round, which favours them. */
function ratiosOf(rounds: Rounds, seats: readonly string[], clients: number): number[] {
  return rounds.flatMap((loads) => {
    const at = loads.filter((load) => load.clients === clients);
    const engine = at.find(({ seat }) => seat === ENGINE);
    const others = at.filter(({ seat }) => seats.includes(seat)).map((load) => load.perSecond);
    if (engine === undefined || others.length === 0) return [];
    return [engine.perSecond / Math.max(...others)];
  });
}

export function ratioTable({ rounds }: Contest): Table {
  const row = (name: string, seats: readonly string[], bar: number | null) =>
    clientsOf(rounds).flatMap((clients) => {
      const isOwn = seats.some((seat) => OWN.includes(seat));
      if (isOwn && clients < OWN_CONNECTIONS_CLIENTS_MIN) return [];
      const ratios = ratiosOf(rounds, seats, clients);
      if (ratios.length === 0) return [];
      const { ratio, ...interval } = ratioSummary(ratios);
      const cells = [
        withInterval(ratio, interval, 2),
        bar === null || clients < JUDGED_CLIENTS_MIN ? '' : `>= ${bar}, ${verdict(ratio >= bar)}`,
      ];
      return [[`${name}, ${clientsText(clients)}`, ...cells]];
    });
  return {
    title: 'The engine against locks, taken inside each round',
    columns: ['ratio', 'geometric mean', 'bar'],
    rows: [
      ...row('engine / conditional-update', ['conditional-update'], BAR_ONE_STATEMENT),
      ...row('engine / skip-locked', ['skip-locked'], null),
      ...row('engine / best of all with locks', LOCKS, null),
      ...OWN.flatMap((seat) => row(`engine / ${seat}`, [seat], BAR_OWN_CONNECTIONS)),
      ...row('engine / roof', ['roof'], null),
    ],
  };
}

export function sweepTable({ sweep, bestPools }: Contest): Table {
  const contenders = [...bestPools.keys()];
  const pools = [...new Set(sweep.map(({ pool }) => pool))];
  return {
    title: 'Orders/s by size of the pool; the best of each is used',
    columns: ['connections', ...contenders],
    rows: pools.map((pool) => [
      String(pool),
      ...contenders.map((contender) => {
        const point = sweep.find((it) => it.contender === contender && it.pool === pool);
        const text = point === undefined ? '' : numberText(point.perSecond);
        return bestPools.get(contender) === pool ? `**${text}**` : text;
      }),
    ]),
  };
}

/** Of all rounds together. */
export function answerTable({ rounds }: Contest): Table {
  const sum = (seat: string, of: (load: Load) => number) =>
    numberText(
      rounds
        .flat()
        .filter((load) => load.seat === seat)
        .reduce((total, load) => total + of(load), 0),
    );
  return {
    title: 'Answers of all rounds',
    columns: ['', 'accepted', 'refused', 'shed'],
    rows: seatsOf(rounds).map((seat) => [
      shown(seat),
      sum(seat, (load) => load.accepted),
      sum(seat, (load) => load.refused),
      sum(seat, (load) => load.shed),
    ]),
  };
}

/** CPU and latency with so many clients. */
export function costTable({ rounds }: Contest, clients: number): Table {
  const at = (seat: string, of: (load: Load) => number, digits = 0) =>
    cell(valuesOf(rounds, seat, of)(clients), digits);
  const seats = seatsOf(rounds).filter(
    (seat) => valuesOf(rounds, seat, (load) => load.perSecond)(clients).length > 0,
  );
  return {
    title: `CPU microseconds per order by process, and latency: ${clients} clients, closed loop`,
    columns: ['', 'server', 'PostgreSQL', 'Redis', 'p50 ms', 'p99 ms'],
    rows: seats.map((seat) => [
      shown(seat),
      at(seat, ({ cpu }) => cpu.server),
      at(seat, ({ cpu }) => cpu.postgres),
      REDIS.includes(seat) ? at(seat, ({ cpu }) => cpu.redis) : '',
      at(seat, ({ p50 }) => p50, 1),
      at(seat, ({ p99 }) => p99, 1),
    ]),
  };
}

export function soldOutTable({ soldOut }: Contest, clients: number): Table {
  return {
    title: `Sold-out answers with fresh keys, ${clients} clients`,
    columns: ['', 'refusals/s', 'PostgreSQL CPU us each', 'p50 ms'],
    rows: seatsOf(soldOut).map((seat) => [
      shown(seat),
      cell(valuesOf(soldOut, seat, (load) => load.perSecond)(clients)),
      cell(valuesOf(soldOut, seat, ({ cpu }) => cpu.postgres)(clients), 1),
      cell(valuesOf(soldOut, seat, ({ p50 }) => p50)(clients), 1),
    ]),
  };
}

export function auditTable({ audited, losses }: Contest): Table {
  const rows = Object.entries(audited).map(([name, orders]) => [
    name,
    numberText(orders),
    '0, clean',
  ]);
  for (const { answered, stored } of losses) {
    const lost = numberText(Math.max(0, answered - stored));
    const name = 'redis-lua, killed in the middle of a load';
    rows.push([name, numberText(stored), `at least **${lost}** of ${numberText(answered)} heard`]);
  }
  return {
    title: 'Audit: orders stored, and orders answered that are not',
    columns: ['database', 'orders stored', 'lost'],
    rows,
  };
}

interface Point {
  /** Its colour. */
  readonly seller: string;
  /** Its dashes. */
  readonly how: (typeof HOWS)[number];
  readonly x: number;
  readonly perSecond: number;
}

const DASHES = [
  [1, 0],
  [8, 4],
  [2, 3],
];
const HOWS = ['its best pool', 'a connection per client', 'not durable'] as const;

function lineOf(seat: string): Pick<Point, 'seller' | 'how'> {
  const own = OWN.indexOf(seat);
  if (own >= 0) return { seller: OWN_SELLERS[own] ?? seat, how: HOWS[1] };
  return { seller: seat, how: REDIS.includes(seat) ? HOWS[2] : HOWS[0] };
}

function lines(points: readonly Point[], x: { readonly title: string; readonly isLog: boolean }) {
  const values = points.filter(({ perSecond }) => perSecond > CHART_MIN);
  const places = [...new Set(values.map((point) => point.x))].toSorted((a, b) => a - b);
  const sellers = [...new Set(values.map(({ seller }) => seller))];
  const scale = x.isLog ? { scale: { type: 'log' as const, base: 2 } } : {};
  const spec: TopLevelSpec = {
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: {
        field: 'x',
        type: 'quantitative',
        title: x.title,
        ...scale,
        axis: { values: places, grid: false, format: 'd' },
      },
      y: {
        field: 'perSecond',
        type: 'quantitative',
        title: 'orders/s, logarithmic',
        scale: { type: 'log' },
        axis: { format: '~s' },
      },
      color: { field: 'seller', type: 'nominal', scale: { domain: sellers } },
      strokeDash: {
        field: 'how',
        type: 'nominal',
        scale: { domain: [...HOWS], range: DASHES },
        legend: { symbolType: 'stroke', symbolSize: 400, columns: 1 },
      },
    },
  };
  return spec;
}

/** Medians; echo is left out, it would only press the others together. */
export function clientsChart({ rounds }: Contest): Chart {
  const points = seatsOf(rounds)
    .filter((seat) => seat !== 'echo')
    .flatMap((seat) =>
      clientsOf(rounds).flatMap((x) => {
        const values = valuesOf(rounds, seat, (load) => load.perSecond)(x);
        return values.length === 0 ? [] : [{ ...lineOf(seat), x, perSecond: median(values) }];
      }),
    );
  const spec = lines(points, { title: 'clients', isLog: true });
  return { name: 'throughput-by-clients', spec };
}

/** Medians with so many clients, by what is added to an fsync. */
export function delayChart(contests: readonly Contest[], clients: number): Chart {
  const points = contests.flatMap(({ rounds, fsyncDelayMs: x }) =>
    seatsOf(rounds).flatMap((seat) => {
      const values = valuesOf(rounds, seat, (load) => load.perSecond)(clients);
      return values.length === 0 ? [] : [{ ...lineOf(seat), x, perSecond: median(values) }];
    }),
  );
  const spec = lines(points, { title: `ms added to each fsync, ${clients} clients`, isLog: false });
  return { name: 'throughput-by-fsync', spec };
}
