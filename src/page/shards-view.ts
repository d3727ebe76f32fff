/** Every shard thread. */
import type { ShardInsideJson, ShardJson } from './admin-api.ts';
import { Meter } from './bars.ts';
import type { Question } from './deed-dialog.ts';
import { button, el, fact, setAttribute, setText } from './elements.ts';
import type { Fact } from './elements.ts';
import { bytesText, countText, durationText, NONE, ranked, rateText } from './format.ts';
import { KeyedRows } from './keyed-rows.ts';
import type { Row } from './keyed-rows.ts';
import type { LiveState } from './live-state.ts';
import type { View } from './view.ts';

type Ask = (question: Question) => void;

export class ShardsView implements View {
  readonly title = 'Shards';
  readonly root: HTMLElement;
  readonly #cards = el('div', { class: 'cards' });
  readonly #rows: KeyedRows<ShardJson>;

  constructor(onAsk: Ask) {
    this.#rows = new KeyedRows({
      parent: this.#cards,
      keyOf: ({ shard }) => String(shard),
      create: () => new ShardCard(onAsk),
    });
    this.root = el(
      'section',
      { class: 'view', 'aria-labelledby': 'view-title' },
      el('div', { class: 'toolbar' }, el('h1', { id: 'view-title', tabindex: '-1' }, 'Shards')),
      this.#cards,
    );
  }

  update(state: LiveState): void {
    const shards = (state.latest?.shards ?? []).toSorted((a, b) => a.shard - b.shard);
    this.#rows.update(shards);
  }
}

class ShardCard implements Row<ShardJson> {
  readonly root: HTMLElement;
  readonly #title = el('h2');
  readonly #state = el('span', { class: 'badge' });
  readonly #owner = el('code', { class: 'id' });
  readonly #mailbox = new Meter('Commands in the mailboxes');
  readonly #loop = new Meter('Event loop, share of its time in use');
  readonly #now = {
    oldest: fact('Oldest wait'),
    decided: fact('Decided', 'In the open batch'),
    inFlight: fact('Batches in flight'),
    perSecond: fact('Batches / s'),
    sizes: fact('Batch orders p50/p99', 'Of its last batches'),
    commits: fact('Commit p50/p99', 'Of its last batches'),
    delay: fact('Loop delay p50/p99', 'Since the last look'),
    across: fact('Attempts / holds', 'Orders that wait for other shards, and holds for theirs'),
    unpaid: fact('Unpaid', 'Orders that wait for payment'),
  };
  readonly #sinceStart = {
    orders: fact('Orders', 'Committed since the owner began'),
    replayed: fact('Replayed', 'Since the owner began'),
    refused: fact('Refused', 'Since the owner began'),
    shed: fact('Shed', 'Since the owner began'),
    lapsed: fact('Lapsed', 'Orders that expired unpaid'),
    partitions: fact('Partitions'),
    actors: fact('Actors', 'In memory'),
    heap: fact('Heap'),
    restarts: fact('Restarts', 'Since the process began'),
  };
  readonly #facts = { ...this.#now, ...this.#sinceStart };
  #shard: ShardJson | null = null;

  constructor(onAsk: Ask) {
    const restart = button('Restart', () => this.#ask(onAsk));
    const list = (facts: Readonly<Record<string, Fact>>) =>
      el('dl', { class: 'facts' }, ...Object.values(facts).map(({ root }) => root));
    this.root = el(
      'article',
      { class: 'card' },
      el('header', {}, this.#title, this.#state, this.#owner, restart),
      el(
        'div',
        { class: 'card-meters' },
        named('Mailboxes', this.#mailbox.root),
        named('Event loop', this.#loop.root),
      ),
      el('div', { class: 'pair' }, list(this.#now), list(this.#sinceStart)),
    );
  }

  update(view: ShardJson): void {
    this.#shard = view;
    const { shard, state, inside, batches } = view;
    const facts = this.#facts;
    setText(this.#title, `Shard ${shard}`);
    setText(this.#state, state);
    setAttribute(this.#state, 'data-state', state);
    setText(this.#owner, `owner ${view.owner_id}`);
    facts.partitions.set(countText(view.partitions));
    facts.restarts.set(countText(view.restarts), view.restarts > 0 ? 'warn' : undefined);
    facts.perSecond.set(rateText(batches?.per_second ?? null));
    facts.sizes.set(
      batches === null
        ? NONE
        : `${countText(batches.orders.p50)} / ${countText(batches.orders.p99)}`,
    );
    facts.commits.set(
      batches === null
        ? NONE
        : `${durationText(batches.commit_ms.p50)} / ${durationText(batches.commit_ms.p99)}`,
    );
    setAttribute(this.root, 'data-silent', inside === null ? 'true' : null);
    if (inside !== null) this.#showInside(inside);
  }

  #showInside(inside: ShardInsideJson): void {
    const { mailbox, event_loop: loop, totals } = inside;
    const facts = this.#facts;
    this.#mailbox.set(mailbox.depth, mailbox.bound);
    this.#loop.setShare(loop.utilization);
    facts.actors.set(countText(inside.actors));
    facts.oldest.set(durationText(mailbox.oldest_ms));
    facts.decided.set(countText(inside.decided));
    facts.inFlight.set(countText(inside.in_flight));
    facts.delay.set(`${durationText(loop.delay_ms.p50)} / ${durationText(loop.delay_ms.p99)}`);
    facts.heap.set(bytesText(inside.heap_bytes));
    facts.orders.set(countText(totals.orders));
    facts.replayed.set(countText(totals.replayed));
    facts.refused.set(countText(ranked(totals.refused).total));
    const shed = ranked(totals.shed).total;
    facts.shed.set(countText(shed), shed > 0 ? 'alert' : undefined);
    facts.lapsed.set(countText(totals.lapsed));
    facts.unpaid.set(countText(inside.unpaid));
    facts.across.set(`${countText(inside.attempts)} / ${countText(inside.holds)}`);
  }

  #ask(onAsk: Ask): void {
    if (this.#shard === null) return;
    const { shard, partitions } = this.#shard;
    onAsk({
      deed: { kind: 'restart', shard },
      title: `Restart shard ${shard}?`,
      text: `Its thread commits what it accepted and ends; a new owner takes its ${partitions} partitions. Until then, about a second, orders for its products are answered with 503.`,
      verb: 'Restart',
      done: `Shard ${shard} was restarted.`,
    });
  }
}

function named(name: string, node: Node): HTMLElement {
  return el('div', { class: 'named' }, el('span', { class: 'named-name' }, name), node);
}
