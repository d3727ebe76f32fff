/**
 * Carts: what customers mean to order. A cart promises neither prices nor units; those are decided
 * when it is checked out.
 */
import type { CartId, OrderId, ProductId, UserId } from './ids.ts';
import type { RequestedLine } from './order.ts';
import type { KeyReused, LineFailure, RefusedItem } from './outcome.ts';
import type { Page, PageRequest } from './ports.ts';
import type { Money, Product } from './product.ts';

export interface CartLine extends RequestedLine {
  /** What the product cost when the line was last touched. */
  readonly addedPrice: Money;
}

/** A cart as it is stored: nothing in it changes unless the cart does. */
export interface Cart {
  readonly id: CartId;
  readonly userId: UserId;
  /** Counts the changes of its lines. */
  readonly version: number;
  /** What it became: a cart with an order is closed for ever. Null = it is open. */
  readonly orderId: OrderId | null;
  /** Sorted by product id. */
  readonly lines: readonly CartLine[];
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Whose cart, and which. */
export interface CartOfCustomer {
  readonly userId: UserId;
  readonly cartId: CartId;
}

export interface CreateCart {
  readonly userId: UserId;
  readonly idempotencyKey: string | null;
  /** Not yet summed; the units of each product are within bounds. */
  readonly lines: readonly RequestedLine[];
}

export interface AddItem extends CartOfCustomer {
  readonly idempotencyKey: string | null;
  readonly line: RequestedLine;
}

export interface SetQuantity extends CartOfCustomer {
  readonly line: RequestedLine;
}

export interface RemoveItem extends CartOfCustomer {
  readonly productId: ProductId;
}

export type CartRefusal =
  | { readonly code: 'cart-not-found' | 'cart-closed' }
  /** `items`: the lines whose product the cart does not have, or the customer may not see. */
  | { readonly code: 'product-not-found'; readonly items: readonly RefusedItem[] }
  /** More than LINES_MAX products, or more than QUANTITY_MAX units of one. */
  | { readonly code: 'too-many-lines' | 'too-many-units' };

export type CartOutcome =
  /** `cart`: as this change left it; of a replay, as the first one did. */
  | { readonly type: 'changed'; readonly cart: Cart; readonly replayed: boolean }
  | { readonly type: 'refused'; readonly refusal: CartRefusal }
  | KeyReused;

/**
 * Stored carts. An expired cart is none, whether its row is still there or not. Errors are AppError
 * `database-unavailable` or, of a change, `outcome-unknown`.
 */
export interface Carts {
  createCart(request: CreateCart): Promise<CartOutcome>;
  /** Adds units to those that the cart has of the product. */
  addItem(request: AddItem): Promise<CartOutcome>;
  /** Of a product that the cart has. */
  setQuantity(request: SetQuantity): Promise<CartOutcome>;
  removeItem(request: RemoveItem): Promise<CartOutcome>;
  /** Null = deleted. A closed cart stays: it is what makes a repeat of its checkout a repeat. */
  deleteCart(cart: CartOfCustomer): Promise<CartRefusal | null>;
  /** Whosever it is, and even if it expired: see `isLive`. May be a version of a moment ago. */
  findCart(id: CartId): Promise<Cart | undefined>;
  /** As `findCart`, but as it is committed. */
  readCart(id: CartId): Promise<Cart | undefined>;
  /** Tells of a cart that its order closed, which is the gateway's to do. */
  noteOrdered(cart: Cart, orderId: OrderId): Promise<void>;
  listCarts(userId: UserId, page: PageRequest): Promise<Page<Cart>>;
  /** The products of lines as they are now, in any order. */
  findProducts(ids: readonly ProductId[]): Promise<readonly Product[]>;
}

/** Deletes carts that were left alone; their rows are the jobs. */
export interface CartSweep {
  /** Resolves with the number of carts deleted, at most `max`. */
  deleteExpired(max: number): Promise<number>;
}

/** Whether the cart is still there for its customer at `now`, milliseconds since the epoch. */
export function isLive(cart: Cart, now: number): boolean {
  return cart.orderId !== null || now < cart.expiresAt;
}

/**
 * Why the line could not be ordered as things look now; null = nothing known. Its owner may still
 * decide otherwise, above all about a limit, of which earlier orders are not counted here.
 */
export function lineProblem(
  { quantity }: RequestedLine,
  product: Product | undefined,
  now: number,
): LineFailure | null {
  if (product === undefined) return 'product-not-found';
  const { saleStartsAt, saleEndsAt, perCustomerLimit } = product;
  if (product.status !== 'active') return 'product-not-for-sale';
  if (saleStartsAt !== null && now < saleStartsAt) return 'sale-not-started';
  if (saleEndsAt !== null && now >= saleEndsAt) return 'sale-ended';
  if (perCustomerLimit !== null && quantity > perCustomerLimit) return 'limit-exceeded';
  return quantity > product.available ? 'out-of-stock' : null;
}
