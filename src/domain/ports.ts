/**
 * What the HTTP edge may use. Implemented by workers/ (the gateway) and db/ (reads, accounts);
 * nothing here says in which process or on which machine the owner of a product lives.
 */
import type { OrderId, ProductId, UserId } from './ids.ts';
import type {
  CartVersion,
  Order,
  OrderEvent,
  OrderStatus,
  RequestedLine,
  StatusDetail,
} from './order.ts';
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
} from './outcome.ts';
import type { Product, ProductChanges, ProductStatus } from './product.ts';
import type { Role, User } from './user.ts';

export interface PlaceOrder {
  readonly userId: UserId;
  readonly idempotencyKey: string | null;
  /** As sent: 1 to LINES_MAX lines, not yet summed. The summed quantities must be within bounds. */
  readonly lines: readonly RequestedLine[];
  readonly reference: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  /**
   * What is checked out: a cart makes at most one order ever, whose id is a function of customer and
   * cart. The order takes effect only while the cart is open at this version, and closes it. Null =
   * no cart.
   */
  readonly cart: CartVersion | null;
  /** W3C trace context of the request, or null. */
  readonly traceparent: string | null;
}

export interface ChangeStock {
  readonly author: UserId;
  readonly idempotencyKey: string | null;
  readonly productId: ProductId;
  /** Units, not 0; negative removes. */
  readonly delta: number;
  readonly reason: string;
  readonly traceparent: string | null;
}

export interface EditProduct {
  readonly author: UserId;
  readonly productId: ProductId;
  /** The version that the edit is for; null = whichever. */
  readonly ifVersion: number | null;
  readonly changes: ProductChanges;
  readonly reason: string | null;
  readonly traceparent: string | null;
}

export interface ChangeStatus {
  /** Null = the service itself, which has no keys. */
  readonly author: UserId | null;
  readonly idempotencyKey: string | null;
  readonly orderId: OrderId;
  /** The products of the order's lines: the lowest partition among them owns the order. */
  readonly productIds: readonly ProductId[];
  /** Statuses that may become `to`. */
  readonly from: readonly OrderStatus[];
  readonly to: OrderStatus;
  readonly detail: StatusDetail | null;
  readonly reason: string | null;
  readonly traceparent: string | null;
}

/** Commands to the owners of products. Never throws: every answer is an outcome (I8). */
export interface OrderGateway {
  placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome>;
  changeStock(request: ChangeStock): Promise<ChangeStockOutcome>;
  /** Whatever is decided after its answer follows it. */
  editProduct(request: EditProduct): Promise<EditProductOutcome>;
  /** `orderId` must exist: read the order first. */
  changeStatus(request: ChangeStatus): Promise<ChangeStatusOutcome>;
  /**
   * The customer of an order that was answered `unknown` and is not settled since. Ask before
   * reading: an order that is not unsettled and not there afterwards did not take effect.
   */
  unsettledCustomer(id: OrderId): UserId | undefined;
}

/** The key of a command that no owner of products decides, with what it is bound to. */
export interface EffectKey {
  readonly userId: UserId;
  readonly key: string;
  /** The request in one text: equal texts are a repeat. */
  readonly request: string;
}

/** A position in a list that is newest first by (createdAt, id): the last row of the page before. */
export interface Cursor {
  /** Microseconds since the epoch as text: PostgreSQL's resolution, which a JS date would round. */
  readonly createdAtUs: string;
  readonly id: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Null at the end. */
  readonly next: Cursor | null;
}

export interface PageRequest {
  readonly limit: number;
  readonly after: Cursor | null;
}

/** Reads of committed rows; errors are AppError `database-unavailable`. */
export interface OrderReader {
  findOrder(id: OrderId): Promise<Order | undefined>;
  /** Oldest first; the first one is the placing of the order. Empty when there is no such order. */
  listEvents(id: OrderId): Promise<readonly OrderEvent[]>;
  listOrders(
    filter: { readonly userId: UserId; readonly status: OrderStatus | null },
    page: PageRequest,
  ): Promise<Page<Order>>;
}

export interface ProductFilter {
  /** Case-insensitive part of the name. */
  readonly q: string | null;
  readonly merchantId: UserId | null;
  readonly status: ProductStatus;
}

export interface Catalogue {
  findProduct(id: ProductId): Promise<Product | undefined>;
  listProducts(filter: ProductFilter, page: PageRequest): Promise<Page<Product>>;
}

export interface Credentials {
  readonly user: User;
  readonly passwordHash: string;
}

export type RegisterOutcome =
  | { readonly type: 'registered'; readonly user: User }
  | { readonly type: 'email-taken' }
  | { readonly type: 'username-taken' };

export interface Accounts {
  register(account: {
    readonly username: string;
    readonly email: string;
    readonly passwordHash: string;
    readonly role: Role;
  }): Promise<RegisterOutcome>;
  /** Case-insensitive. */
  findCredentials(email: string): Promise<Credentials | undefined>;
  findUser(id: UserId): Promise<User | undefined>;
  /** The user as changed, or undefined when there is none. */
  setRole(id: UserId, role: Role): Promise<User | undefined>;
}

/** Whether orders can be decided right now; `reason` is fit for an operator. */
export interface Readiness {
  check(): { readonly ready: true } | { readonly ready: false; readonly reason: string };
}
