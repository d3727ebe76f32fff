/**
 * What a scenario is told: by bench/scenarios, or by hand as `k6 run -e URL=... -e TOKENS_FILE=...`.
 * The numbers that belong to a run stand in bench/scenarios/catalogue.ts; these are for a first try.
 */
import { SharedArray } from 'k6/data';

/** Of the server. */
export const SERVER_URL = __ENV['URL'] ?? 'http://127.0.0.1:3000';
/** Iterations per second at the scenario's peak. */
export const RATE = positive('RATE', 100);
/** Of the whole load. */
export const SECONDS = positive('SECONDS', 10);
/** Seeded products. */
export const PRODUCTS = positive('PRODUCTS', 12);
/** Off where the machine is too busy to say anything about time: only correctness is judged. */
export const JUDGES_SPEED = __ENV['SPEED'] !== 'off';

const tokens = new SharedArray('tokens', () =>
  open(__ENV['TOKENS_FILE'] ?? './tokens')
    .trim()
    .split('\n'),
);

/** Of the n-th customer; past the last one they come again. */
export function tokenOf(n: number): string {
  return tokens[n % tokens.length] ?? '';
}

function positive(name: string, otherwise: number): number {
  const value = Number(__ENV[name] ?? otherwise);
  if (value > 0) return value;
  throw new Error(`${name} must be a number above 0`);
}
