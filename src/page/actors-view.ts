/** The hottest products, a row each. */
import { ACTOR_SORTS } from './admin-api.ts';
import type { ActorJson, ActorSort } from './admin-api.ts';
import { Meter, StackedBar } from './bars.ts';
import { el, setAttribute, setText } from './elements.ts';
import { countText, durationText, NONE, ranked, rateText, sellOutText } from './format.ts';
import { KeyedRows } from './keyed-rows.ts';
import type { Row } from './keyed-rows.ts';
import type { LiveState } from './live-state.ts';
import { hashOf, uuidOf } from './page-route.ts';
import { Sparkline } from './sparkline.ts';
import { stockParts } from './stock-parts.ts';
import type { View } from './view.ts';

const SORT_NAMES: Readonly<Record<ActorSort, string>> = {
  rate: 'Rate',
  depth: 'Depth',
  oldest: 'Oldest wait',
  stock: 'Stock left',
};
/** A minute of sparkline. */
const SPARK_POINTS = 60;
const COLUMNS = ['Product', 'Mailbox', 'Oldest', 'Orders / s', 'Stock', 'Sells out', 'Refused'];

export class ActorsView implements View {
  readonly title = 'Actors';
  readonly root: HTMLElement;
  readonly #body = el('tbody', { role: 'rowgroup' });
  readonly #empty = el('p', { class: 'empty', hidden: true });
  readonly #held = el('span', { class: 'hint', hidden: true }, 'order held while you point at it');
  readonly #rows: KeyedRows<ActorJson>;
  #state: LiveState | null = null;

  constructor(sort: ActorSort) {
    this.#rows = new KeyedRows({
      parent: this.#body,
      keyOf: ({ product_id }) => product_id,
      create: (actor) => new ActorRow(actor, () => this.#state),
    });
    const head = COLUMNS.map((name) => el('th', { scope: 'col', role: 'columnheader' }, name));
    this.root = el(
      'section',
      { class: 'view', 'aria-labelledby': 'view-title' },
      el(
        'div',
        { class: 'toolbar' },
        el('h1', { id: 'view-title', tabindex: '-1' }, 'Hottest actors'),
        sortLinks(sort),
        this.#held,
        findForm(),
      ),
      el(
        'table',
        { class: 'actors', role: 'table' },
        el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...head)),
        this.#body,
      ),
      this.#empty,
    );
  }

  update(state: LiveState): void {
    this.#state = state;
    const actors = state.latest?.actors ?? [];
    const hold = this.#body.matches(':hover') || this.#body.matches(':focus-within');
    this.#held.hidden = !hold;
    this.#rows.update(actors, { hold });
    this.#empty.hidden = actors.length > 0;
    setText(this.#empty, state.latest === null ? 'Waiting for the first event.' : EMPTY);
  }
}

const EMPTY = 'No actor is in memory: nobody has ordered anything since the engine started.';

function sortLinks(sort: ActorSort): HTMLElement {
  const links = ACTOR_SORTS.map((name) =>
    el(
      'a',
      {
        href: hashOf({ view: 'actors', sort: name }),
        ...(name === sort ? { 'aria-current': 'true' } : {}),
      },
      SORT_NAMES[name],
    ),
  );
  return el('nav', { class: 'segments', 'aria-label': 'Sort by' }, ...links);
}

/** To the actor of a product that is not among the hottest. */
function findForm(): HTMLElement {
  const input = el('input', {
    type: 'search',
    placeholder: 'Open a product id',
    'aria-label': 'Open a product id',
    spellcheck: 'false',
  });
  const form = el('form', { class: 'find', role: 'search' }, input);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const productId = uuidOf(input.value);
    input.setCustomValidity(productId === undefined ? 'That is no product id.' : '');
    if (productId === undefined) input.reportValidity();
    else location.hash = hashOf({ view: 'actor', productId });
  });
  input.addEventListener('input', () => input.setCustomValidity(''));
  return form;
}

class ActorRow implements Row<ActorJson> {
  readonly root: HTMLElement;
  readonly #state: () => LiveState | null;
  readonly #name: HTMLAnchorElement;
  readonly #place = el('span', { class: 'row-note' });
  readonly #status = el('span', { class: 'badge' });
  readonly #mailbox = new Meter('Commands in the mailbox');
  readonly #oldest = el('span');
  readonly #rate = el('span', { class: 'row-rate' });
  readonly #spark = new Sparkline();
  readonly #stock = new StackedBar();
  readonly #left = el('span');
  readonly #sellOut = el('span');
  readonly #refused = el('span');
  readonly #reason = el('span', { class: 'row-note' });

  constructor(actor: ActorJson, state: () => LiveState | null) {
    this.#state = state;
    this.#name = el('a', {
      href: hashOf({ view: 'actor', productId: actor.product_id }),
      class: 'row-link',
    });
    const cell = (name: string, ...children: readonly Node[]) =>
      el('td', { role: 'cell', class: `cell-${name}` }, ...children);
    this.root = el(
      'tr',
      { role: 'row' },
      el(
        'th',
        { role: 'rowheader', scope: 'row' },
        this.#name,
        el('span', { class: 'row-notes' }, this.#status, this.#place),
      ),
      cell('mailbox', this.#mailbox.root),
      cell('oldest', this.#oldest),
      cell('rate', el('div', { class: 'rate' }, this.#rate, this.#spark.root)),
      cell('stock', this.#stock.root, this.#left),
      cell('sell-out', this.#sellOut),
      cell('refused', this.#refused, this.#reason),
    );
  }

  update(actor: ActorJson): void {
    const { mailbox, orders_per_second: rates, stock } = actor;
    setText(this.#name, actor.name ?? 'being loaded');
    setAttribute(this.#name, 'title', actor.name ?? '');
    setText(this.#place, `shard ${actor.shard}`);
    this.#status.hidden = actor.status === 'active' || actor.status === null;
    setText(this.#status, actor.status ?? '');
    setAttribute(this.#status, 'data-status', actor.status);
    this.#mailbox.set(mailbox.depth, mailbox.bound);
    setText(this.#oldest, durationText(mailbox.oldest_ms));
    setText(this.#rate, rateText(rates.s10));
    const history = this.#state()?.actorHistory(actor.product_id);
    this.#spark.set(history?.column('s1') ?? [], SPARK_POINTS);
    this.#stock.set(stockParts(stock));
    setText(this.#left, `${countText(stock.available)} left`);
    const now = this.#state()?.at ?? Date.now();
    const sale = { available: stock.available, soldOutAt: actor.sold_out_at, now };
    setText(this.#sellOut, sellOutText(sale));
    setAttribute(this.#sellOut, 'data-tone', stock.available === 0 ? 'muted' : null);
    const { total, names } = ranked(actor.refused);
    setText(this.#refused, total === 0 ? NONE : countText(total));
    setText(this.#reason, names.map(([name]) => name).join(', '));
    setAttribute(
      this.#reason,
      'title',
      names.map(([name, count]) => `${name} ${countText(count)}`).join('\n'),
    );
  }
}
