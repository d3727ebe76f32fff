/**
 * Final answers to a command (I8): accepted, refused with a reason, shed (nothing decided), or
 * unknown. Outcomes are expected and returned, never thrown.
 */
import type { Order, OrderStatus } from './order.ts';
import type { OrderId, ProductId } from './ids.ts';

/** In order of precedence: the first code that any line fails is the answer. */
export const REFUSAL_CODES = [
  'product-not-found',
  'product-not-for-sale',
  'sale-not-started',
  'sale-ended',
  'currency-mismatch',
  'limit-exceeded',
  'out-of-stock',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];
/** Why a product cannot serve a line; a currency is of several lines. */
export type LineFailure = Exclude<RefusalCode, 'currency-mismatch'>;

/** A line that fails for the refusal's code. */
export interface RefusedItem {
  readonly productId: ProductId;
  /** Units asked for. */
  readonly requested: number;
  /** Units left; only with `out-of-stock`. */
  readonly available?: number;
}

/** What the owner of a product says about one line of an order. */
export interface LineReport {
  readonly productId: ProductId;
  /** Units asked for. */
  readonly quantity: number;
  /** Null = this line can be served. */
  readonly failure: LineFailure | null;
  readonly available: number;
  /** The product's last one given. */
  readonly sequence: number;
  /** The product has a limit per customer. */
  readonly limited: boolean;
  /** Milliseconds since the epoch. */
  readonly saleStartsAt: number | null;
  /** Null when there is no such product. */
  readonly currency: string | null;
}

export interface Refusal {
  readonly type: 'refused';
  readonly code: RefusalCode;
  readonly items: readonly RefusedItem[];
  /** Milliseconds since the epoch; only with `sale-not-started`: the latest start of the failing lines. */
  readonly startsAt?: number;
}

/** Nothing was decided, or all of it was reverted; the same request may be sent again. */
export type ShedCode = 'overloaded' | 'database-unavailable' | 'shutting-down';
export interface Shed {
  readonly type: 'shed';
  readonly code: ShedCode;
}

/** The key is bound to another request of the same customer. */
export interface KeyReused {
  readonly type: 'key-reused';
}

/** No final answer in time; the same key, or reading the order, settles it. */
export interface Unknown {
  readonly type: 'unknown';
  /** The order's id for an order; null for commands that make none. */
  readonly orderId: OrderId | null;
}

export type PlaceOrderOutcome =
  | { readonly type: 'accepted'; readonly order: Order; readonly replayed: boolean }
  | Refusal
  /** The cart is not open at the version that was read. */
  | { readonly type: 'cart-changed' }
  | KeyReused
  | Shed
  | Unknown;

export type ChangeStatusOutcome =
  /**
   * The order has the new status; it may have had it before. Of a shipment: the lines are shipped,
   * and the order has the new status if they were the last.
   */
  | { readonly type: 'changed'; readonly replayed: boolean }
  /** The order has a status that does not lead to the new one. */
  | { readonly type: 'not-changeable'; readonly status: OrderStatus }
  | KeyReused
  | Shed
  | Unknown;

export type EditProductOutcome =
  /** Committed; `version`: the one that the edit made. */
  | { readonly type: 'edited'; readonly version: number }
  | { readonly type: 'refused'; readonly code: 'product-not-found' }
  /** The product is not at the version that the edit is for. */
  | { readonly type: 'version-differs'; readonly version: number }
  | Shed
  | Unknown;

export type ChangeStockOutcome =
  /** `available`: committed stock right after this change. */
  | { readonly type: 'changed'; readonly available: number; readonly replayed: boolean }
  | { readonly type: 'refused'; readonly code: 'product-not-found' }
  | {
      readonly type: 'refused';
      readonly code: 'insufficient-stock';
      /** Units that could have been removed. */
      readonly available: number;
    }
  | KeyReused
  | Shed
  | Unknown;
