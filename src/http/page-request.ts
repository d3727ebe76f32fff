import { PAGE_LIMIT_DEFAULT } from '../domain/bounds.ts';
import type { Cursor, Page, PageRequest } from '../domain/ports.ts';
import { decodeCursor, encodeCursor } from './page-cursor.ts';
import type { Issue } from './problem.ts';
import type { PageQuery } from './shared-schemas.ts';

/** The answer to a cursor that this service did not make. */
export const CURSOR_ISSUE: Issue = {
  path: 'query.cursor',
  message: 'must be the next_cursor of an earlier answer',
};

/** What the query asks for, or undefined when its cursor is malformed. */
export function pageRequestOf(query: PageQuery): PageRequest | undefined {
  let after: Cursor | null = null;
  if (query.cursor !== undefined) {
    const decoded = decodeCursor(query.cursor);
    if (decoded === undefined) return undefined;
    after = decoded;
  }
  return { limit: query.limit ?? PAGE_LIMIT_DEFAULT, after };
}

/** A page as the contract shows it. */
export function pageJson<T>(
  page: Page<T>,
  itemJson: (item: T) => object,
): { items: object[]; next_cursor: string | null } {
  return {
    items: page.items.map(itemJson),
    next_cursor: page.next === null ? null : encodeCursor(page.next),
  };
}
