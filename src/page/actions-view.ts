/** What operators did and why, and the release of one order. */
import type { ActionJson } from './admin-api.ts';
import type { AdminClient } from './admin-client.ts';
import type { Question } from './deed-dialog.ts';
import { button, el, setAttribute, setText } from './elements.ts';
import { dateText, shortId } from './format.ts';
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
  readonly #body = el('tbody');
  readonly #table: HTMLElement;
  readonly #older = button('Older', () => void this.#load(this.#cursor), { hidden: true });
  readonly #message = el('p', { class: 'empty' }, 'Loading.');
  #cursor: string | null = null;
  #closed = false;

  constructor(options: ActionsViewOptions) {
    this.#options = options;
    const head = COLUMNS.map((name) => el('th', { scope: 'col' }, name));
    this.#table = el(
      'div',
      { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Actions', hidden: true },
      el('table', { class: 'actions' }, el('thead', {}, el('tr', {}, ...head)), this.#body),
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

  update(): void {
    // The log is asked for when it is opened and when something was done.
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
    if (cursor === null) this.#body.replaceChildren();
    this.#body.append(...items.map(rowOf));
    const shown = this.#body.childElementCount;
    this.#cursor = next_cursor;
    this.#older.hidden = next_cursor === null || shown >= ACTIONS_SHOWN_MAX;
    this.#table.hidden = shown === 0;
    this.#message.hidden = shown > 0;
    setText(this.#message, 'Nobody has done anything yet.');
  }
}

function rowOf(action: ActionJson): HTMLElement {
  const outcome = action.outcome ?? 'under way';
  const badge = el('span', { class: 'badge' }, outcome);
  setAttribute(badge, 'data-outcome', outcome === 'done' ? 'committed' : outcome);
  return el(
    'tr',
    {},
    el('td', { class: 'cell-sent' }, dateText(Date.parse(action.created_at))),
    el('td', {}, action.kind),
    el('td', {}, targetOf(action)),
    el('td', { class: 'cell-reason' }, action.reason ?? ''),
    el('td', {}, el('code', { title: action.author }, shortId(action.author))),
    el('td', {}, badge),
  );
}

function targetOf({ kind, target }: ActionJson): Node {
  if (kind === 'restart') return el('span', {}, `shard ${target}`);
  const text = el('code', { title: target }, shortId(target));
  const productId = kind === 'release' ? undefined : uuidOf(target);
  if (productId === undefined) return text;
  return el('a', { href: hashOf({ view: 'actor', productId }) }, text);
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
