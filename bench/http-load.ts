/** Closed-loop HTTP load: wrk where it is installed, autocannon otherwise. */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import autocannon from 'autocannon';

const SCRIPT = fileURLToPath(new URL('./lua/orders.lua', import.meta.url));
const hasWrk = spawnSync('wrk', ['-v']).error === undefined;

/** Named in the report, since their own costs differ. */
export const GENERATOR = hasWrk ? 'wrk' : 'autocannon';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly tokensFile: string;
  /** One JSON text a line, of one length. */
  readonly bodiesFile: string;
}

export interface LoadResult {
  /** Answers per second with a 2xx status. */
  readonly perSecond: number;
  readonly accepted: number;
  /** Answers with any other status, and requests without an answer. */
  readonly failed: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export function runLoad(options: LoadOptions): Promise<LoadResult> {
  return hasWrk ? runWrk(options) : runAutocannon(options);
}

interface WrkSummary {
  readonly requests: number;
  readonly durationUs: number;
  readonly statusErrors: number;
  readonly socketErrors: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const { connections, seconds, url, tokensFile, bodiesFile } = options;
  const shape = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s'];
  const script = ['-s', SCRIPT, url, '--', tokensFile, bodiesFile];
  const { stdout } = await promisify(execFile)('wrk', [...shape, ...script]);
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as WrkSummary;
  const accepted = summary.requests - summary.statusErrors;
  return {
    perSecond: accepted / (summary.durationUs / 1e6),
    accepted,
    failed: summary.statusErrors + summary.socketErrors,
    p50: summary.p50Us / 1000,
    p99: summary.p99Us / 1000,
  };
}

async function runAutocannon(options: LoadOptions): Promise<LoadResult> {
  const { connections, seconds, url, tokensFile, bodiesFile } = options;
  const [tokens, bodies] = [tokensFile, bodiesFile].map((file) =>
    readFileSync(file, 'utf8').trim().split('\n'),
  );
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    requests: [
      {
        method: 'POST',
        path: '/orders',
        setupRequest: (request) => ({
          ...request,
          body: oneOf(bodies),
          headers: {
            'content-type': 'application/json',
            authorization: `Bearer ${oneOf(tokens)}`,
            'idempotency-key': randomUUID(),
          },
        }),
      },
    ],
  });
  return {
    perSecond: result['2xx'] / result.duration,
    accepted: result['2xx'],
    failed: result.non2xx + result.errors,
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}

function oneOf(texts: readonly string[] = []): string {
  return texts[Math.floor(Math.random() * texts.length)] ?? '';
}
