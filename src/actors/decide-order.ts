/**
 * The decision on one order: all of its lines or none (I4), first failing code in order of
 * precedence, every failing line named. Pure; takes nothing.
 */
import type { UserId } from '../domain/ids.ts';
import { REFUSAL_CODES } from '../domain/outcome.ts';
import type { LineReport, Refusal, RefusalCode, RefusedItem } from '../domain/outcome.ts';
import type { LineAt } from './mailroom.ts';

/** Whether every line can be served, in one currency; `now`: milliseconds since the epoch. */
export function canServe(lines: readonly LineAt[], userId: UserId, now: number): boolean {
  const currency = lines[0]?.actor.product?.price.currency;
  for (const { line, actor } of lines) {
    if (actor.failureOf(line.quantity, userId, now) !== null) return false;
    if (actor.product?.price.currency !== currency) return false;
  }
  return true;
}

export function reportsOn(
  lines: readonly LineAt[],
  userId: UserId,
  now: number,
): readonly LineReport[] {
  return lines.map(({ line, actor }) => actor.reportOn(line, userId, now));
}

/** From the reports on all lines of an order; null when it can be accepted. */
export function refusalOf(reports: readonly LineReport[]): Refusal | null {
  let worst: RefusalCode | null = null;
  for (const { failure } of reports) {
    if (failure !== null && (worst === null || precedes(failure, worst))) worst = failure;
  }
  if ((worst === null || precedes('currency-mismatch', worst)) && mixesCurrencies(reports)) {
    return { type: 'refused', code: 'currency-mismatch', items: reports.map(itemOf) };
  }
  return worst === null ? null : refuse(worst, reports);
}

function refuse(code: RefusalCode, reports: readonly LineReport[]): Refusal {
  const failing = reports.filter(({ failure }) => failure === code);
  const items = failing.map((report) =>
    code === 'out-of-stock' ? { ...itemOf(report), available: report.available } : itemOf(report),
  );
  if (code !== 'sale-not-started') return { type: 'refused', code, items };
  const startsAt = Math.max(...failing.map((report) => report.saleStartsAt ?? 0));
  return { type: 'refused', code, items, startsAt };
}

function itemOf({ productId, quantity }: LineReport): RefusedItem {
  return { productId, requested: quantity };
}

function precedes(a: RefusalCode, b: RefusalCode): boolean {
  return REFUSAL_CODES.indexOf(a) < REFUSAL_CODES.indexOf(b);
}

function mixesCurrencies(reports: readonly LineReport[]): boolean {
  return reports.some(({ currency }) => currency !== reports[0]?.currency);
}
