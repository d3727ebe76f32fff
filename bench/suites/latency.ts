/**
 * How long an order takes at a rate that does not wait for it: an open model, at shares of the peak,
 * beside the roof (the same HTTP edge with nothing behind it) at the same rates.
 */
import { HOT_PRODUCT } from '../bench-database.ts';
import { auditSold } from '../audit-sold.ts';
import { GENERATOR, runLoad } from '../http-load.ts';
import { bodiesFile, CUSTOMERS, orderOf, tokensFile } from '../load-files.ts';
import type { OpenResult, Percentiles } from '../open-result.ts';
import { OrderAccount } from '../order-account.ts';
import type { HeardOrders } from '../order-account.ts';
import { orderCounts } from '../order-counts.ts';
import { startOrders } from '../orders-server.ts';
import { verdict } from '../report.ts';
import { median } from '../statistics.ts';
import type { BenchRun, Chart, Suite, SuiteReport, Table } from '../suite.ts';
import { runOpenLoad } from '../vegeta.ts';

const SHARES = [0.1, 0.3, 0.5, 0.7] as const;
/** Shares that DESIGN.md judges; at none of them may anybody be turned away. */
const JUDGED: readonly number[] = [0.3, 0.5];
const P50_MS_BAR = 5;
const P99_RATIO_BAR = 3;
const PEAK_CONNECTIONS = 256;
/** Loads of which the median is the peak. */
const PEAK_LOADS = 3;
const WARM_UP_SECONDS = 3;

const TARGETS = ['engine', 'roof'] as const;
type Target = (typeof TARGETS)[number];
type Round = Readonly<Record<Target, readonly OpenResult[]>>;

export const suite: Suite = {
  name: 'latency',
  summary: 'latency by offered load, engine and roof, open model',
  minutes: 10,
  defaults: { rounds: 7, seconds: 5 },
  run: measure,
};

async function measure(run: BenchRun): Promise<SuiteReport> {
  const cluster = await run.startCluster();
  const engine = await startOrders(run, { cluster, name: 'latency' });
  const roof = await run.startTarget({ file: './targets/roof.ts' });
  const urls = { engine: engine.url, roof: roof.url };
  const orders = {
    workDir: run.workDir,
    tokensFile: tokensFile(run),
    bodiesFile: bodiesFile(run, 'hot', [orderOf([HOT_PRODUCT])]),
  };
  const account = new OrderAccount();
  const peakOf = async (target: Target, seconds: number) => {
    const load = { ...orders, url: urls[target], connections: PEAK_CONNECTIONS, seconds };
    const { perSecond, accepted, failed } = await runLoad(load);
    if (failed > 0) throw new Error(`${failed} requests to the ${target} failed at its peak`);
    if (target === 'engine') account.add({ accepted, unheard: PEAK_CONNECTIONS });
    return perSecond;
  };

  run.say('warming up');
  for (const target of TARGETS) await peakOf(target, WARM_UP_SECONDS);
  const peaks: Record<Target, number[]> = { engine: [], roof: [] };
  for (let n = 0; n < PEAK_LOADS; n += 1) {
    for (const target of TARGETS) peaks[target].push(await peakOf(target, run.seconds));
  }
  const peak = median(peaks.engine);
  run.say(`peak ${Math.round(peak)}/s, of the roof ${Math.round(median(peaks.roof))}/s`);

  const rounds: Round[] = [];
  for (let n = 1; n <= run.rounds; n += 1) {
    const round: Record<Target, OpenResult[]> = { engine: [], roof: [] };
    for (const share of SHARES) {
      // Whoever comes second meets what the first one left.
      for (const target of n % 2 === 0 ? TARGETS : TARGETS.toReversed()) {
        const rate = Math.round(peak * share);
        const load = { ...orders, url: urls[target], rate, seconds: run.seconds };
        const result = await runOpenLoad(load);
        check(result, { target, share });
        if (target === 'engine') account.add(heardOf(result));
        round[target].push(result);
        run.say(`round ${n} of ${run.rounds}: ${target} at ${rate}/s, ${said(result)}`);
      }
    }
    rounds.push(round);
  }
  // A 503 of which the engine itself could not say what became of the order.
  for (const [kind, count] of await orderCounts(engine.url)) {
    if (kind.startsWith('unknown')) account.add({ accepted: 0, unheard: count });
  }
  await engine.stop();
  account.close(engine.name, await auditSold(run, engine));
  return report({ run, rounds, peaks });
}

function check(result: OpenResult, at: { readonly target: Target; readonly share: number }): void {
  // Beyond what is judged the engine may shed; an HTTP thread that is behind sheds with 408 as well.
  const strict = JUDGED.includes(at.share) || at.target === 'roof';
  const allowed = strict ? ['201'] : ['201', '503', '408'];
  const wrong = Object.keys(result.statuses).filter((status) => !allowed.includes(status));
  if (wrong.length === 0 && result.accepted !== null) return;
  const statuses = JSON.stringify(result.statuses);
  throw new Error(`${at.target} answered ${statuses} at ${at.share * 100} % of the peak`);
}

/** vegeta ends when the last request is answered, or is given up. */
function heardOf({ statuses }: OpenResult): HeardOrders {
  return { accepted: statuses['201'] ?? 0, unheard: statuses['0'] ?? 0 };
}

function said({ accepted, late }: OpenResult): string {
  return `p50 ${ms(accepted?.p50)}, p99 ${ms(accepted?.p99)}, sent late p99 ${ms(late.p99)} ms`;
}

interface Measured {
  readonly run: BenchRun;
  readonly rounds: readonly Round[];
  readonly peaks: Readonly<Record<Target, readonly number[]>>;
}

function report({ run, rounds, peaks }: Measured): SuiteReport {
  return {
    title: 'Latency by offered load',
    notes: [
      `Open model: vegeta sends at a constant rate whatever has been answered; shares of the engine's peak in this run, ${Math.round(median(peaks.engine))}/s by ${GENERATOR} with ${PEAK_CONNECTIONS} connections (the roof's: ${Math.round(median(peaks.roof))}/s).`,
      `Latencies count from the time at which a request was to be sent, so nothing is omitted when the generator itself is late; by how much it was is a column, and part of both latencies. The second ratio counts from the time of sending, where that part is in neither.`,
      `vegeta shares the processors with what it loads: at high shares of the peak the two compete, which wrk does less.`,
      `One product, one unit, ${CUSTOMERS} customers, random keys; ${run.rounds} rounds of ${run.seconds} s; medians over rounds.`,
      'The audit is clean; stored orders are those that were answered, but for those that the end of a closed-loop load cuts off.',
    ],
    tables: [latencyTable(rounds), barTable(rounds)],
    charts: [chart(rounds)],
    data: { peaks, rounds },
  };
}

/** The median over rounds of what one load says. */
function over(
  rounds: readonly Round[],
  at: { readonly target: Target; readonly place: number },
  figure: (result: OpenResult) => number,
): number {
  return median(
    rounds.map((round) => {
      const result = round[at.target][at.place];
      return result === undefined ? Number.NaN : figure(result);
    }),
  );
}

function latencyTable(rounds: readonly Round[]): Table {
  const rows = SHARES.flatMap((share, place) =>
    TARGETS.map((target) => {
      const of = (figure: (result: OpenResult) => number) =>
        over(rounds, { target, place }, figure);
      const accepted = (key: keyof Percentiles) => ms(of((it) => it.accepted?.[key] ?? Infinity));
      return [
        `${target}, ${share * 100} %`,
        Math.round(of((it) => it.offered)).toLocaleString('en-US'),
        Math.round(of((it) => it.goodput)).toLocaleString('en-US'),
        accepted('p50'),
        accepted('p90'),
        accepted('p99'),
        accepted('p999'),
        ms(of((it) => it.late.p99)),
        `${(100 * of((it) => 1 - (it.statuses['201'] ?? 0) / it.requests)).toFixed(1)} %`,
      ];
    }),
  );
  const columns = ['share of the peak', 'offered/s', 'accepted/s', 'p50 ms', 'p90 ms', 'p99 ms'];
  return {
    title: 'Latency of accepted orders',
    columns: [...columns, 'p99.9 ms', 'sent late, p99 ms', 'shed'],
    rows,
  };
}

/** Ratios are taken inside each round, and the worse of the two ways to count is judged. */
function barTable(rounds: readonly Round[]): Table {
  const rows = JUDGED.flatMap((share) => {
    const place = SHARES.findIndex((it) => it === share);
    const p50 = over(rounds, { target: 'engine', place }, (it) => it.accepted?.p50 ?? Infinity);
    const ratio = (figure: (result: OpenResult) => Percentiles | null) =>
      median(
        rounds.map(({ engine, roof }) => {
          const [ours, theirs] = [engine, roof].map((it) => it[place] && figure(it[place])?.p99);
          return (ours ?? Infinity) / (theirs ?? Number.NaN);
        }),
      );
    const due = ratio((it) => it.accepted);
    const sent = ratio((it) => it.acceptedFromSending);
    const percent = `at ${share * 100} % of the peak`;
    return [
      [`p50 ${percent}`, `${ms(p50)} ms`, `<= ${P50_MS_BAR} ms`, verdict(p50 <= P50_MS_BAR)],
      [
        `p99 / roof's ${percent}`,
        due.toFixed(2),
        `<= ${P99_RATIO_BAR}`,
        verdict(due <= P99_RATIO_BAR),
      ],
      [
        `the same from sending`,
        sent.toFixed(2),
        `<= ${P99_RATIO_BAR}`,
        verdict(sent <= P99_RATIO_BAR),
      ],
    ];
  });
  return { title: 'Against the bars', columns: ['figure', 'median', 'bar', ''], rows };
}

function chart(rounds: readonly Round[]): Chart {
  const values = SHARES.flatMap((_, place) =>
    TARGETS.flatMap((target) =>
      (['p50', 'p99'] as const).map((key) => ({
        offered: over(rounds, { target, place }, (it) => it.offered),
        ms: over(rounds, { target, place }, (it) => it.accepted?.[key] ?? Number.NaN),
        target,
        figure: key,
      })),
    ),
  );
  return {
    name: 'latency',
    spec: {
      title: 'Latency by offered load',
      data: { values },
      mark: 'line',
      encoding: {
        x: { field: 'offered', type: 'quantitative', title: 'orders offered per second' },
        y: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, title: 'ms (log)' },
        color: { field: 'target', type: 'nominal' },
        strokeDash: { field: 'figure', type: 'nominal' },
      },
    },
  };
}

function ms(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(value < 10 ? 2 : 1);
}
