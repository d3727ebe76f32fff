import type { ProductId, UserId } from './ids.ts';

export const PRODUCT_STATUSES = ['draft', 'active', 'paused', 'archived'] as const;
export type ProductStatus = (typeof PRODUCT_STATUSES)[number];

/** Minor units (cents) of an ISO 4217 currency. */
export interface Money {
  readonly amount: number;
  readonly currency: string;
}

/** A product as it is shown. Times are milliseconds since the epoch. */
export interface Product {
  readonly id: ProductId;
  readonly merchantId: UserId;
  readonly name: string;
  readonly description: string;
  readonly price: Money;
  /** Committed stock. */
  readonly available: number;
  /** Units per customer over all live orders; null = no limit. */
  readonly perCustomerLimit: number | null;
  readonly saleStartsAt: number | null;
  readonly saleEndsAt: number | null;
  readonly status: ProductStatus;
  /** Counts merchant edits only. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What an owner decides by, as loaded from PostgreSQL. */
export interface ProductState {
  readonly id: ProductId;
  readonly name: string;
  readonly price: Money;
  readonly status: ProductStatus;
  readonly saleStartsAt: number | null;
  readonly saleEndsAt: number | null;
  /** Units per customer over all live orders; null = no limit. */
  readonly perCustomerLimit: number | null;
  /** Units in live orders by customer; null = no limit. */
  readonly customerUnits: ReadonlyMap<UserId, number> | null;
  /** Counts merchant edits. */
  readonly version: number;
  readonly stock: number;
  /** Units ever supplied: what is not in `stock` any more is in live orders (I10). */
  readonly supplied: number;
  /** Rises by one with each change of `stock`; tells whether a change was seen by this load. */
  readonly stockVersion: number;
  /** The last sequence given to an accepted line; 0 = this product never sold. */
  readonly sequence: number;
}

/** Units of one product that went back into stock. */
export interface FreedUnits {
  readonly productId: ProductId;
  readonly units: number;
  /** `products.stock_version` that has them. */
  readonly stockVersion: number;
  /** Whose orders they were of; empty for a product without a limit. */
  readonly customers: readonly CustomerUnits[];
}

export interface CustomerUnits {
  readonly userId: UserId;
  readonly units: number;
}

/** What a merchant edit sets; what is absent stays. Times are milliseconds since the epoch. */
export interface ProductChanges {
  readonly name?: string;
  readonly description?: string;
  readonly price?: Money;
  readonly status?: ProductStatus;
  readonly perCustomerLimit?: number | null;
  readonly saleStartsAt?: number | null;
  readonly saleEndsAt?: number | null;
}
