/** A sale as its customers saw it, 100 ms by 100 ms: pure. */
import { percentiles } from './open-result.ts';
import type { OpenRequest, Percentiles } from './open-result.ts';

export const SLICE_MS = 100;

export interface Slice {
  /** Milliseconds since the first request was sent, at the beginning of the slice. */
  readonly atMs: number;
  /** Answers in the slice. */
  readonly accepted: number;
  readonly refused: number;
  /** Units that nobody has been promised, at its end. */
  readonly left: number;
}

export interface Sale {
  readonly units: number;
  readonly requests: number;
  readonly slices: readonly Slice[];
  /** From the first request sent to the last unit promised. */
  readonly soldOutMs: number;
  /** From the first request sent to the last answer. */
  readonly overMs: number;
  /** Answers per second: 201 until the last unit, 409 after it. */
  readonly acceptedPerSecond: number;
  readonly refusedPerSecond: number;
  /** Milliseconds from sending. */
  readonly accepted: Percentiles;
  readonly refused: Percentiles;
}

/**
 * @param units in stock when the sale began, one wanted by each request
 * @throws Error when they were not sold exactly, or any request was answered otherwise
 */
export function timelineOf(requests: readonly OpenRequest[], units: number): Sale {
  const accepted = requests.filter(({ status }) => status === 201);
  const refused = requests.filter(({ status }) => status === 409);
  const others = requests.length - accepted.length - refused.length;
  if (others > 0) throw new Error(`${others} answers were neither 201 nor 409`);
  if (accepted.length !== units) {
    throw new Error(`${accepted.length} of ${units} units were sold, ${refused.length} refused`);
  }
  const startAt = least(requests.map(({ sentAt }) => sentAt));
  const since = ({ sentAt, latencyMs }: OpenRequest) => sentAt + latencyMs - startAt;
  const soldOutMs = greatest(accepted.map(since));
  const overMs = greatest(requests.map(since));
  const late = refused.filter((request) => since(request) > soldOutMs);
  const slices = Array.from({ length: Math.floor(overMs / SLICE_MS) + 1 }, (_, n) => ({
    atMs: n * SLICE_MS,
    accepted: 0,
    refused: 0,
    left: units,
  }));
  for (const request of requests) {
    const slice = slices[Math.floor(since(request) / SLICE_MS)];
    if (slice !== undefined) slice[request.status === 201 ? 'accepted' : 'refused'] += 1;
  }
  let left = units;
  for (const slice of slices) {
    left -= slice.accepted;
    slice.left = left;
  }
  return {
    units,
    requests: requests.length,
    slices,
    soldOutMs,
    overMs,
    acceptedPerSecond: (units * 1000) / soldOutMs,
    refusedPerSecond: (late.length * 1000) / (overMs - soldOutMs),
    accepted: latencies(accepted),
    refused: latencies(refused),
  };
}

function latencies(requests: readonly OpenRequest[]): Percentiles {
  const found = percentiles(requests.map(({ latencyMs }) => latencyMs));
  if (found === null) throw new Error('a sale needs more customers than units');
  return found;
}

function least(values: readonly number[]): number {
  return values.reduce((found, value) => Math.min(found, value), Infinity);
}

function greatest(values: readonly number[]): number {
  return values.reduce((found, value) => Math.max(found, value), -Infinity);
}
