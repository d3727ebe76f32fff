/** What a shard did since its owner began, in numbers that nothing is decided by. */
import type { ShardTotals } from '../domain/inspection.ts';
import type { RefusalCode, ShedCode } from '../domain/outcome.ts';

/** How often each thing happened; absent = never. */
export type Counts<K extends string> = { [Key in K]?: number };

export function countUp<K extends string>(counts: Counts<K>, key: K): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

export class Tally {
  /** Committed with this shard as their home. */
  orders = 0;
  /** Committed, of the products of this shard. */
  units = 0;
  replayed = 0;
  lapsed = 0;
  readonly refused: Counts<RefusalCode> = {};
  readonly shed: Counts<ShedCode> = {};

  get totals(): ShardTotals {
    const { orders, units, replayed, lapsed, refused, shed } = this;
    return { orders, units, replayed, lapsed, refused: { ...refused }, shed: { ...shed } };
  }
}
