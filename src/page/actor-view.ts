/** One product: every figure that its shard has of it, how they moved, and what may be done. */
import type { ActorJson } from './admin-api.ts';
import type { AdminClient } from './admin-client.ts';
import { ActorFacts } from './actor-facts.ts';
import { BatchTable } from './batch-table.ts';
import type { Question } from './deed-dialog.ts';
import { button, el, setAttribute, setText } from './elements.ts';
import { durationText, rateText, countText } from './format.ts';
import type { LiveState } from './live-state.ts';
import { TimeChart } from './time-chart.ts';
import type { View } from './view.ts';

/** The newest of its shard. */
const BATCHES_LISTED = 8;

export interface ActorViewOptions {
  readonly client: Pick<AdminClient, 'actor'>;
  readonly productId: string;
  readonly onAsk: (question: Question) => void;
}

export class ActorView implements View {
  readonly root: HTMLElement;
  readonly #options: ActorViewOptions;
  readonly #name = el('h1', { id: 'view-title', tabindex: '-1' });
  readonly #status = el('span', { class: 'badge', hidden: true });
  readonly #pause = button('Pause', () => this.#ask('pause'), { hidden: true });
  readonly #resume = button('Resume', () => this.#ask('resume'), {
    hidden: true,
    class: 'primary',
  });
  readonly #message = el('p', { class: 'empty' }, 'Waiting for its figures.');
  readonly #facts = new ActorFacts();
  readonly #charts = {
    rate: new TimeChart({
      title: 'Orders per second',
      series: [
        { label: '1 s', color: '--series-1', filled: true },
        { label: '10 s', color: '--series-2' },
      ],
      format: rateText,
    }),
    depth: new TimeChart({
      title: 'Mailbox depth',
      series: [{ label: 'commands', color: '--series-1', filled: true }],
      format: countText,
      whole: true,
    }),
    size: new TimeChart({
      title: 'Batch size',
      series: [
        { label: 'median', color: '--series-1', filled: true },
        { label: 'largest', color: '--series-2' },
      ],
      format: countText,
      whole: true,
    }),
    commit: new TimeChart({
      title: 'Commit time',
      series: [
        { label: 'median', color: '--series-1', filled: true },
        { label: 'slowest', color: '--series-2' },
      ],
      format: durationText,
    }),
  };
  readonly #batchesTitle = el('h2');
  readonly #batches = new BatchTable();
  readonly #live: HTMLElement;
  #actor: ActorJson | undefined;
  /** It is not in memory. */
  #resting = false;

  constructor(options: ActorViewOptions) {
    this.#options = options;
    const charts = Object.values(this.#charts).map(({ root }) => root);
    this.#live = el(
      'div',
      { class: 'actor', hidden: true },
      this.#facts.root,
      el('div', { class: 'charts' }, ...charts),
      el('div', { class: 'actor-batches' }, this.#batchesTitle, this.#batches.root),
    );
    this.root = el(
      'section',
      { class: 'view', 'aria-labelledby': 'view-title' },
      el('p', { class: 'crumb' }, el('a', { href: '#/actors' }, 'Actors')),
      el(
        'div',
        { class: 'toolbar' },
        this.#name,
        this.#status,
        el('code', { class: 'id' }, options.productId),
        el('div', { class: 'buttons' }, this.#pause, this.#resume),
      ),
      this.#message,
      this.#live,
    );
  }

  get title(): string {
    return this.#actor?.name ?? 'Actor';
  }

  update(state: LiveState): void {
    const { productId } = this.#options;
    const actor = state.actor(productId);
    this.#message.hidden = actor !== undefined;
    if (actor !== undefined) {
      this.#resting = false;
      this.#show(actor, state.at);
      this.#draw(state, actor);
    } else if (state.followed === productId && !this.#resting) {
      this.#resting = true;
      void this.reload();
    }
  }

  /** What is known of a product that is not in memory: after something was done to it, once more. */
  async reload(): Promise<void> {
    if (!this.#resting) return;
    const answer = await this.#options.client.actor(this.#options.productId);
    // An order may have woken it meanwhile.
    if (!this.#resting) return;
    if (answer.type === 'done') this.#show(answer.body, Date.now());
    setText(this.#message, answer.type === 'refused' ? answer.text : AT_REST);
  }

  #show(actor: ActorJson, now: number): void {
    this.#actor = actor;
    this.#live.hidden = false;
    setText(this.#name, actor.name ?? 'Product');
    this.#showButtons(actor);
    this.#status.hidden = actor.status === null;
    setText(this.#status, actor.status ?? '');
    setAttribute(this.#status, 'data-status', actor.status);
    this.#facts.update(actor, now);
  }

  /** Who pressed the one that goes finds the focus on the one that comes. */
  #showButtons({ status }: ActorJson): void {
    const focused = [this.#pause, this.#resume].find((it) => it === document.activeElement);
    this.#pause.hidden = status !== 'active';
    this.#resume.hidden = status !== 'paused';
    if (focused?.hidden !== true) return;
    const other = [this.#pause, this.#resume].find((it) => !it.hidden);
    (other ?? this.#name).focus({ preventScroll: true });
  }

  recolor(): void {
    for (const chart of Object.values(this.#charts)) chart.recolor();
  }

  close(): void {
    for (const chart of Object.values(this.#charts)) chart.close();
  }

  #draw(state: LiveState, { product_id, shard }: ActorJson): void {
    const own = state.actorHistory(product_id);
    if (own !== undefined) {
      this.#charts.rate.set(own.times, [own.column('s1'), own.column('s10')]);
      this.#charts.depth.set(own.times, [own.column('depth')]);
    }
    if (shard === null) return;
    const its = state.shardHistory(shard);
    if (its !== undefined) {
      this.#charts.size.set(its.times, [its.column('orders'), its.column('ordersMost')]);
      this.#charts.commit.set(its.times, [its.column('total'), its.column('totalMost')]);
    }
    setText(this.#batchesTitle, `Last batches of shard ${shard}`);
    const batches = state.batches.filter((batch) => batch.shard === shard);
    this.#batches.update(batches.slice(0, BATCHES_LISTED));
  }

  #ask(kind: 'pause' | 'resume'): void {
    const { productId, onAsk } = this.#options;
    const name = this.#actor?.name ?? productId;
    const deed = { kind, productId };
    if (kind === 'pause') {
      onAsk({
        deed,
        title: `Pause ${name}?`,
        text: 'New orders for it are refused until it is resumed. What was accepted stays, and can be paid.',
        verb: 'Pause',
        done: `${name} is paused.`,
      });
    } else {
      onAsk({
        deed,
        title: `Resume ${name}?`,
        text: 'It can be ordered again from this moment on, within its sale window.',
        verb: 'Resume',
        done: `${name} is for sale again.`,
      });
    }
  }
}

const AT_REST =
  'It is not in memory, or its shard does not answer: only what PostgreSQL has of it is shown.';
