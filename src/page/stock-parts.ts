import type { StockJson } from './admin-api.ts';
import type { BarPart } from './bars.ts';
import { countText } from './format.ts';

/** Everything that was ever stocked, by what became of it. */
export function stockParts({ available, held, sold }: StockJson): BarPart[] {
  const part = (name: string, value: number | null, label: string): BarPart => ({
    name,
    value: value ?? 0,
    text: `${countText(value)} ${label}`,
  });
  return [
    part('sold', sold, 'sold'),
    part('held', held, 'held for payment'),
    part('available', available, 'available'),
  ];
}
