import type { CartId, OrderId, PaymentId, ProductId, UserId } from './ids.ts';

export const ORDER_STATUSES = [
  'WAITING_PAYMENT',
  'PAID',
  'SHIPPING',
  'COMPLETED',
  'EXPIRED',
  'CANCELLED',
] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

export const PAYMENT_STATUSES = ['PENDING', 'SUCCEEDED', 'FAILED', 'REFUNDED'] as const;
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number];

/** Who changed an order: in which part, and under which account. */
export interface OrderAuthor {
  readonly role: 'customer' | 'merchant' | 'admin' | 'system';
  /** Null = the service itself. */
  readonly userId: UserId | null;
}

/** A status that an order reached. */
export interface OrderEvent {
  readonly status: OrderStatus;
  /** The status before; null = it was placed. */
  readonly from: OrderStatus | null;
  readonly author: OrderAuthor;
  readonly reason: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** The cart that an order closes, at the version that was read. */
export interface CartVersion {
  readonly id: CartId;
  readonly version: number;
}

/** What a change of status rests on, or does beside it. */
export type StatusDetail =
  /** PAID: by this payment, which must be PENDING and becomes SUCCEEDED. */
  | { readonly kind: 'payment'; readonly paymentId: PaymentId }
  /**
   * SHIPPING: these lines are shipped, and the status follows when all are. `merchantId`: the lines
   * of this merchant's products; null = all lines.
   */
  | {
      readonly kind: 'shipment';
      readonly merchantId: UserId | null;
      readonly tracking: string | null;
    };

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
  /** Milliseconds since the epoch; null = not yet. */
  readonly shippedAt: number | null;
  /** Of its parcel, as the merchant named it. */
  readonly tracking: string | null;
}

/** An attempt to pay an order, as it is shown. */
export interface OrderPayment {
  readonly id: PaymentId;
  readonly status: PaymentStatus;
  /** Counts from 1. */
  readonly attempt: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
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
  /** Oldest first. */
  readonly payments: readonly OrderPayment[];
  readonly createdAt: number;
  readonly expiresAt: number;
}

/**
 * The order as it was when it reached the status, as far as it may have changed since: what it was
 * read with may be of a later one.
 */
export function orderAsOf(order: Order, status: OrderStatus): Order {
  if (status === 'WAITING_PAYMENT' || status === 'PAID') {
    const items = order.items.map((line) => ({ ...line, shippedAt: null, tracking: null }));
    return { ...order, status, items, payments: status === 'PAID' ? order.payments : [] };
  }
  return { ...order, status };
}
