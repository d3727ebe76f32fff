/**
 * The regression guard: the commit that is checked out against another one, on POST /orders.
 *
 * Two processes of the very same code differ by several per cent for as long as they live, by the
 * luck of their memory layout and of what was compiled when. So every round starts both anew.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { withClient } from '../../src/db/client.ts';
import { oneUnit } from '../bench-database.ts';
import type { BenchCluster } from '../cluster.ts';
import { cpuOf, postgresCpu } from '../cpu.ts';
import { GENERATOR, runLoad } from '../http-load.ts';
import { median, ratioSummary } from '../statistics.ts';
import type { BenchRun, Suite, SuiteReport, Table } from '../suite.ts';
import { BENCH_JWT_SECRET, writeTokens } from '../tokens.ts';

const ROOT = join(import.meta.dirname, '../..');
const CONNECTIONS = [64, 256] as const;
const CUSTOMERS = 1000;
/** What is compiled last is compiled about now. */
const WARM_UP_SECONDS = 4;
/** It fails only when the whole interval is below. */
const RATIO_MIN = 0.95;
/** With fewer an interval says nothing, and nothing is failed. */
const ROUNDS_MIN = 7;
const SIDES = ['base', 'head'] as const;

const run = promisify(execFile);

type SideName = (typeof SIDES)[number];

/** What was measured of one side with one number of connections. */
interface Load {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** CPU microseconds per order. */
  readonly http: number;
  readonly otherThreads: number;
  readonly postgres: number;
}

/** By side, then as CONNECTIONS. */
type Round = Readonly<Record<SideName, readonly Load[]>>;

interface Bench {
  readonly run: BenchRun;
  readonly cluster: BenchCluster;
  readonly roots: Readonly<Record<SideName, string>>;
  readonly tokensFile: string;
  readonly bodiesFile: string;
}

export const suite: Suite = {
  name: 'guard',
  parameter: 'BASE',
  summary: 'HEAD against the commit BASE on POST /orders; fails when it is surely 5 % slower',
  minutes: 9,
  defaults: { rounds: 9, seconds: 4 },
  run: guard,
};

async function guard(benchRun: BenchRun): Promise<SuiteReport> {
  const { rounds, workDir, say, parameter } = benchRun;
  await assertClean();
  const names = { base: await commitOf(parameter), head: await commitOf('HEAD') };
  const bench: Bench = {
    run: benchRun,
    cluster: await benchRun.startCluster(),
    roots: {
      base: await checkOut(benchRun, 'base', names.base),
      head: await checkOut(benchRun, 'head', names.head),
    },
    tokensFile: join(workDir, 'tokens'),
    bodiesFile: join(workDir, 'bodies'),
  };
  writeTokens(bench.tokensFile, CUSTOMERS);
  writeFileSync(bench.bodiesFile, `${oneUnit().join('\n')}\n`);
  const measured: Round[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    say(`round ${n} of ${rounds}`);
    measured.push(await measureRound(bench, n));
  }
  return reportOf(measured, names);
}

/** Both in turn, the other one first in every other round. */
async function measureRound(bench: Bench, n: number): Promise<Round> {
  const loads: Partial<Record<SideName, readonly Load[]>> = {};
  for (const side of n % 2 === 0 ? SIDES : SIDES.toReversed()) {
    loads[side] = await measureSide(bench, side, n);
  }
  const { base = [], head = [] } = loads;
  return { base, head };
}

async function measureSide(bench: Bench, side: SideName, n: number): Promise<readonly Load[]> {
  const { run: benchRun, cluster } = bench;
  const root = bench.roots[side];
  const name = `${side}_${n}`;
  const databaseUrl = await createDatabase(root, cluster, name);
  const server = await benchRun.startTarget({
    file: relative(join(ROOT, 'bench'), join(root, 'src/main.ts')),
    env: {
      DATABASE_URL: databaseUrl,
      JWT_SECRET: BENCH_JWT_SECRET,
      PORT: '0',
      SHARDS: '1',
    },
  });
  let [accepted, cutOff] = [0, 0];
  const load = async (connections: number, seconds: number): Promise<Load> => {
    const { tokensFile, bodiesFile } = bench;
    const before = { server: cpuOf(server.pid), postgres: postgresCpu(cluster.pid) };
    const result = await runLoad({ url: server.url, connections, seconds, tokensFile, bodiesFile });
    const after = { server: cpuOf(server.pid), postgres: postgresCpu(cluster.pid) };
    if (result.failed > 0) throw new Error(`${result.failed} requests to ${side} failed`);
    accepted += result.accepted;
    // At the end of a load each connection may wait for an answer.
    cutOff += connections;
    const perOrder = (from: number, to: number) => ((to - from) * 1e6) / result.accepted;
    const others = (use: ReturnType<typeof cpuOf>) => use.shards + use.runtime;
    return {
      perSecond: result.perSecond,
      p50: result.p50,
      p99: result.p99,
      http: perOrder(before.server.main, after.server.main),
      otherThreads: perOrder(others(before.server), others(after.server)),
      postgres: perOrder(before.postgres, after.postgres),
    };
  };
  const loads: Load[] = [];
  await load(CONNECTIONS[0], WARM_UP_SECONDS);
  for (const connections of CONNECTIONS) {
    const measured = await load(connections, benchRun.seconds);
    benchRun.say(`  ${side}, ${connections} connections: ${Math.round(measured.perSecond)}/s`);
    loads.push(measured);
  }
  await server.stop();
  await audit(root, databaseUrl);
  const stored = await storedOrders(databaseUrl);
  if (stored < accepted || stored > accepted + cutOff) {
    throw new Error(`${side} accepted ${accepted} orders and stored ${stored}`);
  }
  await withClient(
    { databaseUrl: cluster.databaseUrl, applicationName: 'hedonify-bench' },
    (client) => client.query(`DROP DATABASE ${client.escapeIdentifier(name)}`),
  );
  return loads;
}

/** By that side's own code: its schema may be another one. */
async function createDatabase(root: string, cluster: BenchCluster, name: string): Promise<string> {
  const module = pathToFileURL(join(root, 'bench/bench-database.ts')).href;
  const script =
    `const { createBenchDatabase } = await import(${JSON.stringify(module)});` +
    `console.log(await createBenchDatabase(${JSON.stringify(cluster.databaseUrl)}, '${name}'));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  return stdout.trim();
}

async function storedOrders(databaseUrl: string): Promise<number> {
  const of = { databaseUrl, applicationName: 'hedonify-bench' };
  const sql = 'SELECT count(*)::integer AS orders FROM orders';
  const { rows } = await withClient(of, (client) => client.query<{ orders: number }>(sql));
  return rows[0]?.orders ?? 0;
}

/** @throws Error with its findings when that side's own audit finds a violation */
async function audit(root: string, databaseUrl: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: databaseUrl };
  await run(process.execPath, [join(root, 'src/audit.ts')], { env });
}

/** @throws Error when there is no such commit */
async function commitOf(name: string): Promise<string> {
  try {
    const { stdout } = await git('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
    return stdout.trim();
  } catch (cause) {
    throw new Error(`there is no commit ${name}`, { cause });
  }
}

/** @throws Error when there is more in the checkout than its commit: the report names commits */
async function assertClean(): Promise<void> {
  const { stdout } = await git('status', '--porcelain', '--untracked-files=no');
  if (stdout.trim() !== '') throw new Error(`commit first, the guard compares commits:\n${stdout}`);
}

function git(...args: string[]): ReturnType<typeof run> & Promise<{ stdout: string }> {
  return run('git', ['-C', ROOT, ...args], { encoding: 'utf8' });
}

/** A work tree of the commit with the packages that its lock file names; returns its path. */
async function checkOut(
  { workDir, atEnd, say }: BenchRun,
  side: SideName,
  sha: string,
): Promise<string> {
  const root = join(workDir, side);
  say(`checking out ${side} ${sha}`);
  await git('worktree', 'add', '--detach', root, sha);
  atEnd(async () => {
    await git('worktree', 'remove', '--force', root);
  });
  const [ours, theirs] = [ROOT, root].map((it) => readFileSync(join(it, 'package-lock.json')));
  if (ours !== undefined && theirs?.equals(ours) === true) {
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    return root;
  }
  say('its packages differ: npm ci');
  const install = spawn('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code]: unknown[] = await once(install, 'exit');
  if (code !== 0) throw new Error(`npm ci of ${sha} ended with ${String(code)}`);
  return root;
}

function reportOf(
  rounds: readonly Round[],
  names: Readonly<Record<SideName, string>>,
): SuiteReport {
  const ratios = CONNECTIONS.map((connections, i) => {
    const of = ({ base, head }: Round) => (head[i]?.perSecond ?? 0) / (base[i]?.perSecond ?? 0);
    return { connections, ...ratioSummary(rounds.map(of)) };
  });
  const slower = rounds.length < ROUNDS_MIN ? [] : ratios.filter(({ high }) => high < RATIO_MIN);
  const table: Table = {
    title: 'Head / base, taken inside each round',
    columns: ['connections', 'geometric mean', '95 % t-interval'],
    rows: ratios.map(({ connections, ratio, low, high }) => [
      `${connections}`,
      ratio.toFixed(3),
      `${low.toFixed(3)}–${high.toFixed(3)}`,
    ]),
  };
  return {
    title: 'Regression guard',
    notes: [
      `base ${names.base}, head ${names.head}`,
      `load by ${GENERATOR}; ${CUSTOMERS} customers, random keys; both started anew in each round`,
      'everything on that a side has: authentication, keys, logs, metrics, tracing at its default',
      'every database audited by its own side: clean, and its orders as many as were accepted',
      `fails only when a whole 95 % t-interval of ${ROUNDS_MIN} rounds or more is below ${RATIO_MIN}`,
    ],
    tables: [table, loadTable(rounds)],
    charts: [],
    data: { names, rounds },
    ...(slower.length > 0
      ? { failure: `slower with ${slower.map((it) => it.connections).join(' and ')} connections` }
      : {}),
  };
}

function loadTable(rounds: readonly Round[]): Table {
  const rows = SIDES.flatMap((side) =>
    CONNECTIONS.map((connections, i) => {
      const of = (figure: keyof Load) =>
        median(rounds.map((round) => round[side][i]?.[figure] ?? Number.NaN));
      return [
        `${side}, ${connections} connections`,
        of('perSecond').toFixed(0),
        of('p50').toFixed(1),
        of('p99').toFixed(1),
        ...[of('http'), of('otherThreads'), of('postgres')].map((us) => us.toFixed(1)),
      ];
    }),
  );
  return {
    title: 'Medians over rounds; CPU in microseconds per order',
    columns: ['', 'orders/s', 'p50 ms', 'p99 ms', 'HTTP thread', 'other threads', 'PostgreSQL'],
    rows,
  };
}
