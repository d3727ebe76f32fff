let recentTime = Number.NaN;
let recentText = '';
let olderTime = Number.NaN;
let olderText = '';

/**
 * RFC 3339 UTC text of milliseconds since the epoch. The last two texts are kept, since orders of
 * one batch share both their times, and formatting a date costs as much as the rest of an order.
 */
export function timeText(time: number): string {
  if (time === recentTime) return recentText;
  if (time === olderTime) return olderText;
  olderTime = recentTime;
  olderText = recentText;
  recentTime = time;
  recentText = new Date(time).toISOString();
  return recentText;
}
