/**
 * The scenarios of bench/k6, one after another, each on a database and a server of its own; and each
 * as a suite of its own.
 */
import { createEmptyDatabase } from '../bench-database.ts';
import { runLoad } from '../http-load.ts';
import { bodiesFile, orderOf } from '../load-files.ts';
import { SCENARIOS, floodSeconds, overloadCapacity } from '../scenarios/catalogue.ts';
import type { Latency } from '../scenarios/k6-run.ts';
import { runScenario } from '../scenarios/run-scenario.ts';
import type { Outcome, Stage } from '../scenarios/run-scenario.ts';
import { counted } from '../scenarios/scenario.ts';
import type { Load, Scenario } from '../scenarios/scenario.ts';
import type { BenchRun, Suite, SuiteReport, Table } from '../suite.ts';

const DEFAULTS = { rounds: 1, seconds: 20 } as const;
const WARM_UP = { connections: 64, seconds: 2 } as const;
/** Start, load, audit. */
const MINUTES_PER_SCENARIO = 0.6;

interface Measured {
  readonly scenario: Scenario;
  readonly load: Load;
  readonly round: number;
  readonly outcome: Outcome;
}

export const suite = suiteOf('k6', 'ten scenarios in an open model, each audited', SCENARIOS);

/** `npm run bench -- k6-flash-sale` and so on. */
export const scenarioSuites: readonly Suite[] = SCENARIOS.map((scenario) =>
  suiteOf(`k6-${scenario.name}`, scenario.summary, [scenario]),
);

function suiteOf(name: string, summary: string, scenarios: readonly Scenario[]): Suite {
  return {
    name,
    summary,
    minutes: Math.ceil(scenarios.length * MINUTES_PER_SCENARIO),
    defaults: DEFAULTS,
    run: (run) => runAll(run, scenarios),
  };
}

async function runAll(run: BenchRun, scenarios: readonly Scenario[]): Promise<SuiteReport> {
  const cluster = await run.startCluster();
  const measured: Measured[] = [];
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const scenario of scenarios) {
      // Shorter than in the tests it does not get to its point.
      const seconds = Math.max(run.seconds, scenario.quick.seconds);
      const load = { rate: scenario.rate, seconds };
      run.say(`${scenario.name}: ${load.rate}/s at its peak, ${load.seconds} s`);
      const name = `${scenario.name}-${round}`;
      const databaseUrl = await createEmptyDatabase(cluster.databaseUrl, name);
      const outcome = await runScenario(scenario, load, stageOf(run, databaseUrl));
      measured.push({ scenario, load, round, outcome });
      run.say(`  ${outcome.seen.accepted} accepted, audit clean`);
    }
  }
  return {
    title: 'Scenarios',
    notes: [
      'Load by k6 in an open model on the same machine: it takes its share of the CPU, and latencies are worse for it. What was due and not begun, because every virtual user waited or k6 itself was late, is counted as dropped.',
      `Each server is warm: ${WARM_UP.seconds} s of orders for another product, in no count but under the audit.`,
      'Every scenario has a database and a server of its own and ends in the audit and in exact counts; a run in which either fails, or a threshold of correctness is crossed, is not reported. Thresholds of speed, and whether anybody is shed once an overload is over, are shown.',
      ...scenarios.map(({ name, summary }) => `${name}: ${summary}`),
    ],
    tables: [countsTable(measured), latencyTable(measured), ...overloadTables(measured)],
    charts: [],
    data: measured.map(({ scenario, load, round, outcome }) => ({
      scenario: scenario.name,
      round,
      load,
      ground: scenario.ground(load),
      ...outcome,
    })),
  };
}

function stageOf(run: BenchRun, databaseUrl: string): Stage {
  return {
    databaseUrl,
    workDir: run.workDir,
    judgesSpeed: true,
    start: ({ env, preload = [] }) =>
      run.startTarget({ file: '../src/main.ts', env: { PORT: '0', ...env }, preload }),
    warmUp: async ({ url, tokensFile, productId }) => {
      const bodies = bodiesFile(run, 'warm-up', [orderOf([productId])]);
      const { failed } = await runLoad({ url, tokensFile, bodiesFile: bodies, ...WARM_UP });
      if (failed > 0) throw new Error(`${failed} requests of the warm-up failed`);
    },
  };
}

function countsTable(measured: readonly Measured[]): Table {
  return {
    title: 'What became of every order',
    columns: [
      'scenario',
      'due',
      'dropped',
      'orders sent',
      'accepted',
      'replayed',
      'refused',
      'shed',
      'unknown',
      'other steps declined',
      'stored',
      'audit',
    ],
    rows: measured.map((it) => {
      const { seen, stored } = it.outcome;
      const due = it.scenario.due(it.load);
      const counts = [
        due,
        Math.max(0, due - seen.begun),
        seen.sent,
        seen.accepted,
        seen.replayed,
        seen.refused,
        seen.shed,
        seen.unseen,
        seen.stepsDeclined,
        stored.orders,
      ];
      return [nameOf(it), ...counts.map(whole), `${it.outcome.auditedRules} rules hold`];
    }),
  };
}

function latencyTable(measured: readonly Measured[]): Table {
  const shown = (count: number, { p50, p95, p99 }: Latency) =>
    [p50, p95, p99].map((ms) => (count === 0 ? '' : ms.toFixed(1)));
  return {
    title: 'Milliseconds until the answer',
    columns: [
      'scenario',
      'accepted p50',
      'p95',
      'p99',
      'refused or shed p50',
      'p95',
      'p99',
      'thresholds crossed',
    ],
    rows: measured.map((it) => {
      const { seen } = it.outcome;
      return [
        nameOf(it),
        ...shown(seen.accepted, seen.acceptedMs),
        ...shown(seen.refused + seen.shed, seen.declinedMs),
        seen.crossed.join('; ') || 'none',
      ];
    }),
  };
}

function overloadTables(measured: readonly Measured[]): Table[] {
  const rows = measured
    .filter(({ scenario }) => scenario.name === 'overload')
    .map((it) => {
      const { seen } = it.outcome;
      const [capacity, seconds] = [overloadCapacity(it.load), floodSeconds(it.load)];
      const goodput = counted(seen, 'flood_accepted') / seconds;
      return [
        nameOf(it),
        whole(capacity),
        whole(counted(seen, 'flood_sent') / seconds),
        whole(goodput),
        (goodput / capacity).toFixed(2),
        whole(counted(seen, 'recovered_accepted')),
        whole(counted(seen, 'recovered_shed')),
      ];
    });
  if (rows.length === 0) return [];
  const columns = ['scenario', 'capacity/s', 'offered/s', 'goodput/s', 'goodput / capacity'];
  const recovery = ['accepted when recovered', 'shed when recovered'];
  return [{ title: 'Overload', columns: [...columns, ...recovery], rows }];
}

function nameOf({ scenario, round }: Measured): string {
  return round === 1 ? scenario.name : `${scenario.name}, round ${round}`;
}

function whole(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}
