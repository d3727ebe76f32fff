/**
 * How long the service is away after a crash: the server killed with 100,000 products and a million
 * orders stored, and the embedded PostgreSQL killed below a server. Every order that was answered
 * before is looked for afterwards.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openCluster, readPassword, readPostmaster } from '../../src/db/embedded-cluster.ts';
import { EMBEDDED_DATABASE, urlOf } from '../../src/db/embedded-server.ts';
import { HOT_PRODUCT_ID } from '../../src/db/seed.ts';
import { auditSold } from '../audit-sold.ts';
import type { BenchServer } from '../child.ts';
import type { BenchCluster } from '../cluster.ts';
import { Customers } from '../customers.ts';
import { zipfRank } from '../k6/lib/zipf-rank.ts';
import { inDatabase } from '../in-database.ts';
import { orderOf, tokensFile } from '../load-files.ts';
import { addProducts, moreProduct } from '../more-products.ts';
import { writeHistory } from '../order-history.ts';
import { serveOrders, startOrders } from '../orders-server.ts';
import { verdict } from '../report.ts';
import { summarise } from '../statistics.ts';
import type { BenchRun, Suite, SuiteReport } from '../suite.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';

const PRODUCTS = 100_000;
const UNITS = 1_000_000;
const HISTORY = 1_000_000;
/** Orders under way when the server is killed, and about 2,000 a second before. */
const CUSTOMERS = { count: 64, pauseMs: 20 };
/** The demo shop has 30,000 units in all. */
const DEMO_CUSTOMERS = { count: 16, pauseMs: 50 };
const READY_MS_BAR = 5000;
const POSTGRES_MS_BAR = 2000;

/** Milliseconds since the kill. */
interface Outage {
  readonly firstAcceptedMs: number;
  /** Orders answered around the kill, all of them stored. */
  readonly found: number;
}

type ServerOutage = Outage & { readonly readyMs: number };

export const suite: Suite = {
  name: 'recovery',
  summary: 'server killed with 100,000 products and 1 M orders, PostgreSQL killed below it',
  minutes: 7,
  defaults: { rounds: 7, seconds: 3 },
  run: measure,
};

async function measure(run: BenchRun): Promise<SuiteReport> {
  const tokens = readFileSync(tokensFile(run), 'utf8').trimEnd().split('\n');
  const cluster = await run.startCluster();
  const killed = {
    paid: await killServers(run, cluster, { kind: 'paid', tokens }),
    unpaid: await killServers(run, cluster, { kind: 'unpaid', tokens }),
  };
  const postgres = await killPostgres(run, tokens);
  const all = [...killed.paid, ...killed.unpaid, ...postgres];
  const found = all.reduce((sum, outage) => sum + outage.found, 0);
  const accepted = (outages: readonly Outage[]) => outages.map((it) => it.firstAcceptedMs);
  const rows = (['paid', 'unpaid'] as const).flatMap((kind) => {
    const [orders, outages] = [`1 M ${kind} orders`, killed[kind]];
    const ready = outages.map((it) => it.readyMs);
    return [
      row(`server killed to ready, ${orders}`, ready, READY_MS_BAR),
      row(`server killed to the first 201, ${orders}`, accepted(outages)),
    ];
  });
  return {
    title: 'Recovery',
    notes: [
      `A server with ${PRODUCTS.toLocaleString('en-US')} products is killed (SIGKILL) while ${CUSTOMERS.count} customers order among them by Zipf 1.0, after ${run.seconds} s, and started again at once on the same PostgreSQL; the time includes the start of Node. Before, ${HISTORY.toLocaleString('en-US')} orders are stored: all paid during the last 30 days, or all unpaid of the last 10 minutes, whose holds it has to know again.`,
      `The embedded PostgreSQL of a server with the demo shop is killed (SIGKILL of the postmaster) while ${DEMO_CUSTOMERS.count} customers order; the server restarts it.`,
      'First 201: of a request sent after the kill, by customers who try again every 10 ms.',
      `All ${found.toLocaleString('en-US')} orders that were answered with 201 were found in PostgreSQL afterwards; audits clean.`,
    ],
    tables: [
      {
        title: 'Milliseconds since the kill',
        columns: ['', 'median', 'bootstrap 95 % from', 'to', 'most', 'bar'],
        rows: [
          ...rows,
          row('PostgreSQL killed to the first 201', accepted(postgres), POSTGRES_MS_BAR),
        ],
      },
    ],
    charts: [],
    data: { killed, postgres },
  };
}

async function killServers(
  run: BenchRun,
  cluster: BenchCluster,
  { kind, tokens }: { readonly kind: 'paid' | 'unpaid'; readonly tokens: readonly string[] },
): Promise<ServerOutage[]> {
  const bodies = Array.from({ length: PRODUCTS }, () =>
    orderOf([moreProduct(zipfRank(PRODUCTS, Math.random))]),
  );
  let server = await startOrders(run, {
    cluster,
    name: kind,
    prepare: async (databaseUrl) => {
      const products = await addProducts(databaseUrl, { count: PRODUCTS, units: UNITS });
      const onProgress = (orders: number) => run.say(`${orders} ${kind} orders written`);
      await writeHistory(databaseUrl, {
        orders: HISTORY,
        products,
        customers: 1000,
        kind,
        onProgress,
      });
    },
  });
  const { name, databaseUrl } = server;
  const outages: ServerOutage[] = [];
  for (let n = 1; n <= run.rounds; n += 1) {
    const before = new Customers({ ...CUSTOMERS, url: server.url, tokens, bodies });
    await delay(run.seconds * 1000);
    const killedAt = performance.now();
    const killed = server.kill();
    // From here on they would only be in the way of the next server's start.
    const gone = before.stop();
    await Promise.all([killed, gone]);
    server = await serveOrders(run, { name, databaseUrl });
    const readyMs = performance.now() - killedAt;
    const after = new Customers({ ...CUSTOMERS, url: server.url, tokens, bodies });
    const firstAcceptedMs = (await after.nextAccepted()) - killedAt;
    await after.stop();
    const found = await assertStored(databaseUrl, [...before.accepted, ...after.accepted]);
    outages.push({ readyMs, firstAcceptedMs, found });
    run.say(`round ${n} of ${run.rounds}: ready ${Math.round(readyMs)} ms after the kill, ${kind}`);
  }
  await server.stop();
  await auditSold(run, { name: `1 M ${kind} orders`, databaseUrl });
  return outages;
}

async function killPostgres(run: BenchRun, tokens: readonly string[]): Promise<Outage[]> {
  const dataDir = join(run.workDir, 'embedded');
  const server = await run.startTarget({
    file: '../src/main.ts',
    // An empty one is as good as none: the server has its own PostgreSQL.
    env: {
      DATABASE_URL: '',
      DATA_DIR: dataDir,
      SEED_DEMO: 'true',
      JWT_SECRET: BENCH_JWT_SECRET,
      PORT: '0',
    },
  });
  const cluster = await openCluster(dataDir);
  const running = async () => {
    const postmaster = await readPostmaster(cluster);
    if (postmaster === undefined) throw new Error('the embedded PostgreSQL does not run');
    return postmaster;
  };
  const urlNow = async () =>
    urlOf(
      { postmaster: await running(), password: await readPassword(cluster) },
      EMBEDDED_DATABASE,
    );
  const outages: Outage[] = [];
  for (let n = 1; n <= run.rounds; n += 1) {
    const customers = demoCustomers(server, tokens);
    await delay(run.seconds * 1000);
    const killedAt = performance.now();
    process.kill((await running()).pid, 'SIGKILL');
    const firstAcceptedMs = (await customers.nextAccepted()) - killedAt;
    await customers.stop();
    const found = await assertStored(await urlNow(), customers.accepted);
    outages.push({ firstAcceptedMs, found });
    run.say(
      `round ${n} of ${run.rounds}: first 201 ${Math.round(firstAcceptedMs)} ms after the kill`,
    );
  }
  await auditSold(run, { name: 'the demo shop', databaseUrl: await urlNow() });
  await server.stop();
  return outages;
}

/** The demo shop's products are numbered; there are 30. */
function demoCustomers({ url }: BenchServer, tokens: readonly string[]): Customers {
  const bodies = Array.from({ length: 30 }, (_, n) =>
    orderOf([HOT_PRODUCT_ID.slice(0, -2) + (n + 1).toString(16).padStart(2, '0')]),
  );
  return new Customers({ ...DEMO_CUSTOMERS, url, tokens, bodies });
}

/** @throws Error when an order that was answered is not there */
async function assertStored(databaseUrl: string, ids: readonly string[]): Promise<number> {
  const sql = /* sql */ `
    SELECT count(*)::integer AS found FROM unnest($1::uuid[]) id JOIN orders USING (id)`;
  const { rows } = await inDatabase(databaseUrl, (client) =>
    client.query<{ found: number }>(sql, [ids]),
  );
  const found = rows[0]?.found ?? 0;
  if (found !== ids.length) throw new Error(`${ids.length - found} answered orders were lost`);
  return found;
}

/** `bar`: milliseconds that the median may be. */
function row(name: string, times: readonly number[], bar?: number): string[] {
  const { median, low, high } = summarise(times);
  const cells = [median, low, high, Math.max(...times)].map((ms) => ms.toFixed(0));
  const held = verdict(median <= (bar ?? Infinity));
  return [name, ...cells, bar === undefined ? '' : `<= ${bar}, ${held}`];
}
