import type { Product } from '../domain/product.ts';
import type { Issue } from './problem.ts';

type SaleWindow = Pick<Product, 'saleStartsAt' | 'saleEndsAt'>;

/** Milliseconds since the epoch; what is below a millisecond is dropped. Null = no bound. */
export function boundOf(time: string | null): number | null {
  return time === null ? null : Date.parse(time);
}

/** What is wrong with the sale window that a change makes of the one that was. */
export function windowIssue(window: SaleWindow, change: Partial<SaleWindow>): Issue | undefined {
  const { saleStartsAt = window.saleStartsAt, saleEndsAt = window.saleEndsAt } = change;
  if (saleStartsAt === null || saleEndsAt === null || saleStartsAt < saleEndsAt) return undefined;
  if (change.saleEndsAt !== undefined) {
    return { path: 'sale_ends_at', message: 'must be after sale_starts_at' };
  }
  // What was like that before does not stand in the way of another change.
  if (change.saleStartsAt === undefined) return undefined;
  return { path: 'sale_starts_at', message: 'must be before sale_ends_at' };
}

/** The other end is the product's own: whether they make a window holds for one version of it. */
export function movesOneEnd(change: Partial<SaleWindow>): boolean {
  return (change.saleStartsAt === undefined) !== (change.saleEndsAt === undefined);
}
