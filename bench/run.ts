/**
 * `npm run bench [-- --rounds N --seconds S]`: one run that interleaves echo, roof, the raw
 * COPY + merge pipeline, the engine without HTTP, POST /orders over HTTP, the same with one batch in
 * flight instead of two, and carts of three lines across four shards, then audits what was sold. Absolute figures belong to the machine; the ratios are what is judged.
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
import { createBenchDatabase, oneUnit, threeLineCarts } from './bench-database.ts';
import { ask, startServer, startWorker, stop } from './child.ts';
import { cpuOf, postgresCpu } from './cpu.ts';
import { GENERATOR, runLoad } from './http-load.ts';
import type { LoadOptions, LoadResult } from './http-load.ts';
import { RawPipeline } from './raw-pipeline.ts';
import type { RawShape } from './raw-pipeline.ts';
import { CONNECTIONS, report } from './report.ts';
import type { HttpLoads, Round } from './report.ts';
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
const oneUnitFile = join(workDir, 'one-unit');
const cartsFile = join(workDir, 'carts');
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

interface Server {
  readonly url: string;
  readonly pid: number;
}

interface Targets {
  readonly echo: Server;
  readonly roof: Server;
  readonly orders: Server;
  /** COMMITS_IN_FLIGHT_MAX=1. */
  readonly alone: Server;
  /** SHARDS=4. */
  readonly carts: Server;
  readonly raw: RawPipeline;
  readonly engine: ChildProcess;
  readonly engineAlone: ChildProcess;
}

async function main(): Promise<number> {
  const database = (name: string) => createBenchDatabase(cluster.databaseUrl, name);
  const sold = {
    orders: await database('orders'),
    alone: await database('alone'),
    carts: await database('carts'),
    engine: await database('engine'),
    engineAlone: await database('engine_alone'),
  };
  writeTokens(tokensFile, CUSTOMERS);
  writeFileSync(oneUnitFile, `${oneUnit().join('\n')}\n`);
  writeFileSync(cartsFile, `${threeLineCarts().join('\n')}\n`);
  const targets = await startTargets({ ...sold, raw: await database('raw') });
  say('warming up');
  await measureRound(targets, WARM_UP_SECONDS);
  const measured: Round[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    say(`round ${n} of ${rounds}`);
    measured.push(await measureRound(targets, seconds));
  }
  await Promise.all(children.splice(0).map(stop));
  for (const databaseUrl of Object.values(sold)) {
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

async function startTargets(
  urls: Readonly<Record<Exclude<keyof Targets, 'echo' | 'roof'>, string>>,
): Promise<Targets> {
  say('starting echo, roof, the servers and the engines');
  const server = async (databaseUrl: string, more: Readonly<Record<string, string>>) => {
    const common = { DATABASE_URL: databaseUrl, JWT_SECRET: BENCH_JWT_SECRET, PORT: '0' };
    const env = { ...common, ...more };
    return started(await startServer('../src/main.ts', { ready: READY_LINE, env }));
  };
  const engine = async (databaseUrl: string, inFlight: string) => {
    const child = await startWorker('./targets/engine.ts', [databaseUrl, inFlight]);
    children.push(child);
    return child;
  };
  return {
    echo: started(await startServer('./targets/echo.ts', { ready: URL_LINE })),
    roof: started(await startServer('./targets/roof.ts', { ready: URL_LINE })),
    orders: await server(urls.orders, { SHARDS: '1' }),
    alone: await server(urls.alone, { SHARDS: '1', COMMITS_IN_FLIGHT_MAX: '1' }),
    carts: await server(urls.carts, { SHARDS: '4' }),
    raw: await RawPipeline.open(urls.raw),
    engine: await engine(urls.engine, '2'),
    engineAlone: await engine(urls.engineAlone, '1'),
  };
}

function started(server: Server & { readonly child: ChildProcess }): Server {
  children.push(server.child);
  return server;
}

async function measureRound(targets: Targets, time: number): Promise<Round> {
  const measured: HttpLoads[] = [];
  for (const connections of CONNECTIONS) {
    const load = (name: string, { url }: Server, bodiesFile = oneUnitFile) =>
      measure(name, { url, bodiesFile, connections, seconds: time });
    const echo = await load('echo', targets.echo);
    const roof = await load('roof', targets.roof);
    const before = { server: cpuOf(targets.orders.pid), postgres: postgresCpu(cluster.pid) };
    const orders = await load('POST /orders', targets.orders);
    const after = { server: cpuOf(targets.orders.pid), postgres: postgresCpu(cluster.pid) };
    const alone = await load('POST /orders, one batch in flight', targets.alone);
    const carts = await load('carts of three lines, 4 shards', targets.carts, cartsFile);
    const perOrder = (used: number) => (used * 1e6) / orders.accepted;
    const http = after.server.main - before.server.main;
    const cpu = {
      http: perOrder(http),
      otherThreads: perOrder(after.server.all - before.server.all - http),
      postgres: perOrder(after.postgres - before.postgres),
    };
    measured.push({ connections, echo, roof, orders: { ...orders, cpu }, alone, carts });
  }
  const raw: Record<string, number> = {};
  for (const shape of RAW_SHAPES) {
    const name = `${shape.connections} x ${shape.batchOrders}`;
    raw[name] = await targets.raw.measure(shape, Math.max(1, Math.round(time / 2)));
    say(`  raw ${name}: ${Math.round(raw[name])}/s`);
  }
  const engine = await ask(targets.engine, time);
  const engineAlone = await ask(targets.engineAlone, time);
  say(
    `  engine without HTTP: ${Math.round(engine)}/s, ${Math.round(engineAlone)}/s with one batch`,
  );
  return { http: measured, raw, engine, engineAlone };
}

async function measure(
  name: string,
  options: Omit<LoadOptions, 'tokensFile'>,
): Promise<LoadResult> {
  const result = await runLoad({ ...options, tokensFile });
  say(
    `  ${name}, ${options.connections} connections: ${Math.round(result.perSecond)}/s, ` +
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

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`bench: --${name} must be a whole number above 0, not ${text}\n`);
  process.exit(2);
}

function say(message: string): void {
  process.stderr.write(`bench: ${message}\n`);
}
