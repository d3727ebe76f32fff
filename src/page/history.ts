/** How values moved: what charts and sparklines are drawn from. Bounded in time and in number (I9). */

export const HISTORY_SPAN_MS = 300_000;
/** A point a second, and the gaps between them. */
export const HISTORY_POINTS_MAX = 320;
/** What is late by less comes of a stream that was opened anew, which begins with its last event. */
const LATE_MS_MAX = 10_000;
/** Points further apart than this have nothing between them that a line may claim to know. */
export const GAP_MS = 3_500;

type Value = number | null;

/** Columns of the same length, oldest first: the form that uPlot draws. */
export class History<Name extends string> {
  readonly #times: number[] = [];
  readonly #columns: ReadonlyMap<Name, Value[]>;

  constructor(names: readonly Name[]) {
    this.#columns = new Map(names.map((name) => [name, []]));
  }

  /** Milliseconds since the epoch, rising. */
  get times(): readonly number[] {
    return this.#times;
  }

  column(name: Name): readonly Value[] {
    return this.#columns.get(name) ?? [];
  }

  /** What comes late is dropped, but a clock that was set back begins anew. */
  push(at: number, values: Readonly<Record<Name, Value>>): void {
    const last = this.#times.at(-1);
    if (last !== undefined && at <= last && at > last - LATE_MS_MAX) return;
    if (last !== undefined && at < last) this.#drop(this.#times.length);
    else if (last !== undefined && at - last > GAP_MS) this.#append(last + 1, null);
    this.#append(at, values);
    const first = this.#times.findIndex((time) => time >= at - HISTORY_SPAN_MS);
    this.#drop(Math.max(first, this.#times.length - HISTORY_POINTS_MAX));
  }

  #append(at: number, values: Readonly<Record<Name, Value>> | null): void {
    this.#times.push(at);
    for (const [name, column] of this.#columns) column.push(values === null ? null : values[name]);
  }

  #drop(points: number): void {
    if (points <= 0) return;
    this.#times.splice(0, points);
    for (const column of this.#columns.values()) column.splice(0, points);
  }
}

/** Histories by key, of at most `max` keys: the one that was not added to for longest goes first. */
export class Histories<Key, Name extends string> {
  readonly #names: readonly Name[];
  readonly #max: number;
  /** In the order in which they were added to. */
  readonly #kept = new Map<Key, History<Name>>();

  constructor(names: readonly Name[], max: number) {
    this.#names = names;
    this.#max = max;
  }

  get size(): number {
    return this.#kept.size;
  }

  get(key: Key): History<Name> | undefined {
    return this.#kept.get(key);
  }

  push(key: Key, at: number, values: Readonly<Record<Name, Value>>): void {
    const history = this.#kept.get(key) ?? new History(this.#names);
    this.#kept.delete(key);
    this.#kept.set(key, history);
    history.push(at, values);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#max) break;
      this.#kept.delete(oldest);
    }
  }
}
