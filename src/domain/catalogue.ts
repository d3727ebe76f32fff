/** Making products. Everything later goes through their owners (`OrderGateway`, I6). */
import type { UserId } from './ids.ts';
import type { KeyReused } from './outcome.ts';
import type { Money, Product, ProductStatus } from './product.ts';

export interface NewProduct {
  readonly merchantId: UserId;
  readonly name: string;
  readonly description: string;
  readonly price: Money;
  /** Units to begin with. */
  readonly stock: number;
  /** Units per customer over all live orders; null = no limit. */
  readonly perCustomerLimit: number | null;
  /** Milliseconds since the epoch. */
  readonly saleStartsAt: number | null;
  /** Milliseconds since the epoch, after `saleStartsAt`. */
  readonly saleEndsAt: number | null;
  readonly status: ProductStatus;
}

export interface CreateProduct {
  readonly author: UserId;
  readonly idempotencyKey: string | null;
  readonly product: NewProduct;
}

export type CreateProductOutcome =
  /** The product as it was made; after a replay it may be another by now. */
  | { readonly type: 'created'; readonly product: Product; readonly replayed: boolean }
  /** There is no account of that id, or it may not sell and is not the author's own. */
  | { readonly type: 'refused'; readonly code: 'merchant-unknown' }
  | KeyReused;

export interface ProductMaker {
  /** @throws AppError `database-unavailable` (nothing happened) or `outcome-unknown`. */
  createProduct(request: CreateProduct): Promise<CreateProductOutcome>;
}
