/** Batches, a row each: how large, how long, and where the time went. */
import type { BatchJson } from './admin-api.ts';
import { StackedBar } from './bars.ts';
import { el, setAttribute, setText } from './elements.ts';
import { clockText, countText, durationText } from './format.ts';
import { KeyedRows } from './keyed-rows.ts';
import type { Row } from './keyed-rows.ts';
import { batchName } from './live-state.ts';

const COLUMNS = [
  ['Sent', 'sent'],
  ['Shard', 'shard'],
  ['Batch', 'name'],
  ['Orders', 'orders'],
  ['Changes', 'changes'],
  ['Waited', 'wait'],
  ['Copy, merge, commit', 'phases'],
  ['Total', 'total'],
  ['Outcome', 'outcome'],
] as const;

export class BatchTable {
  /** Scrolls sideways by itself where the screen is narrow. */
  readonly root: HTMLElement;
  readonly #rows: KeyedRows<BatchJson>;
  /** What a full bar stands for. */
  #fullMs = 1;

  constructor() {
    const body = el('tbody');
    this.#rows = new KeyedRows({
      parent: body,
      keyOf: batchName,
      create: () => new BatchRow(() => this.#fullMs),
    });
    const head = COLUMNS.map(([title, name]) =>
      el('th', { scope: 'col', class: `cell-${name}` }, title),
    );
    const table = el('table', { class: 'batches' }, el('thead', {}, el('tr', {}, ...head)), body);
    this.root = el(
      'div',
      { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Batches' },
      table,
    );
  }

  update(batches: readonly BatchJson[]): void {
    this.#fullMs = fullBarMs(batches);
    this.#rows.update(batches);
  }
}

class BatchRow implements Row<BatchJson> {
  readonly root: HTMLElement;
  readonly #cells = new Map(COLUMNS.map(([, name]) => [name, el('td', { class: `cell-${name}` })]));
  readonly #phases = new StackedBar();
  readonly #outcome = el('span', { class: 'badge' });
  readonly #fullMs: () => number;

  constructor(fullMs: () => number) {
    this.#fullMs = fullMs;
    this.root = el('tr', {}, ...this.#cells.values());
    this.#cells.get('phases')?.append(this.#phases.root);
    this.#cells.get('outcome')?.append(this.#outcome);
  }

  update(batch: BatchJson): void {
    this.#set('sent', clockText(Date.parse(batch.sent_at), 'milliseconds'));
    this.#set('shard', String(batch.shard));
    this.#set('name', `${batch.owner_id}/${batch.no}`);
    this.#set('orders', countText(batch.orders));
    this.#set('changes', countText(batch.changes));
    this.#set('wait', durationText(batch.wait_ms));
    this.#set('total', durationText(batch.total_ms));
    this.#phases.set(phasesOf(batch), this.#fullMs());
    const { outcome, cause } = batch;
    setText(this.#outcome, cause === null ? outcome : `${outcome}: ${cause}`);
    setAttribute(this.#outcome, 'data-outcome', outcome);
  }

  #set(name: (typeof COLUMNS)[number][1], text: string): void {
    const cell = this.#cells.get(name);
    if (cell !== undefined) setText(cell, text);
  }
}

/** Longer than most: the few that had to wait for something must not make all others look short. */
function fullBarMs(batches: readonly BatchJson[]): number {
  const committed = batches.filter(({ outcome }) => outcome === 'committed');
  const totals = committed.map(({ total_ms }) => total_ms).sort((a, b) => a - b);
  return Math.max(1, totals[Math.floor(totals.length * 0.95)] ?? 1);
}

function phasesOf({ copy_ms, merge_ms, commit_ms, total_ms }: BatchJson) {
  const part = (name: string, value: number) => ({
    name,
    value,
    text: `${name} ${durationText(value)}`,
  });
  if (copy_ms === null || merge_ms === null || commit_ms === null)
    return [part('failed', total_ms)];
  return [part('copy', copy_ms), part('merge', merge_ms), part('commit', commit_ms)];
}
