/**
 * A flash sale over time: everybody comes at once, six for every unit, and keeps coming until each
 * has an answer. Exactly the stock is sold, and everybody else is told so.
 */
import { auditSold } from '../audit-sold.ts';
import { bodiesFile, orderOf, tokensFile } from '../load-files.ts';
import { addProducts, moreProduct } from '../more-products.ts';
import type { Percentiles } from '../open-result.ts';
import { countOrders, startOrders } from '../orders-server.ts';
import { SLICE_MS, timelineOf } from '../sale-timeline.ts';
import type { Sale } from '../sale-timeline.ts';
import { median } from '../statistics.ts';
import type { BenchRun, Chart, Suite, SuiteReport } from '../suite.ts';
import { runRush } from '../vegeta.ts';

const UNITS_PER_SECOND = 5000;
const DEMAND = 6;
const CUSTOMERS = 10_000;
/** Requests without an answer at one moment. */
const WAITING = 512;

export const suite: Suite = {
  name: 'drop',
  summary: 'a flash sale over time, six customers a unit, exactly the stock sold',
  minutes: 3,
  defaults: { rounds: 7, seconds: 4 },
  run: measure,
};

/** `--seconds` makes the stock: 20,000 units with its default. */
async function measure(run: BenchRun): Promise<SuiteReport> {
  const units = UNITS_PER_SECOND * run.seconds;
  const cluster = await run.startCluster();
  const server = await startOrders(run, {
    cluster,
    name: 'drop',
    // One more for the warm-up: a sale is of a product that nobody has asked for before.
    prepare: (databaseUrl) => addProducts(databaseUrl, { count: run.rounds + 1, units }),
  });
  const tokens = tokensFile(run, CUSTOMERS);
  const sell = async (n: number) => {
    const body = orderOf([moreProduct(n)]);
    const requests = await runRush({
      url: server.url,
      workDir: run.workDir,
      tokensFile: tokens,
      bodiesFile: bodiesFile(run, 'drop', [body]),
      requests: units * DEMAND,
      workers: WAITING,
    });
    return timelineOf(requests, units);
  };

  run.say('warming up');
  await sell(1);
  const sales: Sale[] = [];
  for (let n = 1; n <= run.rounds; n += 1) {
    const sale = await sell(n + 1);
    sales.push(sale);
    run.say(
      `round ${n} of ${run.rounds}: ${units} units in ${Math.round(sale.soldOutMs)} ms, ` +
        `${sale.requests - units} refused by ${Math.round(sale.overMs)} ms`,
    );
  }
  await server.stop();
  await auditSold(run, server);
  const stored = await countOrders(server.databaseUrl);
  const sold = units * (run.rounds + 1);
  if (stored !== sold) throw new Error(`${stored} orders are stored, and ${sold} were answered`);
  return report(sales, units);
}

function report(sales: readonly Sale[], units: number): SuiteReport {
  return {
    title: 'A flash sale over time',
    notes: [
      `${count(units)} units of one product, ${count(units * DEMAND)} requests of one unit each by ${count(CUSTOMERS)} customers with random keys; ${WAITING} of them wait for an answer at any moment, so demand is as high as the server lets it be. vegeta records every answer.`,
      'The product was never asked for before: its first request loads it. Another product each round.',
      `In every round ${count(units)} answers 201, all others 409 out-of-stock, and as many orders in PostgreSQL; audit clean. Anything else would not have been reported.`,
    ],
    tables: [
      { title: 'The sale', columns: ['figure', 'median', 'least', 'most'], rows: rowsOf(sales) },
      {
        title: 'Latency, ms from sending',
        columns: ['answers', 'p50', 'p90', 'p99', 'p99.9'],
        rows: [
          ['201', ...latencyCells(sales.map(({ accepted }) => accepted))],
          ['409', ...latencyCells(sales.map(({ refused }) => refused))],
        ],
      },
    ],
    charts: [chart(middleOf(sales))],
    data: { sliceMs: SLICE_MS, sales },
  };
}

function rowsOf(sales: readonly Sale[]): string[][] {
  const row = (name: string, figure: (sale: Sale) => number) => {
    const values = sales.map(figure);
    return [name, ...[median(values), Math.min(...values), Math.max(...values)].map(count)];
  };
  return [
    row('ms until the last unit was sold', (sale) => sale.soldOutMs),
    row('orders accepted per second until then', (sale) => sale.acceptedPerSecond),
    row('answers 409 per second afterwards', (sale) => sale.refusedPerSecond),
  ];
}

function latencyCells(all: readonly Percentiles[]): string[] {
  return (['p50', 'p90', 'p99', 'p999'] as const).map((key) =>
    median(all.map((it) => it[key])).toFixed(1),
  );
}

/** The round whose sale took the median time: a chart of averages would show a sale that never was. */
function middleOf(sales: readonly Sale[]): Sale {
  const sorted = sales.toSorted((a, b) => a.soldOutMs - b.soldOutMs);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('nothing was sold');
  return middle;
}

function chart(sale: Sale): Chart {
  const series = [
    { key: 'accepted', name: `accepted in ${SLICE_MS} ms` },
    { key: 'refused', name: `refused in ${SLICE_MS} ms` },
    { key: 'left', name: 'units left' },
  ] as const;
  const values = sale.slices.flatMap((slice) =>
    series.map(({ key, name }) => ({ second: slice.atMs / 1000, answers: slice[key], name })),
  );
  const x = {
    field: 'second',
    type: 'quantitative',
    title: 'seconds since the doors opened',
  } as const;
  const colour = { field: 'name', type: 'nominal', sort: series.map(({ name }) => name) } as const;
  const line = (title: string, kept: string) => ({
    width: 640,
    height: 160,
    transform: [{ filter: kept }],
    mark: { type: 'line', point: false, interpolate: 'step-after' } as const,
    encoding: { x, y: { field: 'answers', type: 'quantitative', title } as const, color: colour },
  });
  const left = `datum.name === ${JSON.stringify(series[2].name)}`;
  return {
    name: 'drop',
    spec: {
      title: `${count(sale.units)} units, ${count(sale.requests)} requests`,
      data: { values },
      vconcat: [line(`answers in ${SLICE_MS} ms`, `!(${left})`), line('units left', left)],
    },
  };
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
