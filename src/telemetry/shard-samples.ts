/** From what shards and actors say of themselves to series. */
import type { ActorView, ShardPart, ShardView } from '../domain/inspection.ts';
import type { OwnerId } from '../domain/ids.ts';
import type { ScrapeSample } from './scrape-sample.ts';

/**
 * Totals of an owner begin at 0; those of a shard must only rise, or every replacement of an owner
 * would look like a restart of the process to whoever draws `rate()`. What an owner counted after
 * the last look at it is lost.
 */
class ShardTotal {
  /** One per shard. */
  readonly #shards = new Map<number, { owner: OwnerId; former: number; latest: number }>();

  /** The total of the shard's owners up to this one; an owner that was replaced tells nothing new. */
  note(shard: number, owner: OwnerId, latest: number): void {
    const known = this.#shards.get(shard);
    if (known === undefined) this.#shards.set(shard, { owner, former: 0, latest });
    else if (owner === known.owner) known.latest = Math.max(known.latest, latest);
    else if (owner > known.owner) {
      const former = known.former + known.latest;
      this.#shards.set(shard, { owner, former, latest });
    }
  }

  /** Also while the shard is silent: a counter that pauses is better than one with gaps. */
  of(shard: number): number {
    const known = this.#shards.get(shard);
    return known === undefined ? 0 : known.former + known.latest;
  }
}

export class ShardSamples {
  readonly #unitsSold = new ShardTotal();
  readonly #lapsed = new ShardTotal();

  /** A shard that does not answer is told of with what is known outside of it. */
  put(sample: ScrapeSample, view: ShardView): void {
    const { shard, inside } = view;
    sample.put('hedonify_shard_serving', { shard }, view.state === 'serving' ? 1 : 0);
    sample.put('hedonify_shard_restarts_total', { shard }, view.restarts);
    if (inside !== null) {
      putInside(sample, shard, inside);
      this.#unitsSold.note(shard, inside.ownerId, inside.totals.units);
      this.#lapsed.note(shard, inside.ownerId, inside.totals.lapsed);
    }
    sample.put('hedonify_units_sold_total', { shard }, this.#unitsSold.of(shard));
    sample.put('hedonify_holds_lapsed_total', { shard }, this.#lapsed.of(shard));
  }
}

function putInside(sample: ScrapeSample, shard: number, inside: ShardPart): void {
  const { mailbox, eventLoop } = inside;
  const oldestSeconds = (mailbox.oldestMs ?? 0) / 1000;
  const thread = `shard-${shard}`;
  sample.put('hedonify_mailbox_depth', { shard }, mailbox.depth);
  sample.put('hedonify_mailbox_limit', { shard }, mailbox.bound);
  sample.put('hedonify_mailbox_oldest_age_seconds', { shard }, oldestSeconds);
  sample.put('hedonify_actors', { shard }, inside.actors);
  sample.put('hedonify_batches_in_flight', { shard }, inside.inFlight);
  if (inside.unpaid !== null) sample.put('hedonify_holds_open', { shard }, inside.unpaid);
  const { p50, p99 } = eventLoop.delayMs;
  sample.put('nodejs_eventloop_delay_p50_seconds', { thread }, p50 / 1000);
  sample.put('nodejs_eventloop_delay_p99_seconds', { thread }, p99 / 1000);
  sample.put('nodejs_eventloop_utilization_ratio', { thread }, eventLoop.utilization);
  sample.put('v8js_memory_heap_used_bytes', { thread }, inside.heapBytes);
}

/**
 * Products that sell or wait. Of the others nothing is said, since every product that was ever in a
 * scrape stays in Prometheus as a series of its own.
 */
export function putProducts(sample: ScrapeSample, hottest: readonly ActorView[]): void {
  for (const actor of hottest) {
    const { productId: product_id, mailbox, ordersPerSecond } = actor;
    const waiting = mailbox.depth + actor.decided + actor.committing;
    if (waiting === 0 && ordersPerSecond.s60 === 0) continue;
    sample.put('hedonify_product_stock', { product_id }, actor.stock.available);
    sample.put('hedonify_product_orders_per_second', { product_id }, ordersPerSecond.s10);
    sample.put('hedonify_product_mailbox_depth', { product_id }, mailbox.depth);
  }
}
