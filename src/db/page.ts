/**
 * Keyset pagination, newest first by (created_at, id). A page starts strictly after a position, so
 * rows that arrive or change meanwhile can neither repeat nor hide another row.
 */
import type { Cursor, Page, PageRequest } from '../domain/ports.ts';

/**
 * Before every row: 9999-12-31 and the greatest UUID. The first page is the page after this
 * position, so that the condition stays one row comparison that an index can serve, instead of
 * an OR with "no cursor".
 */
const START: Cursor = {
  createdAtUs: '253402300799000000',
  id: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

/**
 * Values of the three parameters of a page: microseconds, id, and one row more than asked for,
 * which tells whether there is a next page.
 */
export function pageValues(page: PageRequest): readonly [string, string, number] {
  const after = page.after ?? START;
  return [after.createdAtUs, after.id, page.limit + 1];
}

/** Every row of a list carries its position; microseconds since the epoch stay below 2^53. */
interface Positioned {
  readonly id: string;
  readonly createdAtUs: number;
}

export function toPage<Row extends Positioned, T>(
  rows: readonly Row[],
  limit: number,
  convert: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(convert),
    next:
      last !== undefined && rows.length > limit
        ? { createdAtUs: String(last.createdAtUs), id: last.id }
        : null,
  };
}

/** Milliseconds since the epoch; the part below a millisecond is dropped, as PostgreSQL shows it. */
export function toMs(us: number): number {
  return Math.floor(us / 1000);
}
