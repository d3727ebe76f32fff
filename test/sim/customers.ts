/** Who buys what: few products, little stock, many repeats, and misuse of keys now and then. */
import type { CartId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { RequestedLine } from '../../src/domain/order.ts';
import type { PlaceCommand } from '../../src/domain/wire.ts';
import type { Asked } from './asked.ts';
import type { Cashier } from './cashier.ts';
import { CUSTOMERS } from './market.ts';
import type { Market } from './market.ts';

const UNITS_MAX = 3;
const LINES_MAX = 4;

export class Customers {
  readonly #market: Market;
  readonly #cashier: Cashier;
  /** Orders that were answered as accepted. */
  readonly #accepted: PlaceCommand[] = [];
  /** By key: what it was first used for. */
  readonly #keyed: Asked[] = [];
  readonly #carts: CartId[] = [];

  constructor(market: Market, cashier: Cashier) {
    this.#market = market;
    this.#cashier = cashier;
  }

  /** One request, or the repeat of one. */
  ask(): void {
    const { dice } = this.#market;
    const repeated = this.#keyed.length > 0 && dice.chance(0.25);
    const key = repeated ? dice.int(0, this.#keyed.length - 1) : this.#keyed.length;
    const known = this.#keyed[key];
    // A key that is used for something else is a mistake of the customer, and happens.
    const isMistake = known !== undefined && dice.chance(0.2);
    const asked = known === undefined ? this.#anything(dice.pick(CUSTOMERS)) : known;
    if (!repeated && dice.chance(0.4)) {
      this.#send(asked, null);
      return;
    }
    this.#keyed[key] ??= asked;
    this.#send(isMistake ? this.#mistaken(asked) : asked, key);
  }

  /** One line of one product, while its sale is about to start or to end. */
  rush(productId: ProductId): void {
    const author = this.#market.dice.pick(CUSTOMERS);
    this.#send({ kind: 'place', author, lines: [{ productId, quantity: 1 }] }, null);
  }

  /** Somebody changes a cart, maybe while it is being checked out. */
  changeCart(): void {
    const { dice, postgres } = this.#market;
    if (this.#carts.length === 0) return;
    const cart = dice.pick(this.#carts.slice(-5));
    if (dice.chance(0.1)) postgres.shop.deleteCart(cart);
    else postgres.shop.changeCart(cart, this.#lines());
  }

  #anything(author: UserId): Asked {
    const { dice, products } = this.#market;
    const roll = dice.next();
    if (roll < 0.12) {
      const delta = dice.pick([-3, -1, 1, 2, 4]);
      return { kind: 'change-stock', author, productId: dice.pick(products), delta };
    }
    if (roll < 0.22 && this.#accepted.length > 0) {
      const order = dice.pick(this.#accepted.slice(-20));
      return { kind: 'change-status', author, order, to: 'CANCELLED', detail: null };
    }
    if (roll < 0.4) return this.#checkout(author, this.#lines());
    return { kind: 'place', author, lines: this.#lines() };
  }

  /** Something else; often an order for the same, since only that could be taken for the first. */
  #mistaken(asked: Asked): Asked {
    const author = asked.author ?? this.#market.dice.pick(CUSTOMERS);
    if (!('lines' in asked) || this.#market.dice.chance(0.5)) return this.#anything(author);
    const { lines } = asked;
    if (asked.kind === 'checkout' && this.#market.dice.chance(0.5)) {
      return { kind: 'place', author, lines };
    }
    return this.#checkout(author, lines);
  }

  #checkout(author: UserId, lines: readonly RequestedLine[]): Asked {
    const cart = this.#market.postgres.shop.openCart(author, lines);
    this.#carts.push(cart);
    return { kind: 'checkout', author, cart, version: 1, lines };
  }

  #lines(): readonly RequestedLine[] {
    const { dice } = this.#market;
    const count = dice.chance(0.4) ? 1 : dice.int(2, LINES_MAX);
    const chosen = new Set(Array.from({ length: count }, () => this.#product()));
    return [...chosen].toSorted().map((id) => ({
      productId: id,
      quantity: dice.int(1, UNITS_MAX),
    }));
  }

  /** Mostly one that exists. */
  #product(): ProductId {
    const { dice, products } = this.#market;
    return dice.chance(0.03) ? dice.pick(products) : this.#market.product();
  }

  #send(asked: Asked, key: number | null): void {
    if (asked.kind !== 'checkout') {
      this.#post(asked, key);
      return;
    }
    const { clock, dice } = this.#market;
    this.#clickCheckout(asked, key);
    if (dice.chance(0.3)) {
      const again = dice.chance(0.5) ? key : null;
      clock.after(dice.int(0, 20), () => this.#clickCheckout(asked, again));
    }
  }

  /** The cart is read, and ordered as it was then. */
  #clickCheckout(asked: Asked & { readonly kind: 'checkout' }, key: number | null): void {
    const { clock, dice, postgres } = this.#market;
    const row = postgres.shop.carts.get(asked.cart);
    if (row === undefined) return;
    const { version, lines } = row;
    clock.after(dice.int(0, 10), () => this.#post({ ...asked, version, lines }, key));
  }

  #post(asked: Asked, key: number | null): void {
    const { clock, dice, isOpen } = this.#market;
    this.#market.send(asked, key, (outcome, command) => {
      if (outcome.type === 'accepted' && command.kind === 'place') {
        this.#accepted.push(command);
        this.#cashier.expect(command, outcome.order.expiresAt);
      }
      const isLost = outcome.type === 'unknown' || outcome.type === 'shed';
      const canRepeat = key !== null || asked.kind === 'checkout';
      if (!isLost || !canRepeat || !isOpen() || dice.chance(0.5)) return;
      clock.after(dice.int(1, 300), () => this.#send(asked, key));
    });
  }
}
