/**
 * The regression guard: the commit that is checked out against another one, on POST /orders.
 *
 * Two processes of the very same code differ by several per cent for as long as they live, by the
 * luck of their memory layout and of what was compiled when. So every round starts both anew.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { oneUnit } from '../bench-database.ts';
import type { BenchCluster } from '../cluster.ts';
import { GENERATOR } from '../http-load.ts';
import { inDatabase } from '../in-database.ts';
import { bodiesFile, CUSTOMERS, tokensFile } from '../load-files.ts';
import { OrderAccount } from '../order-account.ts';
import { measureCost } from '../order-cost.ts';
import type { CostedLoad } from '../order-cost.ts';
import { countOrders } from '../orders-server.ts';
import { median, ratioSummary } from '../statistics.ts';
import type { BenchRun, Suite, SuiteReport, Table } from '../suite.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';

const ROOT = join(import.meta.dirname, '../..');
const CONNECTIONS = [64, 256] as const;
/** What is compiled last is compiled about now. */
const WARM_UP_SECONDS = 4;
/** It fails only when the whole interval is below. */
const RATIO_MIN = 0.95;
/** With fewer an interval says nothing, and nothing is failed. */
const ROUNDS_MIN = 7;
const SIDES = ['base', 'head'] as const;

const run = promisify(execFile);

type SideName = (typeof SIDES)[number];

/** By side, then as CONNECTIONS. */
type Round = Readonly<Record<SideName, readonly CostedLoad[]>>;

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
  const { rounds, say, parameter } = benchRun;
  await assertClean();
  const names = { base: await commitOf(parameter), head: await commitOf('HEAD') };
  const bench: Bench = {
    run: benchRun,
    cluster: await benchRun.startCluster(),
    roots: {
      base: await checkOut(benchRun, 'base', names.base),
      head: await checkOut(benchRun, 'head', names.head),
    },
    tokensFile: tokensFile(benchRun),
    bodiesFile: bodiesFile(benchRun, 'one-unit', oneUnit()),
  };
  const measured: Round[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    say(`round ${n} of ${rounds}`);
    measured.push(await measureRound(bench, n));
  }
  return reportOf(measured, names);
}

/** Both in turn, the other one first in every other round. */
async function measureRound(bench: Bench, n: number): Promise<Round> {
  const loads: Partial<Record<SideName, readonly CostedLoad[]>> = {};
  for (const side of n % 2 === 0 ? SIDES : SIDES.toReversed()) {
    loads[side] = await measureSide(bench, side, n);
  }
  const { base = [], head = [] } = loads;
  return { base, head };
}

async function measureSide(
  bench: Bench,
  side: SideName,
  n: number,
): Promise<readonly CostedLoad[]> {
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
  const account = new OrderAccount();
  const load = async (connections: number, seconds: number): Promise<CostedLoad> => {
    const files = { tokensFile: bench.tokensFile, bodiesFile: bench.bodiesFile };
    const costed = await measureCost(server, cluster, { ...files, connections, seconds });
    account.add({ accepted: costed.accepted, unheard: connections });
    return costed;
  };
  const loads: CostedLoad[] = [];
  await load(CONNECTIONS[0], WARM_UP_SECONDS);
  for (const connections of CONNECTIONS) {
    const measured = await load(connections, benchRun.seconds);
    benchRun.say(`  ${side}, ${connections} connections: ${Math.round(measured.perSecond)}/s`);
    loads.push(measured);
  }
  await server.stop();
  await audit(root, databaseUrl);
  account.close(side, await countOrders(databaseUrl));
  await inDatabase(cluster.databaseUrl, (client) =>
    client.query(`DROP DATABASE ${client.escapeIdentifier(name)}`),
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

/** @throws Error with its findings when that side's own audit finds a violation */
async function audit(root: string, databaseUrl: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: databaseUrl };
  await run(process.execPath, [join(root, 'src/audit.ts')], { env });
}

/** @throws Error when there is no such commit */
async function commitOf(name: string): Promise<string> {
  try {
    return await git('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
  } catch (cause) {
    throw new Error(`there is no commit ${name}`, { cause });
  }
}

/** @throws Error when there is more in the checkout than its commit: the report names commits */
async function assertClean(): Promise<void> {
  const changed = await git('status', '--porcelain', '--untracked-files=no');
  if (changed !== '') throw new Error(`commit first, the guard compares commits:\n${changed}`);
}

/** What it prints. */
async function git(...args: string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', ROOT, ...args]);
  return stdout.trim();
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
      const of = (figure: (load: CostedLoad) => number) =>
        median(rounds.map((round) => round[side].slice(i, i + 1).map(figure)[0] ?? Number.NaN));
      return [
        `${side}, ${connections} connections`,
        of((it) => it.perSecond).toFixed(0),
        of((it) => it.p50).toFixed(1),
        of((it) => it.p99).toFixed(1),
        of(({ cpu }) => cpu.http).toFixed(1),
        of(({ cpu }) => cpu.shards + cpu.runtime).toFixed(1),
        of(({ cpu }) => cpu.postgres).toFixed(1),
      ];
    }),
  );
  return {
    title: 'Medians over rounds; CPU in microseconds per order',
    columns: ['', 'orders/s', 'p50 ms', 'p99 ms', 'HTTP thread', 'other threads', 'PostgreSQL'],
    rows,
  };
}
