/** The whole engine in one line, above every view. */
import type { ShardJson } from './admin-api.ts';
import { Meter } from './bars.ts';
import { el, setAttribute, setText } from './elements.ts';
import { countText, durationText, NONE, rateText } from './format.ts';
import type { LiveState } from './live-state.ts';
import { Sparkline } from './sparkline.ts';

/** A new page draws its first seconds as wide as a minute would be. */
const SPARK_POINTS_MIN = 60;

class Tile {
  readonly root: HTMLElement;
  readonly #value = el('dd', { class: 'tile-value' });
  readonly #note = el('dd', { class: 'tile-note' });

  constructor(name: string, extra?: Element) {
    this.root = el('div', { class: 'tile' }, el('dt', {}, name), this.#value, this.#note);
    if (extra !== undefined) this.root.append(el('dd', { class: 'tile-extra' }, extra));
  }

  set(value: string, note: string, tone = 'calm'): void {
    setText(this.#value, value);
    setText(this.#note, note);
    setAttribute(this.root, 'data-tone', tone);
  }
}

export class SummaryStrip {
  readonly root: HTMLElement;
  readonly #spark = new Sparkline();
  readonly #meter = new Meter('Commands in all mailboxes');
  readonly #tiles = {
    orders: new Tile('Orders / s', this.#spark.root),
    mailbox: new Tile('Oldest wait', this.#meter.root),
    commit: new Tile('Commit p99'),
    refused: new Tile('Refused / s'),
    shed: new Tile('Shed / s'),
    unpaid: new Tile('Unpaid orders'),
    shards: new Tile('Serving'),
  };

  constructor() {
    const tiles = Object.values(this.#tiles).map(({ root }) => root);
    this.root = el('dl', { class: 'summary', 'aria-label': 'The engine' }, ...tiles);
  }

  update(state: LiveState): void {
    if (state.latest === null) return this.#showNothing();
    const { shards } = state.latest;
    const inside = shards.flatMap((shard) => shard.inside ?? []);
    const sum = (numbers: readonly number[]) => numbers.reduce((total, it) => total + it, 0);
    const { orders, refused, shed } = state.rates;
    const tiles = this.#tiles;
    tiles.orders.set(rateText(orders), 'committed');
    const line = state.engine.column('orders');
    this.#spark.set(line, Math.max(line.length, SPARK_POINTS_MIN));
    tiles.refused.set(rateText(refused), reasonOf(inside.map(({ totals }) => totals.refused)));
    const shedAny = shed !== null && shed > 0;
    tiles.shed.set(
      rateText(shed),
      `${countText(sum(inside.map(({ totals }) => sum(Object.values(totals.shed)))))} in all`,
      shedAny ? 'alert' : 'calm',
    );
    this.#meter.set(
      sum(inside.map(({ mailbox }) => mailbox.depth)),
      sum(inside.map(({ mailbox }) => mailbox.bound)),
    );
    const oldest = inside.flatMap(({ mailbox }) => mailbox.oldest_ms ?? []);
    tiles.mailbox.set(
      oldest.length === 0 ? NONE : durationText(Math.max(...oldest)),
      'in mailboxes',
    );
    this.#showCommits(shards);
    const unpaid = inside.flatMap((shard) => shard.unpaid ?? []);
    tiles.unpaid.set(unpaid.length === 0 ? NONE : countText(sum(unpaid)), 'hold their units');
    this.#showShards(shards);
  }

  /** Zeros would be a claim. */
  #showNothing(): void {
    for (const tile of Object.values(this.#tiles)) tile.set(NONE, '');
    this.#spark.set([], SPARK_POINTS_MIN);
    this.#meter.set(null, null);
  }

  #showCommits(shards: readonly ShardJson[]): void {
    const batches = shards.flatMap((shard) => shard.batches ?? []);
    if (batches.length === 0) return this.#tiles.commit.set(NONE, 'no batch yet');
    const p50 = Math.max(...batches.map(({ commit_ms }) => commit_ms.p50));
    const p99 = Math.max(...batches.map(({ commit_ms }) => commit_ms.p99));
    this.#tiles.commit.set(durationText(p99), `p50 ${durationText(p50)}`);
  }

  #showShards(shards: readonly ShardJson[]): void {
    const serving = shards.filter((shard) => shard.state === 'serving').length;
    const others = shards.filter((shard) => shard.state !== 'serving');
    const note = others.map(({ shard, state }) => `${shard} ${state}`).join(', ');
    const restarts = shards.reduce((total, shard) => total + shard.restarts, 0);
    const tone = others.length === 0 ? 'calm' : 'alert';
    this.#tiles.shards.set(
      `${serving} of ${shards.length}`,
      note || (restarts === 1 ? '1 restart' : `${countText(restarts)} restarts`),
      tone,
    );
  }
}

/** The reason that was given most often. */
function reasonOf(counts: readonly Readonly<Record<string, number>>[]): string {
  const all: Record<string, number> = {};
  for (const each of counts) {
    for (const [name, count] of Object.entries(each)) all[name] = (all[name] ?? 0) + count;
  }
  const [most] = Object.entries(all).toSorted(([, a], [, b]) => b - a);
  return most === undefined ? 'nobody yet' : `mostly ${most[0]}`;
}
