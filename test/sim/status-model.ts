/** What a customer may be told of an order's status: what it was, and when. Part of the model. */
import type { DecidedOrder, StatusChange } from '../../src/domain/batch.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { Answer, ChangeStatusCommand } from '../../src/domain/wire.ts';
import { fail } from './fail.ts';

const LEADS_TO: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  WAITING_PAYMENT: ['PAID', 'EXPIRED', 'CANCELLED'],
  PAID: ['CANCELLED'],
  SHIPPING: [],
  COMPLETED: [],
  EXPIRED: [],
  CANCELLED: [],
};

export class OrderBook {
  readonly decided: DecidedOrder;
  /** Each status with the time from which it held. */
  readonly #statuses: { readonly status: OrderStatus; readonly since: number }[];
  /** Statuses that a request was told to have brought about. */
  readonly #told = new Set<OrderStatus>();

  constructor(decided: DecidedOrder, now: number) {
    this.decided = decided;
    this.#statuses = [{ status: 'WAITING_PAYMENT', since: now }];
  }

  get status(): OrderStatus {
    return this.#statuses.at(-1)?.status ?? fail('I4', 'an order without a status');
  }

  change({ orderId, to, author }: StatusChange, now: number): void {
    if (!LEADS_TO[this.status].includes(to)) fail('I6', `${orderId} became ${to}`);
    const { expiresAt } = this.decided.order;
    if (author === null && (to !== 'EXPIRED' || now < expiresAt)) {
      fail('I6', `${orderId} became ${to} by itself`);
    }
    this.#statuses.push({ status: to, since: now });
  }

  /** `sentAt`: of the request. */
  checkAnswer(
    { orderId, from, to }: ChangeStatusCommand,
    answer: Extract<Answer, { readonly type: 'status-changed' | 'status-kept' }>,
    sentAt: number,
  ): void {
    if (answer.type === 'status-kept') {
      const wasThen = this.#statuses.some(({ status }, i) => {
        return status === answer.status && (this.#statuses[i + 1]?.since ?? Infinity) >= sentAt;
      });
      if (!wasThen || from.includes(answer.status)) fail('I8', `${orderId} kept ${answer.status}`);
      return;
    }
    if (!this.#statuses.some(({ status }) => status === to)) {
      fail('I2', `${orderId} never became ${to}`);
    }
    if (answer.replayed) return;
    if (this.#told.has(to)) fail('I3', `${orderId} became ${to} twice`);
    this.#told.add(to);
  }
}
