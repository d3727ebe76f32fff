/** The last batches of one shard, whichever owners it had. */
import { BATCHES_KEPT } from '../domain/inspection.ts';
import type { BatchRecord, Percentiles, ShardView } from '../domain/inspection.ts';

/** Milliseconds over which batches are counted per second. */
const RATE_MS = 10_000;
/** Kept instead of the traced orders, which are as many as were placed. */
const UNTRACED: BatchRecord['traced'] = [];

export interface KeptBatch {
  /** When it was told; of a clock that is never set, milliseconds. */
  readonly toldAt: number;
  readonly record: BatchRecord;
}

export class BatchRing {
  /** At most BATCHES_KEPT; once full, the oldest stands at #next. */
  readonly #kept: KeptBatch[] = [];
  #next = 0;

  /** Without the traced orders: the ring is for looking at batches, and is kept (I9). */
  add(record: BatchRecord, toldAt: number): void {
    this.#kept[this.#next] = { toldAt, record: { ...record, traced: UNTRACED } };
    this.#next = (this.#next + 1) % BATCHES_KEPT;
  }

  /** Oldest first. */
  get kept(): readonly KeptBatch[] {
    if (this.#kept.length < BATCHES_KEPT) return this.#kept;
    return [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)];
  }

  /** `commitMs`: from sending to the COMMIT's tag, of those that committed. */
  summary(now: number): ShardView['batches'] {
    const { kept } = this;
    const [oldest] = kept;
    if (oldest === undefined) return null;
    const recent = kept.filter(({ toldAt }) => now - toldAt < RATE_MS);
    // A full ring may reach back less far than that.
    const full = recent.length === BATCHES_KEPT;
    const seconds = (full ? Math.max(1, now - oldest.toldAt) : RATE_MS) / 1000;
    const records = kept.map(({ record }) => record);
    const committed = records.filter(({ outcome }) => outcome === 'committed');
    return {
      perSecond: recent.length / seconds,
      orders: percentiles(records.map(({ orders }) => orders)),
      commitMs: percentiles(committed.map(({ totalMs }) => totalMs)),
    };
  }
}

/** Of no values 0. */
function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}
