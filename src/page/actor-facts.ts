/** The figures of an actor, in words. */
import type { ActorJson } from './admin-api.ts';
import { Meter, StackedBar } from './bars.ts';
import { el, fact, setText } from './elements.ts';
import { countText, durationText, NONE, ranked, rateText, sellOutText } from './format.ts';
import { KeyedRows } from './keyed-rows.ts';
import { stockParts } from './stock-parts.ts';

type Reason = readonly [code: string, count: number];

export class ActorFacts {
  readonly root: HTMLElement;
  readonly #stock = new StackedBar();
  readonly #mailbox = new Meter('Commands in the mailbox');
  readonly #refusedNone = el('p', { class: 'hint' }, 'Nobody was refused.');
  readonly #refused: KeyedRows<Reason>;
  readonly #facts = {
    available: fact('Available', 'Units that can be promised now'),
    held: fact('Held', 'Units in orders that wait for payment'),
    sold: fact('Sold', 'Units in orders that are paid or further'),
    lapsing: fact('Lapse in 10 s / 60 s', 'Orders that expire unpaid'),
    sellOut: fact('Sells out'),
    sequence: fact('Last sequence', 'Places given in the order of service'),
    oldest: fact('Oldest wait'),
    decided: fact('Decided', 'In the open batch, not yet sent'),
    committing: fact('Being committed', 'In batches on their way to PostgreSQL'),
    s1: fact('1 s'),
    s10: fact('10 s'),
    s60: fact('60 s'),
    shard: fact('Shard'),
    partition: fact('Partition'),
    owner: fact('Owner'),
  };

  constructor() {
    const refused = el('dl', { class: 'facts' });
    this.#refused = new KeyedRows({
      parent: refused,
      keyOf: ([code]) => code,
      create: ([code]) => {
        const row = fact(code);
        return { root: row.root, update: ([, count]) => row.set(countText(count)) };
      },
    });
    const facts = this.#facts;
    this.root = el(
      'div',
      { class: 'panels' },
      panel(
        'Stock',
        this.#stock.root,
        el(
          'div',
          { class: 'pair' },
          dl(facts.sold, facts.held, facts.available),
          dl(facts.sellOut, facts.lapsing, facts.sequence),
        ),
      ),
      panel('Mailbox', this.#mailbox.root, dl(facts.oldest, facts.decided, facts.committing)),
      panel('Orders / s', dl(facts.s1, facts.s10, facts.s60)),
      panel('Refused lines', refused, this.#refusedNone),
      panel('Place', dl(facts.shard, facts.partition, facts.owner)),
    );
  }

  update(actor: ActorJson, now: number): void {
    const { stock, mailbox, orders_per_second: rates, lapsing, sold_out_at: soldOutAt } = actor;
    const facts = this.#facts;
    this.#stock.set(stockParts(stock));
    facts.available.set(countText(stock.available), 'available');
    facts.held.set(countText(stock.held), 'held');
    facts.sold.set(countText(stock.sold), 'sold');
    facts.lapsing.set(
      lapsing === null
        ? NONE
        : `${countText(lapsing.within_10s)} / ${countText(lapsing.within_60s)}`,
    );
    const sellOut = sellOutText({ available: stock.available, soldOutAt, now });
    facts.sellOut.set(sellOut);
    facts.sequence.set(countText(actor.sequence));
    this.#mailbox.set(mailbox.depth, mailbox.bound);
    facts.oldest.set(durationText(mailbox.oldest_ms));
    facts.decided.set(countText(actor.decided));
    facts.committing.set(countText(actor.committing));
    facts.s1.set(rateText(rates.s1));
    facts.s10.set(rateText(rates.s10));
    facts.s60.set(rateText(rates.s60));
    facts.shard.set(actor.shard === null ? NONE : String(actor.shard));
    facts.partition.set(String(actor.partition));
    facts.owner.set(actor.owner_id === null ? NONE : String(actor.owner_id));
    const { names } = ranked(actor.refused);
    this.#refused.update(names);
    this.#refusedNone.hidden = names.length > 0;
  }
}

function panel(title: string, ...children: readonly Node[]): HTMLElement {
  const heading = el('h2');
  setText(heading, title);
  return el('div', { class: 'panel' }, heading, ...children);
}

function dl(...facts: readonly { readonly root: HTMLElement }[]): HTMLElement {
  return el('dl', { class: 'facts' }, ...facts.map(({ root }) => root));
}
