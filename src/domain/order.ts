import type { OrderId, ProductId, UserId } from './ids.ts';

export const ORDER_STATUSES = [
  'WAITING_PAYMENT',
  'PAID',
  'SHIPPING',
  'COMPLETED',
  'EXPIRED',
  'CANCELLED',
] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** A status that an order reached. */
export interface OrderEvent {
  readonly status: OrderStatus;
  readonly reason: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** What a customer asks for. Canonical: one line per product, sorted by product id. */
export interface RequestedLine {
  readonly productId: ProductId;
  /** Units, 1 to QUANTITY_MAX. */
  readonly quantity: number;
}

/** A line as it was decided: the server's name and price, and its place in the product's order. */
export interface OrderLine extends RequestedLine {
  readonly name: string;
  /** Minor units of the order's currency. */
  readonly unitPrice: number;
  /** Strictly increasing per product (I7). */
  readonly sequence: number;
}

/** An order as it is shown. Times are milliseconds since the epoch. */
export interface Order {
  readonly id: OrderId;
  readonly userId: UserId;
  readonly status: OrderStatus;
  readonly items: readonly OrderLine[];
  readonly currency: string;
  /** Minor units. */
  readonly total: number;
  readonly reference: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly createdAt: number;
  readonly expiresAt: number;
}
