/**
 * Why orders with a key were refused lately, for the customers who ask: by the id that the key stands
 * for, the newest refusal of each.
 *
 * I9: at most `REFUSALS_KEPT_MAX`, in two halves of which the older one is dropped whole. A queue that
 * lets them go one by one costs a flood of refusals three times as much: the map then spends its time
 * on what it deleted. Nobody is told of one that is older than `REFUSALS_KEPT_MS`.
 */
import { REFUSALS_KEPT_MAX, REFUSALS_KEPT_MS } from '../domain/inspection.ts';
import type { RefusalRecord } from '../domain/inspection.ts';
import type { LineReport, Refusal, RefusedItem } from '../domain/outcome.ts';
import type { PlaceCommand } from '../domain/wire.ts';

export class Refusals {
  /** By the id that the Idempotency-Key stands for. */
  #newer = new Map<string, RefusalRecord>();
  #older = new Map<string, RefusalRecord>();

  /** The order is refused; one without an Idempotency-Key cannot be asked for. */
  remember(command: PlaceCommand, record: RefusalRecord): void {
    const key = keyOf(command);
    if (key === null) return;
    if (this.#newer.size * 2 >= REFUSALS_KEPT_MAX) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, record);
  }

  /** There is an order of this key. */
  forget(command: PlaceCommand): void {
    if (this.#newer.size + this.#older.size === 0) return;
    const key = keyOf(command);
    if (key === null) return;
    this.#newer.delete(key);
    this.#older.delete(key);
  }

  /** `now`: milliseconds since the epoch. */
  find(key: string, now: number): RefusalRecord | null {
    const record = this.#newer.get(key) ?? this.#older.get(key);
    return record !== undefined && record.decidedAt >= now - REFUSALS_KEPT_MS ? record : null;
  }
}

/** A checkout has an id of its cart, and perhaps a key beside it. */
function keyOf({ id, keyed, cart }: PlaceCommand): string | null {
  if (cart !== null) return cart.key?.id ?? null;
  return keyed ? id : null;
}

/** What is remembered of a refusal, from the reports on all lines that it rests on. */
export function recordOf(
  { id }: PlaceCommand,
  { code, items }: Refusal,
  basis: { readonly reports: readonly LineReport[]; readonly decidedAt: number },
): RefusalRecord {
  const { reports, decidedAt } = basis;
  return { id, code, decidedAt, items: items.map((item) => recordedItem(item, reports)) };
}

function recordedItem(
  item: RefusedItem,
  reports: readonly LineReport[],
): RefusalRecord['items'][number] {
  const { productId, requested, available } = item;
  const ahead = reports.find((report) => report.productId === productId)?.sequence ?? 0;
  return available === undefined
    ? { productId, requested, ahead }
    : { productId, requested, ahead, available };
}
