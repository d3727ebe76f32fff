/** `SIM_SEED=n npx vitest run test/sim/simulation.test.ts` replays one seed with its whole trace. */
import { expect, it } from 'vitest';
import type { ShardInspection } from '../../src/actors/inspection.ts';
import { ACTOR_SORTS } from '../../src/domain/inspection.ts';
import { simulate } from './simulation.ts';
import type { SimulationRun } from './simulation.ts';

const SEEDS = 300;
/** Of a seed that fails, unless it is replayed. */
const TRACE_LINES = 60;
/** A hunt through so many seeds is worth something only if all of this happened. */
// prettier-ignore
const KINDS = [
  'orders', 'orders of several shards', 'batches of several shards', 'checkouts', 'edited',
  'PAID', 'SHIPPING', 'COMPLETED', 'CANCELLED', 'EXPIRED', 'expired-until', 'first limits',
  'limits lifted', 'sold under a limit', 'sold in the first millisecond',
  'sold in the last millisecond', 'refused a millisecond early', 'refused when it ended',
  'accepted', 'accepted again', 'changed', 'changed again', 'status-changed', 'status-kept',
  'status-changed again', 'refused', 'insufficient-stock', 'key-reused', 'cart-changed',
  'product-not-found', 'product-not-for-sale', 'sale-not-started', 'sale-ended',
  'currency-mismatch', 'limit-exceeded', 'out-of-stock', 'version-differs', 'shed',
  'duplicates', 'rejected', 'replaced', 'outages',
  'quiet looks', 'live units seen', 'held units seen', 'holds unknown',
];
const SEED = process.env['SIM_SEED'];

/** A run, or an error with the seed and its trace. */
function play(seed: number): SimulationRun {
  try {
    return simulate(seed);
  } catch (cause) {
    const trace: string[] = [];
    try {
      simulate(seed, { onLine: (line) => trace.push(line) });
    } catch {
      // The same error again, and this time there is a trace.
    }
    const lines = SEED === undefined ? trace.slice(-TRACE_LINES) : trace;
    throw new Error(`seed ${seed}: ${String(cause)}\n${lines.join('\n')}`, { cause });
  }
}

it('keeps every promise while shards die and PostgreSQL fails (I1, I3 to I10)', () => {
  const first = Number(SEED ?? 1);
  const last = SEED === undefined ? SEEDS : first;
  const seen: Record<string, number> = {};
  for (let seed = first; seed <= last; seed += 1) {
    for (const [what, times] of Object.entries(play(seed).seen)) {
      seen[what] = (seen[what] ?? 0) + times;
    }
  }
  const missing = KINDS.filter((kind) => (seen[kind] ?? 0) < 20);
  expect(SEED === undefined ? missing : []).toEqual([]);
});

it('gives equal traces for equal seeds, and others for others', () => {
  const [once, again, other] = [play(1), play(1), play(2)];
  expect(again).toEqual(once);
  expect(other.hash).not.toBe(once.hash);
});

it('takes the same course whether somebody looks or not', () => {
  const look = (inspection: ShardInspection, now: number): void => {
    const { ownerId } = inspection.part(now);
    for (const sort of ACTOR_SORTS) {
      for (const { productId, ...part } of inspection.actors({ sort, limit: 3 }, now)) {
        const alone = inspection.actor(productId, now);
        expect({ ...part, ownerId }).toEqual({ ...alone, productId: undefined });
        inspection.held([productId], now);
      }
    }
  };
  for (let seed = 1; seed <= 3; seed += 1) expect(simulate(seed, { look })).toEqual(play(seed));
});
