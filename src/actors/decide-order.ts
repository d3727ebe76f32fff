/**
 * The decision on one order: all of its lines or none (I4), first failing code in order of
 * precedence, every failing line named. Pure; takes nothing.
 */
import { REFUSAL_CODES } from '../domain/outcome.ts';
import type { Refusal, RefusalCode, RefusedItem } from '../domain/outcome.ts';
import type { LineAt } from './mailroom.ts';

/** Null when the order can be accepted. `now`: milliseconds since the epoch. */
export function refusalOf(lines: readonly LineAt[], now: number): Refusal | null {
  let worst: RefusalCode | null = null;
  for (const { line, actor } of lines) {
    const failure = actor.failureOf(line.quantity, now);
    if (failure !== null && (worst === null || precedes(failure, worst))) worst = failure;
  }
  if ((worst === null || precedes('currency-mismatch', worst)) && mixesCurrencies(lines)) {
    return { type: 'refused', code: 'currency-mismatch', items: lines.map(itemOf) };
  }
  return worst === null ? null : refuse(worst, lines, now);
}

function refuse(code: RefusalCode, lines: readonly LineAt[], now: number): Refusal {
  const failing = lines.filter(({ line, actor }) => actor.failureOf(line.quantity, now) === code);
  const items = failing.map((at) =>
    code === 'out-of-stock' ? { ...itemOf(at), available: at.actor.available } : itemOf(at),
  );
  if (code !== 'sale-not-started') return { type: 'refused', code, items };
  const startsAt = Math.max(...failing.map(({ actor }) => actor.product?.saleStartsAt ?? now));
  return { type: 'refused', code, items, startsAt };
}

function itemOf({ line }: LineAt): RefusedItem {
  return { productId: line.productId, requested: line.quantity };
}

function precedes(a: RefusalCode, b: RefusalCode): boolean {
  return REFUSAL_CODES.indexOf(a) < REFUSAL_CODES.indexOf(b);
}

function mixesCurrencies(lines: readonly LineAt[]): boolean {
  const first = lines[0]?.actor.product?.price.currency;
  return lines.some(({ actor }) => actor.product?.price.currency !== first);
}
