import { describe, expect, test } from 'vitest';
import { turnsOf } from '../../bench/contenders/turns.ts';

const SEATS = ['roof', 'echo', 'engine', 'conditional', 'skip', 'lock', 'ticks', 'redis'];

describe('the turns of a contest', () => {
  test('whoever is early in one round is as late in the next', () => {
    const places = (round: number) => SEATS.map((seat) => turnsOf(SEATS, round).indexOf(seat));
    for (const round of [1, 3, 5]) {
      const next = places(round + 1);
      expect(places(round).map((place, n) => place + (next[n] ?? 0))).toEqual(
        SEATS.map(() => SEATS.length - 1),
      );
    }
  });

  test('every pair of rounds begins with others', () => {
    const firsts = [1, 2, 3, 4, 5, 6, 7].map((round) => turnsOf(SEATS, round)[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });
});
