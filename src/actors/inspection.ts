/**
 * Answers to what an operator asks of a shard core, each of one moment: what it says of a mailbox, a
 * batch and a stock is true together.
 *
 * Reads the pieces, and changes nothing that a decision rests on: a run that is looked at takes the
 * same course as one that is not. I9: one pass over the actors per question, whatever is asked.
 */
import { unreachable } from '../domain/errors.ts';
import { partitionOf } from '../domain/ids.ts';
import type { OrderId, ProductId } from '../domain/ids.ts';
import type {
  ActorPart,
  ActorSort,
  Held,
  Inspections,
  Rates,
  RefusalRecord,
  ShardPart,
} from '../domain/inspection.ts';
import type { Decision } from './commit-queue.ts';
import type { ProductActor } from './product-actor.ts';
import type { ShardState } from './shard-state.ts';

/** What the core knows of its shard; the thread adds the rest. */
export type CorePart = Omit<ShardPart, 'eventLoop' | 'heapBytes'>;

/** Decisions on one product. */
interface Decided {
  unsent: number;
  sent: number;
}

interface Ranked {
  readonly actor: ProductActor;
  /** The more of it, the further in front; the rate decides between equals. */
  readonly rank: number;
  readonly rate: number;
}

const NO_RATES: Rates = { s1: 0, s10: 0, s60: 0 };

export class ShardInspection {
  readonly #state: ShardState;

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** `now`, here and below: milliseconds since the epoch. */
  part(now: number): CorePart {
    const { attempts, commits, expiry, holds, identity, mailroom, tally, window } = this.#state;
    return {
      ownerId: identity.ownerId,
      proven: this.#state.isProven(now),
      actors: mailroom.actors.size,
      mailbox: {
        depth: mailroom.undecided,
        bound: mailroom.placesMax,
        oldestMs: ageOf(mailroom.oldestArrival(), now),
      },
      decided: [...commits.unsent()].length,
      inFlight: commits.sent.length,
      attempts: attempts.size,
      holds: holds.size,
      unpaid: this.#knowsHolds ? expiry.book.size : null,
      window: window.size,
      totals: tally.totals,
    };
  }

  actors({ sort, limit }: Inspections['actors']['query'], now: number): ActorPart[] {
    const first: Ranked[] = [];
    for (const actor of this.#state.mailroom.actors.all()) {
      const rank = rankOf(actor, sort, now);
      const last = first.length >= limit ? first.at(-1) : undefined;
      // Nearly all end here, of a hundred thousand.
      if (last !== undefined && rank < last.rank) continue;
      const ranked = { actor, rank, rate: rateOf(actor, now) };
      if (last !== undefined && !precedes(ranked, last)) continue;
      const at = first.findIndex((other) => precedes(ranked, other));
      first.splice(at === -1 ? first.length : at, 0, ranked);
      if (first.length > limit) first.pop();
    }
    const decided = this.#decided();
    return first.map(({ actor }) => this.#partOf(actor, decided, now));
  }

  /** Null when it is not in memory. */
  actor(id: ProductId, now: number): ActorPart | null {
    const actor = this.#state.mailroom.actors.find(id);
    return actor === undefined ? null : this.#partOf(actor, this.#decided(), now);
  }

  /** Those of which something is held, by orders at home here; null while that is not known. */
  held(ids: readonly ProductId[], now: number): ReadonlyMap<ProductId, Held> | null {
    if (!this.#knowsHolds) return null;
    const held = new Map<ProductId, Held>();
    for (const id of ids) {
      const of = this.#state.expiry.book.of(id, now);
      if (of !== null) held.set(id, of);
    }
    return held;
  }

  /** Why the order of the key that `id` stands for was refused; null when that is not known. */
  refusal(id: OrderId, now: number): RefusalRecord | null {
    return this.#state.refusals.find(id, now);
  }

  get #knowsHolds(): boolean {
    return this.#state.expiry.complete && this.#state.expiry.book.isSound;
  }

  #decided(): ReadonlyMap<ProductId, Decided> {
    const { commits } = this.#state;
    const decided = new Map<ProductId, Decided>();
    const count = (decision: Decision, where: keyof Decided): void => {
      for (const productId of productsOf(decision)) {
        const counted = decided.get(productId) ?? { unsent: 0, sent: 0 };
        counted[where] += 1;
        decided.set(productId, counted);
      }
    };
    for (const decision of commits.unsent()) count(decision, 'unsent');
    for (const decisions of commits.sent) for (const one of decisions) count(one, 'sent');
    return decided;
  }

  #partOf(actor: ProductActor, decided: ReadonlyMap<ProductId, Decided>, now: number): ActorPart {
    const { id, product, available, live, sequence, rates, refused } = actor;
    const oldest = actor.oldestArrival;
    const { identity, mailroom } = this.#state;
    const pace = rates?.units(10, now) ?? 0;
    return {
      productId: id,
      name: product?.name ?? null,
      status: product?.status ?? null,
      shard: identity.shard,
      partition: partitionOf(id),
      ownerId: identity.ownerId,
      mailbox: {
        // Those that another mailbox served may still stand behind others, or alone.
        depth: oldest === null ? 0 : actor.mailbox.length,
        bound: Math.max(0, mailroom.orderDepthMax),
        oldestMs: ageOf(oldest, now),
      },
      decided: decided.get(id)?.unsent ?? 0,
      committing: decided.get(id)?.sent ?? 0,
      available,
      live,
      ordersPerSecond: rates?.at(now) ?? NO_RATES,
      refused: { ...refused },
      sequence,
      soldOutAt: pace > 0 ? now + Math.ceil((available / pace) * 1000) : null,
    };
  }
}

function productsOf(decision: Decision): readonly ProductId[] {
  switch (decision.kind) {
    case 'order':
      return decision.waiting.lines.map(({ productId }) => productId);
    case 'stock-change':
      return [decision.change.productId];
    case 'edit':
      return [decision.waiting.command.productId];
    // Whose units it moves the merge finds out.
    case 'status-change':
      return [];
    default:
      return unreachable(decision);
  }
}

/** Products that are not loaded, or do not exist, have nothing to sell out. */
function rankOf(actor: ProductActor, sort: ActorSort, now: number): number {
  switch (sort) {
    case 'depth':
      return actor.mailbox.length;
    case 'oldest':
      return -(actor.oldestArrival ?? Infinity);
    case 'rate':
      return rateOf(actor, now);
    case 'stock':
      return actor.product ? -actor.available : -Infinity;
    default:
      return unreachable(sort);
  }
}

function rateOf({ rates }: ProductActor, now: number): number {
  return rates?.orders(10, now) ?? 0;
}

function precedes(a: Ranked, b: Ranked): boolean {
  return a.rank > b.rank || (a.rank === b.rank && a.rate > b.rate);
}

/** Milliseconds since a time; the router's clock may be ahead. */
function ageOf(time: number | null, now: number): number | null {
  return time === null ? null : Math.max(0, now - time);
}
