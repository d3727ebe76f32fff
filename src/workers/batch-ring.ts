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
  #kept: readonly KeptBatch[] = [];

  /** Without the traced orders: the ring is for looking at batches, and is kept (I9). */
  add(record: BatchRecord, toldAt: number): void {
    const kept = { toldAt, record: { ...record, traced: UNTRACED } };
    this.#kept = [...this.#kept.slice(1 - BATCHES_KEPT), kept];
  }

  /** Oldest first. */
  get kept(): readonly KeptBatch[] {
    return this.#kept;
  }

  /** `commitMs`: from sending to the COMMIT's tag, of those that committed. */
  summary(now: number): ShardView['batches'] {
    const [oldest] = this.#kept;
    if (oldest === undefined) return null;
    const recent = this.#kept.filter(({ toldAt }) => now - toldAt < RATE_MS);
    // A full ring may reach back less far than that.
    const full = recent.length === BATCHES_KEPT;
    const seconds = (full ? Math.max(1, now - oldest.toldAt) : RATE_MS) / 1000;
    const records = this.#kept.map(({ record }) => record);
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
