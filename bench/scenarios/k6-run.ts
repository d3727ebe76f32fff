/** Runs one script of bench/k6 by k6 and reads what it counted. Nothing leaves this machine. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bounded } from '../generator.ts';

const VERSION = 'v1.8.1';
/** Where `go install` puts it; elsewhere it must be in PATH. */
const INSTALLED = join(homedir(), 'go', 'bin', 'k6');
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Of its complaints, in the message of an error. */
const SHOWN_CHARS_MAX = 2000;
/** What it says of itself when a threshold was crossed. */
const THRESHOLD_CROSSED = 99;

export interface K6Load {
  /** Without its ending. */
  readonly script: string;
  readonly serverUrl: string;
  readonly tokensFile: string;
  /** It is written there. */
  readonly summaryFile: string;
  /** Iterations per second at the peak. */
  readonly rate: number;
  readonly seconds: number;
  readonly products: number;
  /** Whether the thresholds of latency and rate count too. */
  readonly judgesSpeed: boolean;
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What the customers saw. */
export interface Seen {
  /** Iterations; fewer than were due where k6 had no idle virtual user, or no time itself. */
  readonly begun: number;
  readonly sent: number;
  readonly accepted: number;
  readonly replayed: number;
  readonly refused: number;
  readonly shed: number;
  /** Sent, and the customer does not know what became of it. */
  readonly unseen: number;
  /** Steps of shoppers other than the order that were shed or not answered. */
  readonly stepsDeclined: number;
  /** Answers that must not be. */
  readonly unexpected: number;
  readonly acceptedMs: Latency;
  /** Of refused and shed ones. */
  readonly declinedMs: Latency;
  /** Thresholds that were crossed, as "metric: threshold". */
  readonly crossed: readonly string[];
  /** Every counter that counted anything, also those that only this scenario has. */
  readonly counts: Readonly<Record<string, number>>;
}

type Metric = Readonly<Record<string, number>> & {
  /** True = crossed. */
  readonly thresholds?: Readonly<Record<string, boolean>>;
};

/**
 * Crossed thresholds are in what it returns: which of them are fatal is for the caller to say.
 *
 * @throws Error when k6 is missing, cannot run the script, or does not end in time
 */
export async function runK6(load: K6Load): Promise<Seen> {
  const plan = {
    URL: load.serverUrl,
    TOKENS_FILE: load.tokensFile,
    RATE: load.rate,
    SECONDS: load.seconds,
    PRODUCTS: load.products,
    SPEED: load.judgesSpeed ? 'on' : 'off',
  };
  const script = fileURLToPath(new URL(`../k6/${load.script}.ts`, import.meta.url));
  const told = Object.entries(plan).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const quiet = ['--quiet', '--no-color', '--no-usage-report', '--address', ''];
  const args = ['run', ...quiet, '--summary-export', load.summaryFile, ...told, script];
  await k6(args, load.seconds);
  const summary = JSON.parse(await readFile(load.summaryFile, 'utf8')) as {
    readonly metrics: Readonly<Record<string, Metric>>;
  };
  return seenOf(summary.metrics);
}

/** Resolves also when a threshold was crossed: the summary tells which. */
async function k6(args: readonly string[], seconds: number): Promise<void> {
  const program = existsSync(INSTALLED) ? INSTALLED : 'k6';
  try {
    const running = promisify(execFile)(program, args, {
      // Nothing of ours: k6 takes options from names that begin with K6_.
      env: { PATH: process.env['PATH'], HOME: homedir(), K6_AUTO_EXTENSION_RESOLUTION: 'false' },
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    bounded(running.child, seconds);
    await running;
  } catch (cause) {
    const { code, stderr } = cause as { readonly code?: unknown; readonly stderr?: string };
    if (code === THRESHOLD_CROSSED) {
      // What it complained of would be lost.
      process.stderr.write((stderr ?? '').slice(0, SHOWN_CHARS_MAX));
      return;
    }
    const why =
      code === 'ENOENT'
        ? `k6 is missing: go install go.k6.io/k6@${VERSION}`
        : `k6 failed: ${(stderr ?? '').slice(-SHOWN_CHARS_MAX)}`;
    throw new Error(why, { cause });
  }
}

function seenOf(metrics: Readonly<Record<string, Metric>>): Seen {
  const counts = Object.fromEntries(
    Object.entries(metrics).map(([name, { count = 0 }]) => [name, count] as const),
  );
  const count = (name: string) => counts[name] ?? 0;
  const latency = (name: string) => {
    const of = (quantile: string) => metrics[name]?.[quantile] ?? 0;
    return { p50: of('p(50)'), p95: of('p(95)'), p99: of('p(99)') };
  };
  const sent = count('orders_sent');
  const known = {
    accepted: count('orders_accepted'),
    replayed: count('orders_replayed'),
    refused: count('orders_refused'),
    shed: count('orders_shed'),
  };
  const answered = Object.values(known).reduce((sum, n) => sum + n, 0);
  return {
    begun: count('iterations'),
    sent,
    ...known,
    unseen: sent - answered,
    stepsDeclined: count('steps_declined'),
    unexpected: count('answers_unexpected'),
    acceptedMs: latency('accepted_ms'),
    declinedMs: latency('declined_ms'),
    crossed: Object.entries(metrics).flatMap(([metric, { thresholds = {} }]) =>
      Object.entries(thresholds).flatMap(([threshold, crossed]) =>
        crossed ? [`${metric}: ${threshold}`] : [],
      ),
    ),
    counts: Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0)),
  };
}
