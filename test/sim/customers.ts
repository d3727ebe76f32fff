/** Who asks for what: few products, little stock, many repeats, and misuse of keys now and then. */
import { partitionOf } from '../../src/domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { Command, PlaceCommand } from '../../src/domain/wire.ts';
import type { FakeRouter } from './fake-router.ts';
import type { Dice, VirtualClock } from './virtual-clock.ts';

const CUSTOMER = 'customer' as UserId;
const UNITS_MAX = 3;
const LINES_MAX = 4;

/** The part of a command that makes its request what it is. */
type Asked =
  | Pick<PlaceCommand, 'kind' | 'lines'>
  | { readonly kind: 'change-stock'; readonly productId: ProductId; readonly delta: number }
  | { readonly kind: 'change-status'; readonly order: PlaceCommand; readonly to: OrderStatus };

/** A product id in partition `n`. */
export function productId(n: number): ProductId {
  return `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ProductId;
}

interface Market {
  readonly clock: VirtualClock;
  readonly dice: Dice;
  readonly router: FakeRouter;
  /** Until the market closes a customer who got no answer may come again. */
  isOpen(this: void): boolean;
  /** The last one does not exist. */
  readonly products: readonly ProductId[];
}

export class Customers {
  readonly #market: Market;
  /** Orders that were answered as accepted. */
  readonly #accepted: PlaceCommand[] = [];
  /** By key: what it was first used for. */
  readonly #keyed: Asked[] = [];
  #lastFresh = 0;

  constructor(market: Market) {
    this.#market = market;
  }

  /** One request, or the repeat of one. */
  ask(): void {
    const { dice } = this.#market;
    const repeated = this.#keyed.length > 0 && dice.chance(0.25);
    const key = repeated ? dice.int(0, this.#keyed.length - 1) : this.#keyed.length;
    const known = this.#keyed[key];
    // A key that is used for something else is a mistake of the customer, and happens.
    const asked = known === undefined || dice.chance(0.2) ? this.#anything() : known;
    if (!repeated && dice.chance(0.4)) {
      this.#send(asked, null);
      return;
    }
    this.#keyed[key] ??= asked;
    this.#send(asked, key);
  }

  /** An order without a key. */
  place(lines: PlaceCommand['lines'], done: (outcome: string) => void): void {
    const command = this.#command({ kind: 'place', lines }, null);
    this.#market.router.send(command, (outcome) => {
      done(outcome.type === 'refused' ? outcome.refusal.code : outcome.type);
    });
  }

  #anything(): Asked {
    const { dice, products } = this.#market;
    const roll = dice.next();
    if (roll < 0.12) {
      const delta = dice.pick([-3, -1, 1, 2, 4]);
      return { kind: 'change-stock', productId: dice.pick(products), delta };
    }
    if (roll < 0.25 && this.#accepted.length > 0) {
      const order = dice.pick(this.#accepted.slice(-20));
      return { kind: 'change-status', order, to: dice.chance(0.7) ? 'CANCELLED' : 'PAID' };
    }
    const count = dice.chance(0.4) ? 1 : dice.int(2, LINES_MAX);
    const chosen = new Set(Array.from({ length: count }, () => this.#product()));
    const lines = [...chosen].toSorted().map((id) => ({
      productId: id,
      quantity: dice.int(1, UNITS_MAX),
    }));
    return { kind: 'place', lines };
  }

  /** Mostly one that exists. */
  #product(): ProductId {
    const { dice, products } = this.#market;
    return dice.chance(0.03) ? dice.pick(products) : dice.pick(products.slice(0, -1));
  }

  #send(asked: Asked, key: number | null): void {
    const command = this.#command(asked, key);
    this.#market.router.send(command, (outcome) => {
      if (outcome.type === 'accepted' && command.kind === 'place') this.#accepted.push(command);
      const isLost = outcome.type === 'unknown' || outcome.type === 'shed';
      if (!isLost || key === null) return;
      const { clock, dice, isOpen } = this.#market;
      if (isOpen() && dice.chance(0.5)) clock.after(dice.int(1, 300), () => this.#send(asked, key));
    });
  }

  #command(asked: Asked, key: number | null): Command {
    this.#lastFresh += 1;
    const base = {
      n: 0,
      requestHash: hashOf(asked),
      keyed: key !== null,
      receivedAt: this.#market.clock.now,
      traceparent: null,
    };
    const id = key === null ? `fresh ${this.#lastFresh}` : `key ${key}`;
    switch (asked.kind) {
      case 'place':
        return {
          ...base,
          ...asked,
          id: id as OrderId,
          userId: CUSTOMER,
          otherShards: null,
          reference: null,
          metadata: null,
        };
      case 'change-stock':
        return { ...base, ...asked, id, reason: 'delivery', author: CUSTOMER };
      case 'change-status': {
        const { order, to } = asked;
        const partitions = [...new Set(order.lines.map((line) => partitionOf(line.productId)))];
        const from: OrderStatus[] =
          to === 'PAID' ? ['WAITING_PAYMENT'] : ['WAITING_PAYMENT', 'PAID'];
        const change = { orderId: order.id, partitions, from, to, reason: null, author: CUSTOMER };
        return { ...base, ...change, kind: 'change-status', id };
      }
    }
  }
}

function hashOf(asked: Asked): string {
  const { kind } = asked;
  if (kind !== 'change-status') return JSON.stringify(asked);
  return JSON.stringify([kind, asked.order.id, asked.to]);
}
