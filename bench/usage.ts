/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import type { Suite } from './suite.ts';

/** Measured when no suite is named. */
const DEFAULT_SUITE = 'headline';
/** More of either is a mistake, and days of load. */
const ROUNDS_MAX = 100;
const SECONDS_MAX = 600;

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Usage {
  readonly suite: Suite;
  /** Empty where the suite asks for none. */
  readonly parameter: string;
  readonly rounds: number;
  readonly seconds: number;
}

/** @throws UsageError with what was wrong, and where help is */
export function parseUsage(args: readonly string[], suites: readonly Suite[]): Usage | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const [name = DEFAULT_SUITE, parameter = '', ...more] = positionals;
  const suite = suites.find((it) => it.name === name);
  if (suite === undefined) {
    throw new UsageError(`${name} is no suite: ${suites.map((it) => it.name).join(', ')}`);
  }
  if (more.length > 0 || (parameter !== '') !== (suite.parameter !== undefined)) {
    throw new UsageError(`usage: npm run bench -- ${callOf(suite)}`);
  }
  const { defaults } = suite;
  return {
    suite,
    parameter,
    rounds: wholeNumber('rounds', values.rounds ?? String(defaults.rounds), ROUNDS_MAX),
    seconds: wholeNumber('seconds', values.seconds ?? String(defaults.seconds), SECONDS_MAX),
  };
}

export function usageText(suites: readonly Suite[]): string {
  const width = Math.max(...suites.map((suite) => callOf(suite).length));
  const lines = suites.map((suite) => {
    const { summary, minutes, defaults } = suite;
    const rounds = defaults.rounds === 1 ? '1 round' : `${defaults.rounds} rounds`;
    const times = `${rounds} of ${defaults.seconds} s, about ${minutes} min`;
    return `  ${callOf(suite).padEnd(width)}  ${summary} (${times})`;
  });
  return [
    'npm run bench -- [SUITE] [--rounds N] [--seconds S]',
    '',
    `Suites, ${DEFAULT_SUITE} unless one is named:`,
    ...lines,
    '',
    '--seconds is of one load. Reports go to bench/results/.',
    '',
  ].join('\n');
}

function callOf({ name, parameter }: Suite): string {
  return parameter === undefined ? name : `${name} ${parameter}`;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'not understood', {
      cause: error,
    });
  }
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0 && value <= max) return value;
  throw new UsageError(`--${name} must be a whole number from 1 to ${max}, not ${text}`);
}
