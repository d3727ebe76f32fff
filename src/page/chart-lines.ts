/** What a chart needs to know of its values before it draws them. No DOM in here. */

const POWERS = [1, 10, 100, 1_000, 10_000, 100_000, 1e6];

/** From one line of the grid to the next, of things that are counted. */
export const WHOLE_STEPS: readonly number[] = POWERS.flatMap((n) => [n, 2 * n, 5 * n]);
/** Of what may be broken: no quarters, since labels have one decimal place. */
export const STEPS: readonly number[] = [0.1, 0.2, 0.5, ...WHOLE_STEPS];

/** Where a value has nothing on either side: a line alone would not show it. */
export function lonePoints(values: readonly (number | null | undefined)[]): number[] {
  const has = (n: number) => (values[n] ?? null) !== null;
  return [...values.keys()].filter((n) => has(n) && !has(n - 1) && !has(n + 1));
}
