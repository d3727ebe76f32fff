/**
 * How the cost of an order grows with one thing. A family is measured by itself: its members run side
 * by side in one cluster, each with a server and a database of its own, and are interleaved.
 */
import { auditSold } from './audit-sold.ts';
import type { BenchCluster } from './cluster.ts';
import { GENERATOR } from './http-load.ts';
import { bodiesFile, CUSTOMERS, orderOf, tokensFile } from './load-files.ts';
import { addProducts } from './more-products.ts';
import { OrderAccount } from './order-account.ts';
import { measureCost } from './order-cost.ts';
import type { CostedLoad, OrderCost } from './order-cost.ts';
import { writeHistory } from './order-history.ts';
import { startOrders } from './orders-server.ts';
import type { OrdersServer } from './orders-server.ts';
import { HOT_PRODUCT } from './bench-database.ts';
import { verdict } from './report.ts';
import { median, ratioSummary } from './statistics.ts';
import type { BenchRun, Chart, SuiteReport, Table } from './suite.ts';

const CONNECTIONS = 256;
/** Also what a member needs to have most of its products in memory. */
const WARM_UP_SECONDS = 4;
/** In stock of each product: nothing sells out. */
const UNITS = 1_000_000_000;

export interface Family {
  /** A word: names its chart and its databases. */
  readonly name: string;
  /** "by ...": what grows. */
  readonly by: string;
  /** The first is what the others are compared with. */
  readonly members: readonly [Member, ...Member[]];
}

export interface Member {
  readonly name: string;
  /** Product ids of each order that may be sent: which is next is random, all of one length. */
  readonly orders: readonly (readonly string[])[];
  readonly customers?: number;
  /** Products beside the hot one. */
  readonly products?: number;
  /** Orders of the hot product that are stored before, paid. */
  readonly history?: number;
  /** The least ratio of its orders per second to the first member's. */
  readonly bar?: number;
}

interface Running {
  readonly member: Member;
  readonly server: OrdersServer;
  readonly load: { readonly tokensFile: string; readonly bodiesFile: string };
  /** Seconds that it took to write the history; null = there is none. */
  readonly fillSeconds: number | null;
  readonly loads: CostedLoad[];
  readonly account: OrderAccount;
}

interface Grown extends Family {
  readonly running: readonly Running[];
}

/** Measures and audits every family. */
export async function measureGrowth(
  run: BenchRun,
  families: readonly Family[],
): Promise<SuiteReport> {
  const cluster = await run.startCluster();
  const grown: Grown[] = [];
  for (const family of families) grown.push(await measureFamily(run, cluster, family));
  return report(run, grown);
}

async function measureFamily(run: BenchRun, cluster: BenchCluster, family: Family): Promise<Grown> {
  const running: Running[] = [];
  for (const [place, member] of family.members.entries()) {
    running.push(await start(run, cluster, { member, name: `${family.name}_${place}` }));
  }
  const measure = async ({ server, load, account }: Running, seconds: number) => {
    const shape = { ...load, connections: CONNECTIONS, seconds };
    const costed = await measureCost(server, cluster, shape);
    account.add({ accepted: costed.accepted, unheard: CONNECTIONS });
    return costed;
  };
  run.say(`warming up: cost by ${family.by}`);
  for (const it of running) await measure(it, WARM_UP_SECONDS);
  for (let n = 1; n <= run.rounds; n += 1) {
    for (const it of n % 2 === 0 ? running.toReversed() : running) {
      const load = await measure(it, run.seconds);
      it.loads.push(load);
      const said = `${it.member.name}, ${Math.round(load.perSecond)} orders/s`;
      run.say(`round ${n} of ${run.rounds}: ${said}, p99 ${load.p99.toFixed(1)} ms`);
    }
  }
  await Promise.all(running.map(({ server }) => server.stop()));
  for (const { server, member, account } of running) {
    account.close(server.name, (await auditSold(run, server)) - (member.history ?? 0));
  }
  return { ...family, running };
}

async function start(
  run: BenchRun,
  cluster: BenchCluster,
  { member, name }: { readonly member: Member; readonly name: string },
): Promise<Running> {
  const { customers = CUSTOMERS, products = 0, history = 0 } = member;
  let fillSeconds: number | null = null;
  const server = await startOrders(run, {
    cluster,
    name,
    prepare: async (databaseUrl) => {
      if (products > 0) await addProducts(databaseUrl, { count: products, units: UNITS });
      if (history === 0) return;
      fillSeconds = await writeHistory(databaseUrl, {
        orders: history,
        products: [HOT_PRODUCT],
        customers,
        kind: 'paid',
        onProgress: (orders) => run.say(`${orders} of ${history} earlier orders written`),
      });
      run.say(`${history} orders in ${fillSeconds.toFixed(0)} s`);
    },
  });
  const load = {
    tokensFile: tokensFile(run, customers),
    bodiesFile: bodiesFile(run, name, member.orders.map(orderOf)),
  };
  return { member, server, load, fillSeconds, loads: [], account: new OrderAccount() };
}

function report(run: BenchRun, grown: readonly Grown[]): SuiteReport {
  const fills = grown
    .flatMap(({ running }) => running)
    .flatMap(({ member, fillSeconds }) =>
      fillSeconds === null ? [] : [`${member.name}: written in ${fillSeconds.toFixed(0)} s`],
    );
  return {
    title: 'How the cost of an order grows',
    notes: [
      `Closed loop by ${GENERATOR} with ${CONNECTIONS} connections, one shard, random keys, ${CUSTOMERS} customers where nothing else is said; ${run.rounds} rounds of ${run.seconds} s after ${WARM_UP_SECONDS} s of warm-up. Each member of a family has a server and a database of its own; ratios are taken inside each round, their intervals are 95 % t-intervals.`,
      'Every answer was 201, the audit of every database is clean, and it holds the orders that were answered, but for those that the end of a load cuts off.',
      'CPU of HTTP is the main thread, of the runtime garbage collection and compilation.',
      ...fills.map(
        (fill) =>
          `${fill}, by SQL, as paid orders with their events and payments; audited as well.`,
      ),
    ],
    tables: grown.map(tableOf),
    charts: grown.map(chartOf),
    data: grown.map(({ name, by, running }) => ({
      name,
      by,
      members: running.map(({ member, fillSeconds, loads }) => ({
        name: member.name,
        fillSeconds,
        loads,
      })),
    })),
  };
}

const PROCESSES = [
  { key: 'http', name: 'HTTP' },
  { key: 'shards', name: 'shard' },
  { key: 'runtime', name: 'Node runtime' },
  { key: 'postgres', name: 'PostgreSQL' },
] as const satisfies readonly { readonly key: keyof OrderCost; readonly name: string }[];

function tableOf({ by, running }: Grown): Table {
  const [first] = running;
  const rows = running.map(({ member, loads }) => {
    const of = (figure: (load: CostedLoad) => number) => median(loads.map(figure));
    const { ratio, low, high } = ratioSummary(
      loads.map(({ perSecond }, n) => perSecond / (first?.loads[n]?.perSecond ?? Number.NaN)),
    );
    const { bar } = member;
    return [
      member.name,
      Math.round(of((it) => it.perSecond)).toLocaleString('en-US'),
      `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
      bar === undefined ? '' : `>= ${bar}, ${verdict(ratio >= bar)}`,
      of((it) => it.p99).toFixed(1),
      ...PROCESSES.map(({ key }) => of((it) => it.cpu[key]).toFixed(0)),
    ];
  });
  const cpu = PROCESSES.map(({ name }) => `${name}, us`);
  return {
    title: `Cost by ${by}`,
    columns: [by, 'orders/s', 'ratio to the first', 'bar', 'p99 ms', ...cpu],
    rows,
  };
}

function chartOf({ name, by, running }: Grown): Chart {
  const members = running.map(({ member }) => member.name);
  const values = running.flatMap(({ member, loads }) =>
    PROCESSES.map(({ key, name: process }, place) => ({
      member: member.name,
      process,
      place,
      us: median(loads.map(({ cpu }) => cpu[key])),
    })),
  );
  return {
    name: `cost-by-${name}`,
    spec: {
      title: `CPU of an order by ${by}`,
      data: { values },
      mark: 'bar',
      encoding: {
        y: { field: 'member', type: 'nominal', sort: members, title: null },
        x: { field: 'us', type: 'quantitative', title: 'CPU microseconds per order' },
        color: { field: 'process', type: 'nominal', sort: PROCESSES.map((it) => it.name) },
        order: { field: 'place' },
      },
    },
  };
}
