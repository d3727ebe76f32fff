/**
 * Who comes when in a round. Whoever is loaded late meets larger tables and what others left behind:
 * of two rounds the second goes backwards, and each pair of rounds begins elsewhere.
 */
const STEP = 3;

/** @param round from 1 */
export function turnsOf<T>(seats: readonly T[], round: number): readonly T[] {
  const first = (STEP * Math.floor((round - 1) / 2)) % Math.max(1, seats.length);
  const turned = [...seats.slice(first), ...seats.slice(0, first)];
  return goesBackwards(round) ? turned.toReversed() : turned;
}

/** @param round from 1 */
export function goesBackwards(round: number): boolean {
  return round % 2 === 0;
}
