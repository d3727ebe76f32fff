/** What operators did and why, and the release of one order. */
import type { ActionJson } from './admin-api.ts';
import type { AdminClient } from './admin-client.ts';
import type { Question } from './deed-dialog.ts';
import { button, el, setAttribute, setText } from './elements.ts';
import { dateText, shortId } from './format.ts';
import type { LiveState } from './live-state.ts';
import { hashOf, uuidOf } from './page-route.ts';
import type { View } from './view.ts';

/** Rows at most, however often one asks for older ones. */
const ACTIONS_SHOWN_MAX = 500;
const COLUMNS = ['When', 'Action', 'Target', 'Reason', 'By', 'Outcome'];

export interface ActionsViewOptions {
  readonly client: Pick<AdminClient, 'actions'>;
  readonly onAsk: (question: Question) => void;
}

export class ActionsView implements View {
  readonly title = 'Actions';
  readonly root: HTMLElement;
  readonly #options: ActionsViewOptions;
  readonly #body = el('tbody', { role: 'rowgroup' });
  /** Of the products in the log: their names come with the events, if at all. */
  #names: { readonly productId: string; readonly node: HTMLElement }[] = [];
  #state: LiveState | null = null;
  readonly #table: HTMLElement;
  readonly #older = button('Older', () => void this.#load(this.#cursor), { hidden: true });
  readonly #message = el('p', { class: 'empty' }, 'Loading.');
  #cursor: string | null = null;
  #closed = false;

  constructor(options: ActionsViewOptions) {
    this.#options = options;
    const head = COLUMNS.map((name) => el('th', { scope: 'col', role: 'columnheader' }, name));
    this.#table = el(
      'div',
      { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Actions', hidden: true },
      el(
        'table',
        { class: 'actions', role: 'table' },
        el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...head)),
        this.#body,
      ),
    );
    this.root = el(
      'section',
      { class: 'view', 'aria-labelledby': 'view-title' },
      el(
        'div',
        { class: 'toolbar' },
        el('h1', { id: 'view-title', tabindex: '-1' }, 'Actions'),
        releaseForm(options.onAsk),
      ),
      this.#table,
      this.#message,
      el('div', { class: 'buttons' }, this.#older),
    );
    void this.#load(null);
  }

  /** The log itself is asked for when it is opened and when something was done. */
  update(state: LiveState): void {
    this.#state = state;
    this.#showNames();
  }

  close(): void {
    this.#closed = true;
  }

  /** From the newest again. */
  reload(): Promise<void> {
    return this.#load(null);
  }

  async #load(cursor: string | null): Promise<void> {
    const answer = await this.#options.client.actions(cursor);
    if (this.#closed) return;
    if (answer.type !== 'done') {
      const text = answer.type === 'refused' ? answer.text : 'The server cannot be reached.';
      this.#message.hidden = false;
      return setText(this.#message, text);
    }
    const { items, next_cursor } = answer.body;
    if (cursor === null) {
      this.#body.replaceChildren();
      this.#names = [];
    }
    this.#body.append(...items.map((action) => rowOf(action, this.#targetOf(action))));
    this.#showNames();
    const shown = this.#body.childElementCount;
    this.#cursor = next_cursor;
    this.#older.hidden = next_cursor === null || shown >= ACTIONS_SHOWN_MAX;
    this.#table.hidden = shown === 0;
    this.#message.hidden = shown > 0;
    setText(this.#message, 'Nobody has done anything yet.');
  }

  #targetOf({ kind, target }: ActionJson): readonly Node[] {
    if (kind === 'restart') return [el('span', {}, `shard ${target}`)];
    const id = el('code', { class: 'whole-id', title: target }, target);
    const productId = kind === 'release' ? undefined : uuidOf(target);
    if (productId === undefined) return [id];
    const node = el(
      'a',
      { href: hashOf({ view: 'actor', productId }), class: 'target' },
      'Product',
    );
    this.#names.push({ productId, node });
    return [node, id];
  }

  #showNames(): void {
    for (const { productId, node } of this.#names) {
      const name = this.#state?.actor(productId)?.name ?? null;
      if (name !== null) setText(node, name);
    }
  }
}

function rowOf(action: ActionJson, target: readonly Node[]): HTMLElement {
  const outcome = action.outcome ?? 'under way';
  const badge = el('span', { class: 'badge' }, outcome);
  setAttribute(badge, 'data-outcome', outcome === 'done' ? 'committed' : outcome);
  const cell = (name: string, ...children: readonly (Node | string)[]) =>
    el('td', { role: 'cell', class: `cell-${name}` }, ...children);
  return el(
    'tr',
    { role: 'row' },
    cell('sent', dateText(Date.parse(action.created_at))),
    cell('kind', action.kind),
    cell('target', ...target),
    cell('reason', action.reason ?? ''),
    cell('author', el('code', { title: action.author }, shortId(action.author))),
    cell('outcome', badge),
  );
}

function releaseForm(onAsk: (question: Question) => void): HTMLElement {
  const input = el('input', {
    type: 'text',
    id: 'release-order',
    placeholder: 'Order id',
    spellcheck: 'false',
    autocomplete: 'off',
    required: true,
  });
  const form = el(
    'form',
    { class: 'find' },
    el('label', { for: 'release-order' }, 'Release a hold'),
    input,
    el('button', { type: 'submit' }, 'Release…'),
  );
  input.addEventListener('input', () => input.setCustomValidity(''));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const orderId = uuidOf(input.value);
    if (orderId === undefined) {
      input.setCustomValidity('That is no order id.');
      input.reportValidity();
      return;
    }
    onAsk({
      deed: { kind: 'release', orderId },
      title: 'Release the hold of this order?',
      text: `Order ${orderId} is cancelled if it still waits for payment, and its units can be bought again.`,
      verb: 'Release',
      done: 'The order was cancelled, its units are available.',
    });
  });
  return form;
}
