/** Numbers and times as an operator reads them: short, and of one width where they stand in rows. */

/** What stands where there is no value. */
export const NONE = '–';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en-US', {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const compact = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  maximumSignificantDigits: 4,
});

/** Written out below a million, `1.234M` from there on. */
export function countText(count: number | null): string {
  if (count === null) return NONE;
  return Math.abs(count) < 1_000_000 ? whole.format(count) : compact.format(count);
}

/** Per second. */
export function rateText(rate: number | null): string {
  if (rate === null) return NONE;
  if (rate > 0 && rate < 0.05) return '<0.1';
  return rate > 0 && rate < 9.95 ? tenths.format(rate) : countText(rate);
}

/** `<0.1 ms`, `0.4 ms`, `38 ms`, `1.2 s`, `2 min 10 s`, `3 h 5 min`. */
export function durationText(ms: number | null): string {
  if (ms === null) return NONE;
  if (ms > 0 && ms < 0.05) return '<0.1 ms';
  if (ms > 0 && ms < 9.95) return `${tenths.format(ms)} ms`;
  if (ms < 999.5) return `${whole.format(ms)} ms`;
  if (ms < 9_950) return `${tenths.format(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair([Math.floor(seconds / 60), 'min'], [seconds % 60, 's']);
  const minutes = Math.round(seconds / 60);
  if (minutes < 2880) return pair([Math.floor(minutes / 60), 'h'], [minutes % 60, 'min']);
  return `${whole.format(Math.round(minutes / 1440))} days`;
}

type Part = readonly [amount: number, unit: string];

function pair([large, largeUnit]: Part, [small, smallUnit]: Part): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

export function bytesText(bytes: number): string {
  const mebibytes = bytes / 1_048_576;
  return mebibytes < 1024
    ? `${whole.format(mebibytes)} MiB`
    : `${tenths.format(mebibytes / 1024)} GiB`;
}

/** Of a share between 0 and 1. */
export function percentText(share: number): string {
  const percent = share * 100;
  return percent > 0 && percent < 9.95
    ? `${tenths.format(percent)} %`
    : `${whole.format(percent)} %`;
}

/** Local time of the day, `14:03:07`, with `.042` where batches follow each other. */
export function clockText(time: number, precision: 'seconds' | 'milliseconds' = 'seconds'): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return NONE;
  const two = (n: number) => String(n).padStart(2, '0');
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (precision === 'seconds') return text;
  return `${text}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** Local day and time, `2030-01-02 14:03:07`. */
export function dateText(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return NONE;
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clockText(time)}`;
}

/** The end of an id, which differs where ids that begin with the time do not. */
export function shortId(id: string): string {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}

export interface Sale {
  readonly available: number;
  readonly soldOutAt: string | null;
  /** Milliseconds since the epoch, by the clock that `soldOutAt` is of. */
  readonly now: number;
}

/** When the stock is gone at the present pace. */
export function sellOutText({ available, soldOutAt, now }: Sale): string {
  if (available === 0) return 'sold out';
  if (soldOutAt === null) return NONE;
  const left = Date.parse(soldOutAt) - now;
  return left < 1000 ? 'now' : `in ${durationText(left)}`;
}

/** How much of a bound is used up: what an operator should look at first. */
export function toneOf(value: number, bound: number): 'calm' | 'warn' | 'alert' {
  const share = bound > 0 ? value / bound : 0;
  if (share >= 0.8) return 'alert';
  return share >= 0.5 ? 'warn' : 'calm';
}

/** The sum of counts by name, and the names by size. */
export function ranked(counts: Readonly<Record<string, number>>): {
  readonly total: number;
  readonly names: readonly (readonly [name: string, count: number])[];
} {
  const names = Object.entries(counts).filter(([, count]) => count > 0);
  names.sort(([, a], [, b]) => b - a);
  return { total: names.reduce((sum, [, count]) => sum + count, 0), names };
}
