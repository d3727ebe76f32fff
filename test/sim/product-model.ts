/**
 * What may be sold of a product, to whom, when and at what price: its stock, its versions with the
 * time in which an owner may decide by each, and what every customer has of it. Part of the model.
 *
 * A version counts from its COMMIT until the owner says that the next one is committed; of a first
 * limit on, nothing that was decided before commits any more.
 */
import type { OrderId, OwnerId, UserId } from '../../src/domain/ids.ts';
import type { RefusalCode } from '../../src/domain/outcome.ts';
import type { ProductChanges, ProductState } from '../../src/domain/product.ts';
import { fail } from './fail.ts';

/** A line of an order that committed. */
interface Sale {
  readonly orderId: OrderId;
  readonly userId: UserId;
  readonly units: number;
  readonly name: string;
  readonly unitPrice: number;
  readonly currency: string;
  readonly sequence: number;
  /** The incarnation that gave the sequence. */
  readonly owner: OwnerId;
  /** When it took the units. */
  readonly decidedAt: number;
}

/** Both ends included. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

type Terms = Pick<
  ProductState,
  'name' | 'price' | 'status' | 'perCustomerLimit' | 'saleStartsAt' | 'saleEndsAt' | 'version'
>;

interface Version {
  readonly terms: Terms;
  /** Who committed it; null = it was there before anybody. */
  readonly owner: OwnerId | null;
  readonly committedAt: number;
  /** When whoever committed it said so, or could not act any more. */
  toldAt: number;
}

interface Sold extends Sale {
  readonly terms: Terms;
  /** When the order ended as expired or cancelled. */
  freedAt: number;
}

export class ProductBook {
  /** Opening stock, restocked and adjusted. */
  stocked: number;
  /** Somebody changed the row by hand: the CHECK may fire. */
  diverged = false;
  /** Units in live orders. */
  #live = 0;
  readonly #units = new Map<UserId, number>();
  readonly #sales: Sold[] = [];
  readonly #versions: Version[];

  constructor(product: ProductState, now: number) {
    this.stocked = product.stock;
    this.#versions = [{ terms: product, owner: null, committedAt: now, toldAt: now }];
  }

  /** The committed ones. */
  get terms(): Terms {
    return this.#versions.at(-1)?.terms ?? fail('I6', 'a product without a version');
  }

  unitsOf(userId: UserId): number {
    return this.#units.get(userId) ?? 0;
  }

  edit(changes: ProductChanges, owner: OwnerId, now: number): void {
    const terms = { ...this.terms, ...changes, version: this.terms.version + 1 };
    this.#versions.push({ terms, owner, committedAt: now, toldAt: Infinity });
  }

  /** Until `time` its owner may have decided by what was before this version. */
  told(version: number, time: number): void {
    const told = this.#versions.find(({ terms }) => terms.version === version);
    if (told !== undefined) told.toldAt = Math.min(told.toldAt, time);
  }

  /** The terms of the sale. */
  sell(sale: Sale): Terms {
    const terms = this.#termsOf(sale);
    const { price, status } = terms;
    const isOffered = sale.unitPrice === price.amount && sale.currency === price.currency;
    if (!isOffered || status !== 'active') fail('I6', `sold on other terms: ${shown(sale)}`);
    if (!isOpen(terms, sale.decidedAt)) fail('I6', `sold out of hours: ${shown(sale)}`);
    const sold = { ...sale, terms, freedAt: Infinity };
    this.#checkSequence(sold);
    this.#sales.push(sold);
    this.#live += sale.units;
    this.#units.set(sale.userId, this.unitsOf(sale.userId) + sale.units);
    this.#checkLimits(sale.userId);
    return terms;
  }

  /** An order is not live any more. */
  free(orderId: OrderId, now: number): void {
    const sold = this.#sales.find((sale) => sale.orderId === orderId);
    if (sold === undefined) return fail('I10', `${orderId} frees what it never had`);
    sold.freedAt = now;
    this.#live -= sold.units;
    this.#units.set(sold.userId, this.unitsOf(sold.userId) - sold.units);
  }

  /** The committed row. */
  checkRow(row: ProductState): void {
    const { stocked } = this;
    if (this.#live > stocked) fail('I1', `${this.#live} of ${row.id} are sold, ${stocked} stocked`);
    if (stocked !== row.stock + this.#live) {
      fail('I10', `${row.id}: ${stocked} is not ${row.stock} + ${this.#live}`);
    }
    if (this.terms.version !== row.version) fail('I6', `${row.id} is at version ${row.version}`);
    if ((this.terms.perCustomerLimit === null) !== (row.customerUnits === null)) {
      fail('I6', `${row.id} is counted, or not, against its limit`);
    }
    for (const [userId, units] of row.customerUnits === null ? [] : this.#units) {
      const counted = row.customerUnits?.get(userId) ?? 0;
      if (counted !== units) fail('I10', `${userId} has ${units} of ${row.id}, not ${counted}`);
    }
  }

  /** A refusal that was decided at some moment of `period`; `startsAt`: as it was said, if it was. */
  checkRefusal(code: RefusalCode, period: Period, startsAt: number | undefined): void {
    const held = this.#during(period).some(({ terms, ...at }) => {
      return canRefuse(terms, { ...at, code, startsAt });
    });
    if (!held) fail('I6', `${code} for ${this.terms.name} between ${period.from} and ${period.to}`);
  }

  /** Its owner may have decided by this version at some moment of `period`. */
  hadVersion(version: number, period: Period): boolean {
    return this.#during(period).some(({ terms }) => terms.version === version);
  }

  #during(period: Period): (Period & { readonly terms: Terms })[] {
    return this.#versions.flatMap(({ terms, committedAt }, i) => {
      const from = Math.max(period.from, committedAt);
      const to = Math.min(period.to, this.#versions[i + 1]?.toldAt ?? Infinity);
      return from <= to ? [{ terms, from, to }] : [];
    });
  }

  /** Every version has a name of its own. */
  #termsOf(sale: Sale): Terms {
    const i = this.#versions.findIndex(({ terms }) => terms.name === sale.name);
    const version = this.#versions[i];
    if (version === undefined || sale.decidedAt < version.committedAt) {
      return fail('I6', `sold on terms that were not committed: ${shown(sale)}`);
    }
    const { terms } = version;
    const [next, ...later] = this.#versions.slice(i + 1);
    if (next === undefined) return terms;
    const isKnown = next.owner !== sale.owner || next.toldAt < sale.decidedAt;
    const isFirstLimit = [next, ...later].some(
      (one) => one.terms.perCustomerLimit !== null && terms.perCustomerLimit === null,
    );
    if (isKnown || isFirstLimit) fail('I6', `sold on former terms: ${shown(sale)}`);
    return terms;
  }

  /**
   * What a customer had when a sale was decided: all that was decided before, committed then or
   * since, and was not free by then.
   */
  #checkLimits(userId: UserId): void {
    const sales = this.#sales.filter((sale) => sale.userId === userId);
    for (const { sequence, decidedAt, units, terms } of sales) {
      const before = sales.filter((one) => one.sequence < sequence && one.freedAt >= decidedAt);
      const had = before.reduce((sum, one) => sum + one.units, 0);
      const limit = terms.perCustomerLimit ?? Infinity;
      if (had + units > limit) fail('I6', `${userId} has ${had} and gets ${units} of ${limit}`);
    }
  }

  /** Sequences are in the order of decisions, and an incarnation goes on where the last one ended. */
  #checkSequence(sold: Sold): void {
    for (const other of this.#sales) {
      const [low, high] = other.sequence < sold.sequence ? [other, sold] : [sold, other];
      const inOrder =
        low.sequence < high.sequence &&
        low.owner <= high.owner &&
        low.decidedAt <= high.decidedAt &&
        low.terms.version <= high.terms.version;
      if (!inOrder) fail('I7', JSON.stringify({ low, high }));
    }
  }
}

/** From the first millisecond on, and up to the last one before the end. */
export function isOpen({ saleStartsAt, saleEndsAt }: Terms, at: number): boolean {
  return (saleStartsAt ?? -Infinity) <= at && at < (saleEndsAt ?? Infinity);
}

function canRefuse(
  terms: Terms,
  at: Period & { readonly code: RefusalCode; readonly startsAt: number | undefined },
): boolean {
  switch (at.code) {
    case 'product-not-found':
      return false;
    case 'product-not-for-sale':
      return terms.status !== 'active';
    case 'sale-not-started':
      return at.from < (terms.saleStartsAt ?? -Infinity) && isSaid(at.startsAt, terms);
    case 'sale-ended':
      return at.to >= (terms.saleEndsAt ?? Infinity);
    case 'limit-exceeded':
      return terms.perCustomerLimit !== null;
    case 'currency-mismatch':
    case 'out-of-stock':
      return true;
  }
}

/** Of several lines only the last start is said. */
function isSaid(startsAt: number | undefined, terms: Terms): boolean {
  return startsAt === undefined || startsAt === terms.saleStartsAt;
}

function shown(sale: Sale): string {
  return JSON.stringify(sale);
}
