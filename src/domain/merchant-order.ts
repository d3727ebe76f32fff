/** What a merchant sees of orders: its own lines, and what they cost. */
import type { ProductId, UserId } from './ids.ts';
import type { Order, OrderStatus } from './order.ts';
import type { Page, PageRequest } from './ports.ts';

export interface MerchantOrderFilter {
  readonly merchantId: UserId;
  readonly status: OrderStatus | null;
  /** Orders with a line of this product. */
  readonly productId: ProductId | null;
}

/** Reads of committed rows; errors are AppError `database-unavailable`. */
export interface MerchantOrders {
  /** Those of the products that are the merchant's. */
  ownProducts(
    merchantId: UserId,
    productIds: readonly ProductId[],
  ): Promise<ReadonlySet<ProductId>>;
  /**
   * Each order with the merchant's lines alone. A page may hold fewer orders than asked for, or
   * none, and still have a next one: looking for them has a bound.
   */
  listOrders(filter: MerchantOrderFilter, page: PageRequest): Promise<Page<Order>>;
}

/** The order as the merchant of these products sees it. Payments are the customer's affair. */
export function merchantViewOf(order: Order, own: ReadonlySet<ProductId>): Order {
  const items = order.items.filter(({ productId }) => own.has(productId));
  const total = items.reduce((sum, { unitPrice, quantity }) => sum + unitPrice * quantity, 0);
  return { ...order, items, total, payments: [] };
}
