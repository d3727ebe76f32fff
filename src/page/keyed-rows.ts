/** Rows that stay the same elements while their values change and their order does. */

export interface Row<Item> {
  readonly root: HTMLElement;
  update(item: Item): void;
}

export interface KeyedRowsOptions<Item> {
  readonly parent: HTMLElement;
  readonly keyOf: (item: Item) => string;
  readonly create: (item: Item) => Row<Item>;
}

export class KeyedRows<Item> {
  readonly #options: KeyedRowsOptions<Item>;
  #rows = new Map<string, Row<Item>>();

  constructor(options: KeyedRowsOptions<Item>) {
    this.#options = options;
  }

  /** Shows these and no others. `hold`: those that are there stay where they are. */
  update(items: readonly Item[], { hold = false } = {}): void {
    const { parent, keyOf, create } = this.#options;
    const kept = new Map<string, Row<Item>>();
    for (const item of hold ? this.#inPlace(items) : items) {
      const key = keyOf(item);
      const row = this.#rows.get(key) ?? create(item);
      row.update(item);
      kept.set(key, row);
    }
    for (const [key, row] of this.#rows) if (!kept.has(key)) row.root.remove();
    this.#rows = kept;
    let place = parent.firstElementChild;
    for (const { root } of kept.values()) {
      if (root === place) place = place.nextElementSibling;
      else moveBefore(parent, root, place);
    }
  }

  #inPlace(items: readonly Item[]): readonly Item[] {
    const { keyOf } = this.#options;
    const byKey = new Map(items.map((item) => [keyOf(item), item]));
    const there = [...this.#rows.keys()].flatMap((key) => byKey.get(key) ?? []);
    return [...there, ...items.filter((item) => !this.#rows.has(keyOf(item)))];
  }
}

/** A row that is moved keeps the focus that is in it. */
function moveBefore(parent: HTMLElement, node: HTMLElement, place: Element | null): void {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, place);
  if (focused instanceof HTMLElement && document.activeElement !== focused) {
    focused.focus({ preventScroll: true });
  }
}
