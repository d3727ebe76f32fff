/**
 * `npm run bench [-- --rounds N --seconds S]`: one run that interleaves echo, roof, the raw
 * COPY + merge pipeline, the engine without HTTP and POST /orders over HTTP, then audits what was
 * sold. Absolute figures belong to the machine; the ratios are what is judged.
 *
 * Prints a table and writes it with all rounds to bench/results/. Exit code 1 when the audit found
 * a violation, or a load was answered with anything but 201: such a run is not reported.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runAudit } from '../src/db/audit.ts';
import { withClient } from '../src/db/client.ts';
import { acquireEmbeddedPostgres } from '../src/db/embedded-postgres.ts';
import { createBenchDatabase, HOT_PRODUCT } from './bench-database.ts';
import { ask, startServer, startWorker, stop } from './child.ts';
import { cpuOf, postgresCpu } from './cpu.ts';
import { GENERATOR, runLoad } from './http-load.ts';
import type { LoadResult } from './http-load.ts';
import { RawPipeline } from './raw-pipeline.ts';
import type { RawShape } from './raw-pipeline.ts';
import { CONNECTIONS, report } from './report.ts';
import type { Connections, CpuPerOrder, Round } from './report.ts';
import { BENCH_JWT_SECRET, writeTokens } from './tokens.ts';

const CUSTOMERS = 1000;
const WARM_UP_SECONDS = 2;
const RAW_SHAPES: readonly RawShape[] = [
  { connections: 1, batchOrders: 300 },
  { connections: 1, batchOrders: 1000 },
  { connections: 2, batchOrders: 300 },
  { connections: 2, batchOrders: 1000 },
];
const READY_LINE = /"url":"([^"]+)".*"msg":"ready"/;
const URL_LINE = /^(http:\/\/\S+)$/;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
  },
});
const rounds = positive('rounds', values.rounds);
const seconds = positive('seconds', values.seconds);

const workDir = mkdtempSync(join(tmpdir(), 'hedonify-bench-'));
const tokensFile = join(workDir, 'tokens');
const children: ChildProcess[] = [];
say('starting PostgreSQL');
const cluster = await acquireEmbeddedPostgres({ dataDir: workDir, onProgress: say });
try {
  process.exitCode = await main();
} finally {
  await Promise.all(children.map(stop));
  await cluster.release();
  rmSync(workDir, { recursive: true, force: true });
}

interface Targets {
  readonly echo: string;
  readonly roof: string;
  readonly orders: { readonly url: string; readonly pid: number };
  readonly raw: RawPipeline;
  readonly engine: ChildProcess;
}

async function main(): Promise<number> {
  const [orders, raw, engine] = await Promise.all(
    ['orders', 'raw', 'engine'].map((name) => createBenchDatabase(cluster.databaseUrl, name)),
  );
  if (orders === undefined || raw === undefined || engine === undefined) return 1;
  writeTokens(tokensFile, CUSTOMERS);
  const targets = await startTargets({ orders, raw, engine });
  say('warming up');
  await measureRound(targets, WARM_UP_SECONDS);
  const measured: Round[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    say(`round ${n} of ${rounds}`);
    measured.push(await measureRound(targets, seconds));
  }
  await Promise.all(children.splice(0).map(stop));
  for (const databaseUrl of [orders, engine]) {
    say('auditing');
    const audit = await withClient({ databaseUrl, applicationName: 'hedonify-bench' }, (client) =>
      runAudit(client, { onProgress: () => undefined }),
    );
    say(`${audit.orders} orders, ${audit.violations} violations`);
    if (audit.violations > 0) return 1;
  }
  publish(measured);
  return 0;
}

async function startTargets(urls: {
  readonly orders: string;
  readonly raw: string;
  readonly engine: string;
}): Promise<Targets> {
  say('starting echo, roof, the server and the engine');
  const echo = await startServer('./targets/echo.ts', { ready: URL_LINE });
  const roof = await startServer('./targets/roof.ts', { ready: URL_LINE });
  const env = { DATABASE_URL: urls.orders, JWT_SECRET: BENCH_JWT_SECRET, PORT: '0', SHARDS: '1' };
  const orders = await startServer('../src/main.ts', { ready: READY_LINE, env });
  const engine = await startWorker('./targets/engine.ts', [urls.engine]);
  children.push(echo.child, roof.child, orders.child, engine);
  const raw = await RawPipeline.open(urls.raw);
  return { echo: echo.url, roof: roof.url, orders, raw, engine };
}

async function measureRound(targets: Targets, time: number): Promise<Round> {
  const echo: Partial<Record<Connections, LoadResult>> = {};
  const roof: Partial<Record<Connections, LoadResult>> = {};
  const orders: Partial<Record<Connections, LoadResult & { cpu: CpuPerOrder }>> = {};
  for (const connections of CONNECTIONS) {
    echo[connections] = await load('echo', targets.echo, { connections, time });
    roof[connections] = await load('roof', targets.roof, { connections, time });
    const before = { server: cpuOf(targets.orders.pid), postgres: postgresCpu(cluster.pid) };
    const result = await load('POST /orders', targets.orders.url, { connections, time });
    const after = { server: cpuOf(targets.orders.pid), postgres: postgresCpu(cluster.pid) };
    const perOrder = (used: number) => (used * 1e6) / result.accepted;
    const http = after.server.main - before.server.main;
    const cpu = {
      http: perOrder(http),
      otherThreads: perOrder(after.server.all - before.server.all - http),
      postgres: perOrder(after.postgres - before.postgres),
    };
    orders[connections] = { ...result, cpu };
  }
  const raw: Record<string, number> = {};
  for (const shape of RAW_SHAPES) {
    const name = `${shape.connections} x ${shape.batchOrders}`;
    raw[name] = await targets.raw.measure(shape, Math.max(1, Math.round(time / 2)));
    say(`  raw ${name}: ${Math.round(raw[name])}/s`);
  }
  const engine = await ask(targets.engine, time);
  say(`  engine without HTTP: ${Math.round(engine)}/s`);
  return { echo: whole(echo), roof: whole(roof), orders: whole(orders), raw, engine };
}

async function load(
  name: string,
  url: string,
  shape: { readonly connections: Connections; readonly time: number },
): Promise<LoadResult> {
  const { connections, time } = shape;
  const result = await runLoad({
    url,
    connections,
    seconds: time,
    tokensFile,
    productId: HOT_PRODUCT,
  });
  say(
    `  ${name}, ${connections} connections: ${Math.round(result.perSecond)}/s, ` +
      `p50 ${result.p50.toFixed(1)} ms, p99 ${result.p99.toFixed(1)} ms`,
  );
  if (result.failed > 0) throw new Error(`${result.failed} requests to ${name} failed`);
  return result;
}

function publish(measured: readonly Round[]): void {
  const facts = [
    `${new Date().toISOString()}, Node ${process.version}, PostgreSQL embedded, durable`,
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}`,
    `${rounds} rounds of ${seconds} s, interleaved; load by ${GENERATOR}; ${CUSTOMERS} customers, random keys`,
    'audit clean',
  ];
  const text = report(measured, facts);
  process.stdout.write(`\n${text}`);
  const directory = fileURLToPath(new URL('./results/', import.meta.url));
  mkdirSync(directory, { recursive: true });
  const name = join(directory, new Date().toISOString().replaceAll(':', '-').slice(0, 19));
  writeFileSync(`${name}.md`, text);
  writeFileSync(`${name}.json`, `${JSON.stringify({ facts, rounds: measured }, null, 2)}\n`);
  say(`written to ${name}.md and .json`);
}

/** Both connection counts were measured. */
function whole<T>(parts: Partial<Record<Connections, T>>): Record<Connections, T> {
  const { 64: few, 256: many } = parts;
  if (few === undefined || many === undefined) throw new Error('a measurement is missing');
  return { 64: few, 256: many };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`bench: --${name} must be a whole number above 0, not ${text}\n`);
  process.exit(2);
}

function say(message: string): void {
  process.stderr.write(`bench: ${message}\n`);
}
