/**
 * `npm run bench -- [SUITE] [--rounds N] [--seconds S]`: runs one suite and writes what it measured
 * to bench/results/TIME-SUITE/ as a report, its plots, and all rounds in JSON.
 *
 * Exit codes: 0 = reported; 1 = the suite says in its report that it failed, or an audit failed or a
 * load was answered with what it must not, and nothing is reported; 2 = wrong usage; 130, 143 =
 * interrupted by SIGINT, SIGTERM. A bar that is missed says so in its table and the code stays 0:
 * a figure depends on the machine. The guard alone fails by one.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join, relative } from 'node:path';
import { openRun } from './bench-run.ts';
import { chartSvg } from './charts.ts';
import { machineFacts } from './machine.ts';
import { markdownOf } from './report.ts';
import type { SuiteReport } from './suite.ts';
import { SUITES } from './suites.ts';
import { parseUsage, UsageError, usageText } from './usage.ts';
import type { Usage } from './usage.ts';

const RESULTS = join(import.meta.dirname, 'results');
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

// An interrupted suite is still at work, and must not keep the process.
process.exit(await main());

async function main(): Promise<number> {
  try {
    const usage = parseUsage(process.argv.slice(2), SUITES);
    if (usage !== 'help') return await measure(usage);
    process.stdout.write(usageText(SUITES));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) say(`${error.message}; see npm run bench -- --help`);
    else console.error(error);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function measure({ suite, rounds, seconds, parameter }: Usage): Promise<number> {
  const interrupted = Promise.race(
    SIGNALS.map(
      (signal) =>
        // Once: a second one ends the process at once, whatever it leaves behind.
        new Promise<typeof signal>((resolve) => process.once(signal, () => resolve(signal))),
    ),
  );
  const startedAt = new Date();
  const open = await openRun({ rounds, seconds, parameter, say });
  try {
    const report = await Promise.race([suite.run(open.run), interrupted]);
    if (typeof report === 'string') {
      say(`${report}: stopping what runs; nothing is reported`);
      return 128 + constants.signals[report];
    }
    await publish(report, {
      suite: suite.name,
      startedAt,
      facts: [
        `${startedAt.toISOString()}, ${rounds} rounds of ${seconds} s a load`,
        ...machineFacts(),
        ...open.facts,
      ],
    });
    if (report.failure === undefined) return 0;
    say(`failed: ${report.failure}`);
    return 1;
  } finally {
    await open.close();
  }
}

async function publish(
  report: SuiteReport,
  of: { readonly suite: string; readonly startedAt: Date; readonly facts: readonly string[] },
): Promise<void> {
  const markdown = markdownOf(report, of.facts);
  process.stdout.write(`\n${markdown}\n`);
  const { facts, suite, startedAt } = of;
  const json = JSON.stringify({ suite, facts, data: report.data }, null, 1);
  const time = startedAt.toISOString().slice(0, 19).replaceAll(':', '-');
  const directory = join(RESULTS, `${time}-${suite}`);
  await mkdir(directory, { recursive: true });
  const write = (name: string, text: string) => writeFile(join(directory, name), text);
  // What was measured is written before a plot can fail.
  await write('data.json', `${json}\n`);
  await write('report.md', markdown);
  for (const { name, spec } of report.charts) await write(`${name}.svg`, await chartSvg(spec));
  say(`written to ${relative(process.cwd(), directory)}`);
}

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}
