/** What vegeta recorded of each request, and the figures of a load: pure. */
import { quantile } from './statistics.ts';

/** One request; times in milliseconds, those since the epoch with fractions. */
export interface OpenRequest {
  /** In the order of sending, from 0. */
  readonly seq: number;
  readonly sentAt: number;
  readonly latencyMs: number;
  /** Of the answer; 0 = there was none. */
  readonly status: number;
}

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

export interface OpenResult {
  /** Requests per second that were to be sent, each at its time whatever became of the others. */
  readonly offered: number;
  readonly requests: number;
  /** Answers by status; '0' = requests without an answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Answers 201 per second, counted from the first to the last time of sending. */
  readonly goodput: number;
  /** Of answers 201, from the time at which the request was to be sent; null = there were none. */
  readonly accepted: Percentiles | null;
  /** The same from the time at which vegeta did send it: what `vegeta report` would say. */
  readonly acceptedFromSending: Percentiles | null;
  /** Of all other answers, from the time at which the request was to be sent; null = none. */
  readonly others: Percentiles | null;
  /** By how much vegeta sent later than it was to: what it adds to every latency. */
  readonly late: Percentiles;
}

/** As vegeta 12 ends a load whose targets have run out. */
const NO_TARGETS = 'no targets to attack';

/**
 * A line of `vegeta encode --to csv`; undefined for what was never sent since the targets had run
 * out. An error may hold commas, so the number of the request is counted from the end.
 *
 * @throws Error when it is none
 */
export function parseRequest(line: string): OpenRequest | undefined {
  const cells = line.split(',');
  if (cells.length < 12) throw new Error(`not a line of vegeta's results: ${line}`);
  const [sentNs, status, latencyNs] = cells.map(Number);
  const request = {
    seq: Number(cells.at(-4)),
    sentAt: Number(sentNs) / 1e6,
    latencyMs: Number(latencyNs) / 1e6,
    status: Number(status),
  };
  if (!Object.values(request).every(Number.isFinite)) {
    throw new Error(`not a line of vegeta's results: ${line}`);
  }
  return request.status === 0 && line.includes(NO_TARGETS) ? undefined : request;
}

/**
 * vegeta measures from when it sent a request; when it is late itself, as on a busy machine, it hides
 * the wait of everybody who was due meanwhile (coordinated omission). So latencies are taken from
 * the times of sending of a constant rate: the steady beat that no request was sent ahead of.
 *
 * @throws RangeError without requests
 */
export function summariseOpen(requests: readonly OpenRequest[], offered: number): OpenResult {
  // vegeta's own beat, in whole nanoseconds.
  const beatMs = Math.floor(1e9 / offered) / 1e6;
  const startAt = requests.reduce(
    (least, { sentAt, seq }) => Math.min(least, sentAt - seq * beatMs),
    Infinity,
  );
  const timed = requests.map((request) => {
    const lateMs = request.sentAt - (startAt + request.seq * beatMs);
    return { ...request, lateMs, totalMs: lateMs + request.latencyMs };
  });
  const accepted = timed.filter(({ status }) => status === 201);
  const endAt = startAt + requests.length * beatMs;
  const inTime = accepted.filter(({ sentAt, latencyMs }) => sentAt + latencyMs <= endAt);
  return {
    offered,
    requests: requests.length,
    statuses: countStatuses(requests),
    goodput: (inTime.length * 1000) / (endAt - startAt),
    accepted: percentiles(accepted.map(({ totalMs }) => totalMs)),
    acceptedFromSending: percentiles(accepted.map(({ latencyMs }) => latencyMs)),
    others: percentiles(timed.filter(({ status }) => status !== 201).map((it) => it.totalMs)),
    late: percentiles(timed.map(({ lateMs }) => lateMs)) ?? fail(),
  };
}

function countStatuses(requests: readonly OpenRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of requests) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Null = no values. */
export function percentiles(values: readonly number[]): Percentiles | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q: number) => quantile(sorted, q);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) };
}

function fail(): never {
  throw new RangeError('no requests');
}
