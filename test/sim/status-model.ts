/**
 * What a customer may be told of an order's status: what it was, and when; and what it rests on, a
 * payment or shipped lines. Part of the model.
 */
import type { DecidedOrder, StatusChange } from '../../src/domain/batch.ts';
import type { PaymentId, ProductId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { Answer, ChangeStatusCommand } from '../../src/domain/wire.ts';
import { fail } from './fail.ts';
import { merchantOf } from './fake-merge.ts';
import type { FakeShop } from './fake-shop.ts';

const LEADS_TO: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  WAITING_PAYMENT: ['PAID', 'EXPIRED', 'CANCELLED'],
  PAID: ['SHIPPING', 'CANCELLED'],
  SHIPPING: ['COMPLETED'],
  COMPLETED: [],
  EXPIRED: [],
  CANCELLED: [],
};

export class OrderBook {
  readonly decided: DecidedOrder;
  readonly #shop: FakeShop;
  /** Each status with the time from which it held. */
  readonly #statuses: { readonly status: OrderStatus; readonly since: number }[];
  /** Statuses that a request was told to have brought about. */
  readonly #told = new Set<OrderStatus>();
  readonly #shipped = new Set<ProductId>();
  #paidBy: PaymentId | null = null;

  constructor(decided: DecidedOrder, shop: FakeShop, now: number) {
    this.decided = decided;
    this.#shop = shop;
    this.#statuses = [{ status: 'WAITING_PAYMENT', since: now }];
  }

  get status(): OrderStatus {
    return this.#statuses.at(-1)?.status ?? fail('I4', 'an order without a status');
  }

  change({ orderId, to, author, detail }: StatusChange, now: number): void {
    if (!LEADS_TO[this.status].includes(to)) fail('I6', `${orderId} became ${to}`);
    const isExpiry = to === 'EXPIRED' && now >= this.decided.order.expiresAt;
    const isPayment = to === 'PAID' && detail?.kind === 'payment';
    if (isExpiry || isPayment ? author !== null : author === null) {
      fail('I6', `${orderId} became ${to} by itself, or not`);
    }
    if (isPayment) this.#paidBy = detail.paymentId;
    if (to === 'SHIPPING' && this.#shipped.size < this.decided.command.lines.length) {
      fail('I6', `${orderId} is on its way without some of its lines`);
    }
    this.#statuses.push({ status: to, since: now });
  }

  /** A shipment committed, whether or not it was the last one. */
  ship({ from, detail }: StatusChange): void {
    if (detail?.kind !== 'shipment' || !from.includes(this.status)) return;
    const { merchantId } = detail;
    for (const { productId } of this.decided.command.lines) {
      if (merchantId === null || merchantOf(productId) === merchantId) this.#shipped.add(productId);
    }
  }

  /** `sentAt`: of the request. */
  checkAnswer(
    command: ChangeStatusCommand,
    answer: Extract<Answer, { readonly type: 'status-changed' | 'status-kept' }>,
    sentAt: number,
  ): void {
    const { orderId, from, to, detail } = command;
    if (answer.type === 'status-kept') {
      const wasThen = this.#statuses.some(({ status }, i) => {
        return status === answer.status && (this.#statuses[i + 1]?.since ?? Infinity) >= sentAt;
      });
      // A payment that is over cannot pay, although the order waits for one.
      const paymentIsOver =
        detail?.kind === 'payment' &&
        this.#shop.payments.get(detail.paymentId)?.status !== 'PENDING';
      const couldChange = from.includes(answer.status) && !paymentIsOver;
      if (!wasThen || couldChange) fail('I8', `${orderId} kept ${answer.status}`);
      return;
    }
    const isShipment = detail?.kind === 'shipment';
    if (!this.#has(isShipment ? 'PAID' : to)) fail('I2', `${orderId} never became ${to}`);
    if (answer.replayed || isShipment) return;
    if (this.#told.has(to)) fail('I3', `${orderId} became ${to} twice`);
    this.#told.add(to);
  }

  /** Once everything is settled. */
  checkEnd(): void {
    const { id } = this.decided.command;
    if (this.status === 'WAITING_PAYMENT') fail('I10', `${id} never expired`);
    const payments = [...this.#shop.payments].filter(([, { orderId }]) => orderId === id);
    for (const [paymentId, { status, refundDue }] of payments) {
      if (status === 'PENDING') fail('I8', `nobody settles ${paymentId}`);
      const pays = status === 'SUCCEEDED';
      if (pays !== (paymentId === this.#paidBy)) fail('I6', `${paymentId} of ${id} is ${status}`);
      if (pays && refundDue !== (this.status === 'CANCELLED')) {
        fail('I10', `${paymentId} of ${id}, which is ${this.status}: refund due is ${refundDue}`);
      }
    }
    if (this.#has('PAID') !== (this.#paidBy !== null)) fail('I6', `${id} is paid by nothing`);
  }

  #has(status: OrderStatus): boolean {
    return this.#statuses.some((one) => one.status === status);
  }
}
