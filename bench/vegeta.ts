/**
 * HTTP load by vegeta, request by request: at a constant rate (an open model: requests are sent when
 * they are due, however long others wait), or by customers who rush in once each.
 *
 * Targets are written before the load, each with a random UUIDv4 key and a random customer, so that
 * making them costs nothing meanwhile. Bounds: `REQUESTS_MAX` of a load, `WORKERS_MAX` waiting.
 */
import { spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { bounded } from './generator.ts';
import { parseRequest, summariseOpen } from './open-result.ts';
import type { OpenRequest, OpenResult } from './open-result.ts';

const INSTALL = 'go install github.com/tsenart/vegeta/v12@v12.13.0';
/** Half a kilobyte each in a file, and a tenth of that here. */
const REQUESTS_MAX = 1_000_000;
/** Requests without an answer at one moment; past it vegeta is late, and the latencies say so. */
const WORKERS_MAX = 15_000;
/** Past it a request counts as unanswered. */
const TIMEOUT_SECONDS = 15;
/** Of a rush, which is over when all are answered. */
const RUSH_SECONDS_MAX = 120;
/** To read the results of REQUESTS_MAX. */
const READ_SECONDS_MAX = 60;

interface Orders {
  /** Of the server. */
  readonly url: string;
  /** For the files of the load, removed at its end. */
  readonly workDir: string;
  /** One a line, each of another customer. */
  readonly tokensFile: string;
  /** One JSON text a line. */
  readonly bodiesFile: string;
}

export interface OpenLoadOptions extends Orders {
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
}

export interface RushOptions extends Orders {
  readonly requests: number;
  /** Requests without an answer at one moment. */
  readonly workers: number;
}

/** @throws Error when vegeta is missing, or did not send all that it was to */
export async function runOpenLoad(options: OpenLoadOptions): Promise<OpenResult> {
  const { rate, seconds } = options;
  const flags = ['-rate', `${rate}/1s`, '-max-workers', `${WORKERS_MAX}`];
  const requests = await attack(options, {
    requests: Math.floor(rate * seconds),
    seconds,
    flags,
  });
  return summariseOpen(requests, rate);
}

/** All requests once, as fast as they are answered; in the order of their answers. */
export async function runRush(options: RushOptions): Promise<OpenRequest[]> {
  const { requests, workers } = options;
  const flags = ['-rate', '0', '-workers', `${workers}`, '-max-workers', `${workers}`];
  return await attack(options, { requests, seconds: RUSH_SECONDS_MAX, flags });
}

async function attack(
  orders: Orders,
  load: {
    readonly requests: number;
    readonly seconds: number;
    readonly flags: readonly string[];
  },
): Promise<OpenRequest[]> {
  if (load.requests > REQUESTS_MAX) throw new Error(`more than ${REQUESTS_MAX} requests at once`);
  const targets = join(orders.workDir, 'vegeta-targets');
  const results = join(orders.workDir, 'vegeta-results');
  try {
    await writeTargets(targets, orders, load.requests);
    const files = ['-format', 'json', '-targets', targets, '-output', results, '-max-body', '0'];
    // Read as they are sent, they end the load when they run out: one that falls behind its rate
    // sends all of them nevertheless, and its lateness is counted. A duration would cut it short.
    const end = ['-lazy', '-timeout', `${TIMEOUT_SECONDS}s`];
    await ended(bounded(vegeta(['attack', ...files, ...end, ...load.flags]), load.seconds));
    const requests = await readResults(results);
    if (requests.length === load.requests) return requests;
    throw new Error(`vegeta sent ${requests.length} requests instead of ${load.requests}`);
  } finally {
    await Promise.all([targets, results].map((file) => rm(file, { force: true })));
  }
}

async function writeTargets(path: string, orders: Orders, count: number): Promise<void> {
  const url = `${orders.url}/orders`;
  const tokens = linesOf(orders.tokensFile);
  const bodies = linesOf(orders.bodiesFile).map((body) => Buffer.from(body).toString('base64'));
  const file = createWriteStream(path);
  for (let n = 0; n < count; n += 1) {
    const header = {
      'Content-Type': ['application/json'],
      Authorization: [`Bearer ${tokens[randomInt(tokens.length)]}`],
      'Idempotency-Key': [randomUUID()],
    };
    const body = bodies[randomInt(bodies.length)];
    const line = JSON.stringify({ method: 'POST', url, header, body });
    if (!file.write(`${line}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

async function readResults(path: string): Promise<OpenRequest[]> {
  const child = bounded(vegeta(['encode', '--to', 'csv', path]), READ_SECONDS_MAX);
  const end = ended(child);
  const requests: OpenRequest[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const request = parseRequest(line);
    if (request !== undefined) requests.push(request);
  }
  await end;
  return requests;
}

/** `go install` puts it where not every PATH leads. */
function vegeta(args: readonly string[]) {
  const path = [process.env['PATH'], join(homedir(), 'go', 'bin')].join(delimiter);
  return spawn('vegeta', args, {
    // A small heap, collected seldom: the processors are for the server.
    env: { ...process.env, PATH: path, GOGC: '400' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function ended(child: ReturnType<typeof vegeta>): Promise<void> {
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new Error(`vegeta does not start; it is installed by: ${INSTALL}`, { cause }));
    });
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`vegeta ended with ${code ?? child.signalCode}`);
}
