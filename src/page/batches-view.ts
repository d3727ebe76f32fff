/** The last batches of all shards. */
import type { AdminClient } from './admin-client.ts';
import type { BatchJson } from './admin-api.ts';
import { BatchTable } from './batch-table.ts';
import { button, el, setAttribute, setText } from './elements.ts';
import { BATCHES_SHOWN } from './live-state.ts';
import type { LiveState } from './live-state.ts';
import type { View } from './view.ts';

/** Of one answer of GET /admin/batches. */
const ASKED = 100;
const LISTED = 100;

export class BatchesView implements View {
  readonly title = 'Batches';
  readonly root: HTMLElement;
  readonly #table = new BatchTable();
  readonly #hold = button('Hold', () => this.#toggleHold(), { 'aria-pressed': 'false' });
  readonly #failed = el('input', { type: 'checkbox', id: 'only-failed' });
  readonly #empty = el('p', { class: 'empty' });
  #state: LiveState | null = null;
  #held: readonly BatchJson[] | null = null;

  constructor(client: Pick<AdminClient, 'batches'>) {
    const legend = ['copy', 'merge', 'commit'].map((name) =>
      el('span', { class: 'legend' }, el('span', { class: `legend-key part-${name}` }), name),
    );
    this.#failed.addEventListener('change', () => this.#show());
    this.root = el(
      'section',
      { class: 'view', 'aria-labelledby': 'view-title' },
      el(
        'div',
        { class: 'toolbar' },
        el('h1', { id: 'view-title', tabindex: '-1' }, 'Last batches'),
        ...legend,
        el('label', { class: 'check' }, this.#failed, 'Failed only'),
        el('div', { class: 'buttons' }, this.#hold),
      ),
      this.#table.root,
      this.#empty,
    );
    void this.#fetch(client);
  }

  update(state: LiveState): void {
    this.#state = state;
    this.#show();
  }

  /** Those of before the page was opened. */
  async #fetch(client: Pick<AdminClient, 'batches'>): Promise<void> {
    const answer = await client.batches(ASKED);
    if (answer.type !== 'done') return;
    this.#state?.addBatches(answer.body.items);
    this.#show();
  }

  #toggleHold(): void {
    this.#held = this.#held === null ? (this.#state?.batches ?? []) : null;
    setAttribute(this.#hold, 'aria-pressed', String(this.#held !== null));
    setText(this.#hold, this.#held === null ? 'Hold' : 'Follow');
    this.#show();
  }

  #show(): void {
    const batches = this.#held ?? this.#state?.batches ?? [];
    const shown = this.#failed.checked
      ? batches.filter(({ outcome }) => outcome !== 'committed')
      : batches;
    this.#table.update(shown.slice(0, LISTED));
    this.#table.root.hidden = shown.length === 0;
    this.#empty.hidden = shown.length > 0;
    setText(
      this.#empty,
      batches.length === 0
        ? 'No batch was sent yet.'
        : `None of the last ${Math.min(batches.length, BATCHES_SHOWN)} failed.`,
    );
  }
}
