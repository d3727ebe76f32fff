/**
 * When everything is settled, what is left must be for sale: to each customer up to the limit, then
 * to anybody to the last unit, and nothing more. No hold was forgotten, and nobody's units.
 */
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import type { Asked } from './asked.ts';
import { merchantOf } from './fake-merge.ts';
import { CUSTOMERS } from './market.ts';
import type { Market } from './market.ts';
import type { Model } from './model.ts';
import { isOpen } from './product-model.ts';

// Every version of a product has a name of its own.
const FOR_ALL: ProductChanges = { name: 'for all', perCustomerLimit: null };
const FOR_SALE: ProductChanges = {
  name: 'for sale',
  status: 'active',
  saleStartsAt: null,
  saleEndsAt: null,
};

export class ClosingSale {
  readonly #market: Market;
  readonly #model: Model;

  constructor(market: Market, model: Model) {
    this.#market = market;
    this.#model = model;
  }

  sellOut(id: ProductId): void {
    const book = this.#model.book(id);
    const isForSale = (): boolean =>
      book.terms.status === 'active' && isOpen(book.terms, this.#market.clock.now);
    // As the owner has known it all the while, if it can be.
    if (!isForSale()) this.#edit(id, FOR_SALE);
    if (!book.diverged) for (const userId of CUSTOMERS) this.#buyUpToLimit(id, userId);
    if (book.terms.perCustomerLimit !== null) this.#edit(id, FOR_ALL);
    // A shard that believes in more than there is learns it from the CHECK.
    if (book.diverged) this.#order(id, this.#left(id) + 1, CUSTOMERS[0]);
    if (this.#left(id) > 0) this.#expect('accepted', this.#order(id, this.#left(id), CUSTOMERS[0]));
    this.#expect('out-of-stock', this.#order(id, 1, CUSTOMERS[0]));
  }

  #buyUpToLimit(id: ProductId, userId: UserId): void {
    const book = this.#model.book(id);
    const { perCustomerLimit } = book.terms;
    if (perCustomerLimit === null) return;
    const allowed = Math.min(perCustomerLimit - book.unitsOf(userId), this.#left(id));
    if (allowed > 0) this.#expect('accepted', this.#order(id, allowed, userId));
    const isAtLimit = book.unitsOf(userId) >= perCustomerLimit;
    this.#expect(isAtLimit ? 'limit-exceeded' : 'out-of-stock', this.#order(id, 1, userId));
  }

  #left(id: ProductId): number {
    return this.#market.postgres.products([id])[0]?.stock ?? 0;
  }

  #expect(expected: string, outcome: string): void {
    if (outcome !== expected) throw new Error(`I10: ${outcome} instead of ${expected}`);
  }

  #order(productId: ProductId, quantity: number, author: UserId): string {
    return this.#ask({ kind: 'place', author, lines: [{ productId, quantity }] });
  }

  #edit(productId: ProductId, changes: ProductChanges): void {
    const author = merchantOf(productId);
    const edit = { kind: 'edit-product', author, productId, ifVersion: null, changes } as const;
    this.#expect('edited', this.#ask(edit));
  }

  #ask(asked: Asked): string {
    const { clock } = this.#market;
    let said: string | null = null;
    this.#market.send(asked, null, (outcome) => {
      said = outcome.type === 'refused' ? outcome.refusal.code : outcome.type;
    });
    while (said === null) clock.runUntil(clock.now + 1);
    return said;
  }
}
