/**
 * Rows that batches share with somebody else: carts, which their customers change, and payments,
 * which a provider fails. Every method is one transaction that takes effect at once.
 */
import type { CartId, OrderId, PaymentId, UserId } from '../../src/domain/ids.ts';
import type { RequestedLine } from '../../src/domain/order.ts';

export interface CartRow {
  readonly userId: UserId;
  version: number;
  lines: readonly RequestedLine[];
  /** The order that closed it. */
  orderId: OrderId | null;
}

export interface PaymentRow {
  readonly orderId: OrderId;
  status: 'PENDING' | 'SUCCEEDED' | 'FAILED';
  refundDue: boolean;
}

export class FakeShop {
  readonly carts = new Map<CartId, CartRow>();
  readonly payments = new Map<PaymentId, PaymentRow>();
  #lastId = 0;

  openCart(userId: UserId, lines: readonly RequestedLine[]): CartId {
    this.#lastId += 1;
    const id = `cart ${this.#lastId}` as CartId;
    this.carts.set(id, { userId, version: 1, lines, orderId: null });
    return id;
  }

  /** Does nothing to one that is closed. */
  changeCart(id: CartId, lines: readonly RequestedLine[]): void {
    const cart = this.carts.get(id);
    if (cart === undefined || cart.orderId !== null) return;
    cart.version += 1;
    cart.lines = lines;
  }

  /** Does nothing to one that is closed. */
  deleteCart(id: CartId): void {
    if (this.carts.get(id)?.orderId === null) this.carts.delete(id);
  }

  /** Null while another payment of the order is pending. */
  startPayment(orderId: OrderId): PaymentId | null {
    const all = [...this.payments.values()];
    if (all.some((row) => row.orderId === orderId && row.status === 'PENDING')) return null;
    this.#lastId += 1;
    const id = `payment ${this.#lastId}` as PaymentId;
    this.payments.set(id, { orderId, status: 'PENDING', refundDue: false });
    return id;
  }

  /** Does nothing to one that succeeded; `paid`: the money came all the same and goes back. */
  failPayment(id: PaymentId, { paid }: { readonly paid: boolean }): void {
    const payment = this.payments.get(id);
    if (payment?.status !== 'PENDING') return;
    payment.status = 'FAILED';
    payment.refundDue = paid;
  }
}
