import type { Cursor, Page, PageRequest } from '../../src/domain/ports.ts';

interface Dated {
  readonly id: string;
  readonly createdAt: number;
}

/** One page, newest first by (createdAt, id). */
export function pageOf<T extends Dated>(rows: readonly T[], page: PageRequest): Page<T> {
  const position = (row: Dated): Cursor => ({ createdAtUs: `${row.createdAt}000`, id: row.id });
  const key = ({ createdAtUs, id }: Cursor): string => `${createdAtUs.padStart(20, '0')}${id}`;
  const sorted = rows
    .toSorted((a, b) => (key(position(a)) < key(position(b)) ? 1 : -1))
    .filter((row) => page.after === null || key(position(row)) < key(page.after));
  const items = sorted.slice(0, page.limit);
  const last = items.at(-1);
  return { items, next: sorted.length > items.length && last ? position(last) : null };
}
