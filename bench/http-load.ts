/** Closed-loop HTTP load: wrk where it is installed, autocannon otherwise. */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID, randomUUIDv7 } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { bounded } from './generator.ts';

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
  /** Idempotency keys: UUIDv4, which is the default, or UUIDv7. Each is used once. */
  readonly keys?: 'random' | 'time-prefixed';
  /** What is counted and not a failure; 2xx unless it is said that 4xx and 5xx are. */
  readonly expected?: 'accepted' | 'refused' | 'either';
}

export interface LoadResult {
  /** Expected answers per second. */
  readonly perSecond: number;
  /** Answers with a 2xx status. */
  readonly accepted: number;
  /** Answers with another status; wrk cannot tell 409 from 503, the server's own counts can. */
  readonly refused: number;
  /** Answers that were not expected, and requests without an answer. */
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
  const { connections, seconds, url, tokensFile, bodiesFile, keys = 'random' } = options;
  const shape = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s'];
  const script = ['-s', SCRIPT, url, '--', tokensFile, bodiesFile, keys];
  const wrk = promisify(execFile)('wrk', [...shape, ...script]);
  bounded(wrk.child, seconds);
  const { stdout } = await wrk;
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as WrkSummary;
  return {
    ...counted(options, {
      accepted: summary.requests - summary.statusErrors,
      refused: summary.statusErrors,
      unanswered: summary.socketErrors,
      seconds: summary.durationUs / 1e6,
    }),
    p50: summary.p50Us / 1000,
    p99: summary.p99Us / 1000,
  };
}

function counted(
  { expected = 'accepted' }: LoadOptions,
  counts: Readonly<Record<'accepted' | 'refused' | 'unanswered' | 'seconds', number>>,
): Pick<LoadResult, 'perSecond' | 'accepted' | 'refused' | 'failed'> {
  const { accepted, refused, unanswered, seconds } = counts;
  const right = { accepted, refused, either: accepted + refused }[expected];
  const failed = accepted + refused - right + unanswered;
  return { perSecond: right / seconds, accepted, refused, failed };
}

async function runAutocannon(options: LoadOptions): Promise<LoadResult> {
  const { connections, seconds, url, tokensFile, bodiesFile, keys } = options;
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
            'idempotency-key': keys === 'time-prefixed' ? randomUUIDv7() : randomUUID(),
          },
        }),
      },
    ],
  });
  return {
    ...counted(options, {
      accepted: result['2xx'],
      refused: result.non2xx,
      unanswered: result.errors,
      seconds: result.duration,
    }),
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}

function oneOf(texts: readonly string[] = []): string {
  return texts[Math.floor(Math.random() * texts.length)] ?? '';
}
