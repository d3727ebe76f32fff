/** Edits of products: prices, limits, pauses, and sales that start and end at a millisecond. */
import type { ProductId } from '../../src/domain/ids.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import type { Customers } from './customers.ts';
import { merchantOf } from './fake-merge.ts';
import type { Market } from './market.ts';

const LIMITS = [null, null, null, 1, 3, 5, 9];
/** Around the start or the end of a sale: how many come, in how many milliseconds. */
const RUSH = 10;
const RUSH_MS = 8;

export class Merchants {
  readonly #market: Market;
  readonly #customers: Customers;
  #lastEdit = 0;

  constructor(market: Market, customers: Customers) {
    this.#market = market;
    this.#customers = customers;
  }

  edit(): void {
    const { dice, products } = this.#market;
    const id = dice.chance(0.03) ? dice.pick(products) : this.#market.product();
    const roll = dice.next();
    if (roll < 0.35) {
      const currency = dice.chance(0.05) ? 'EUR' : 'USD';
      this.#send(id, { price: { amount: dice.int(1, 999), currency } });
    } else if (roll < 0.75) this.#send(id, { perCustomerLimit: dice.pick(LIMITS) });
    else if (roll < 0.85) this.#pause(id);
    else this.#openDoors(id);
  }

  #pause(id: ProductId): void {
    const { clock, dice } = this.#market;
    this.#send(id, { status: dice.pick(['draft', 'paused', 'archived']) });
    clock.after(dice.int(10, 400), () => this.#send(id, { status: 'active' }));
  }

  #openDoors(id: ProductId): void {
    const { clock, dice } = this.#market;
    const saleStartsAt = clock.now + dice.int(20, 400);
    const saleEndsAt = saleStartsAt + dice.int(5, 300);
    this.#send(id, { saleStartsAt, saleEndsAt });
    const delivery = { kind: 'change-stock', author: merchantOf(id), productId: id } as const;
    this.#market.send({ ...delivery, delta: RUSH }, null, () => undefined);
    for (const time of [saleStartsAt, saleEndsAt]) {
      for (let i = 0; i < RUSH; i += 1) {
        clock.at(time - dice.int(0, RUSH_MS), () => this.#customers.rush(id));
      }
    }
    const closed = { saleStartsAt: null, saleEndsAt: null };
    clock.at(saleEndsAt + dice.int(0, 200), () => this.#send(id, closed));
  }

  /** Every version has a name of its own, so that a line tells under which one it was sold. */
  #send(productId: ProductId, changes: ProductChanges): void {
    const { dice, isOpen, postgres } = this.#market;
    if (!isOpen()) return;
    this.#lastEdit += 1;
    const named = { ...changes, name: `${productId.slice(-2)} after edit ${this.#lastEdit}` };
    const version = postgres.products([productId])[0]?.version ?? 1;
    const ifVersion = dice.chance(0.2) ? version : null;
    const author = merchantOf(productId);
    const asked = { kind: 'edit-product', author, productId, ifVersion, changes: named } as const;
    this.#market.send(asked, null, () => undefined);
  }
}
