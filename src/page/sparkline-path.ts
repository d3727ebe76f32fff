interface SparklineBox {
  /** How many points the full width has room for. */
  readonly points: number;
  readonly width: number;
  readonly height: number;
}

/** SVG paths of a line and of what is below it; the newest value is last and stands at the right. */
export function sparklinePaths(
  values: readonly (number | null)[],
  { points, width, height }: SparklineBox,
): { readonly line: string; readonly area: string } {
  const shown = values.slice(-points);
  const top = Math.max(1e-9, ...shown.map((value) => value ?? 0));
  const step = width / Math.max(1, points - 1);
  const x = (n: number) => round(width - (shown.length - 1 - n) * step);
  // A unit of air above and below, so that the stroke is not cut.
  const y = (value: number) => round(height - 1 - (value / top) * (height - 2));
  let line = '';
  let area = '';
  let from: number | null = null;
  shown.forEach((value, n) => {
    if (value === null) {
      from = null;
      return;
    }
    line += `${from === null ? 'M' : 'L'}${x(n)} ${y(value)}`;
    from ??= n;
    const ends = n === shown.length - 1 || shown[n + 1] === null;
    if (!ends) return;
    const tops = shown.slice(from, n + 1).map((it, k) => `L${x((from ?? 0) + k)} ${y(it ?? 0)}`);
    area += `M${x(from)} ${height}${tops.join('')}L${x(n)} ${height}Z`;
  });
  return { line, area };
}

function round(coordinate: number): number {
  return Math.round(coordinate * 10) / 10;
}
