import { expect, it } from 'vitest';
import { zipfRank } from '../../bench/k6/lib/zipf-rank.ts';

const DRAWS = 200_000;

/** Park and Miller: a failure must be the same failure every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function drawn(ranks: number): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  const random = seeded(7);
  for (let n = 0; n < DRAWS; n += 1) {
    const rank = zipfRank(ranks, random);
    counts.set(rank, (counts.get(rank) ?? 0) + 1);
  }
  return counts;
}

it('asks for the n-th product 1/n as often as for the first, of 100,000', () => {
  const ranks = 100_000;
  let harmonic = 0;
  for (let rank = 1; rank <= ranks; rank += 1) harmonic += 1 / rank;
  const counts = drawn(ranks);
  for (const rank of [1, 2, 3, 10, 30]) {
    const expected = DRAWS / (rank * harmonic);
    const deviation = Math.abs((counts.get(rank) ?? 0) - expected) / Math.sqrt(expected);
    expect(deviation, `rank ${rank}`).toBeLessThan(4);
  }
  expect(Math.max(...counts.keys())).toBeGreaterThan(ranks * 0.9);
});

it('names no product that is not there, however few there are', () => {
  expect([...drawn(3).keys()].toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  expect([...drawn(1).keys()]).toEqual([1]);
});
