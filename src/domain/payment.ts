/**
 * Payments of orders. An order has one attempt at a time; the attempt that succeeds sets the order
 * PAID in the same commit, and money that came for an order which could not take it any more is
 * given back.
 */
import type { OrderId, PaymentId, ProductId } from './ids.ts';
import type { JobSource } from './job.ts';
import type { OrderStatus, PaymentStatus } from './order.ts';
import type { EffectKey } from './ports.ts';

/** What the simulated provider does with an attempt. */
export const PAYMENT_SCENARIOS = [
  'success',
  'failure',
  /** The first request to the provider is not answered; a later one is. */
  'timeout_then_success',
  /** The provider says twice that the money came. */
  'duplicate_confirmation',
] as const;
export type PaymentScenario = (typeof PAYMENT_SCENARIOS)[number];

/** How long the simulated provider may be told to take, milliseconds. */
export const PAYMENT_DELAY_MS_MAX = 60_000;
/** Of one order. */
export const PAYMENT_ATTEMPTS_MAX = 50;

/** An attempt, as whoever works on it sees it. */
export interface Payment {
  readonly id: PaymentId;
  readonly orderId: OrderId;
  /** The products of the order's lines. */
  readonly productIds: readonly ProductId[];
  /** Minor units. */
  readonly amount: number;
  readonly currency: string;
  /** Counts from 1 per order. */
  readonly attempt: number;
  readonly status: PaymentStatus;
  readonly scenario: PaymentScenario;
  readonly delayMs: number;
  /** The money came and must go back. */
  readonly refundDue: boolean;
  /** How often its charge was taken up, or its refund when that is due. */
  readonly tries: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** What the customer is told of an attempt that was started. */
export interface StartedPayment {
  readonly id: PaymentId;
  readonly status: PaymentStatus;
  readonly attempt: number;
}

export interface PayOrder {
  readonly orderId: OrderId;
  readonly scenario: PaymentScenario;
  readonly delayMs: number;
  readonly key: EffectKey | null;
}

export type PayRefusalCode = 'order-expired' | 'order-not-payable' | 'payment-in-progress';

export type PayOutcome =
  /** The attempt is under way, or was under this key before. */
  | { readonly type: 'started'; readonly payment: StartedPayment; readonly replayed: boolean }
  /** The order is paid already, by this payment. */
  | { readonly type: 'paid'; readonly payment: StartedPayment }
  | { readonly type: 'refused'; readonly code: PayRefusalCode; readonly status: OrderStatus }
  | { readonly type: 'key-reused' };

/** What the HTTP edge may use. Errors are AppErrors. */
export interface Payments {
  /** `orderId` must exist: read the order first. */
  pay(request: PayOrder): Promise<PayOutcome>;
}

export type PaymentResult = 'succeeded' | 'failed';

/** What a provider tells of a payment: once, twice, late, never, or differently the second time. */
export interface Confirmation {
  readonly paymentId: PaymentId;
  readonly result: PaymentResult;
}

export type ChargeAnswer =
  | { readonly type: 'final'; readonly result: PaymentResult }
  /** Ask again at this time, milliseconds since the epoch. */
  | { readonly type: 'processing'; readonly readyAt: number };

/**
 * Whoever moves the money. Both commands are idempotent by the payment's id, so that asking again
 * is safe; both reject when there is no answer by the time that the signal aborts, and then nothing
 * is known.
 */
export interface PaymentProvider {
  charge(payment: Payment, signal: AbortSignal): Promise<ChargeAnswer>;
  refund(payment: Payment, signal: AbortSignal): Promise<void>;
}

/**
 * The rows that are the payment jobs. Errors are AppErrors. Every change names the state that it is
 * for, and does nothing in any other: a batch may have moved the payment on meanwhile.
 */
export interface PaymentStore extends JobSource<Payment>, Payments {
  findPayment(id: PaymentId): Promise<Payment | undefined>;
  /** A pending payment is FAILED. Its job stays, to ask the provider once more. */
  fail(id: PaymentId): Promise<void>;
  /** The money of a payment that did not pay its order is to be given back. */
  requireRefund(id: PaymentId): Promise<void>;
  /** The money of a payment whose refund is due went back. */
  markRefunded(id: PaymentId): Promise<void>;
  /** Ends the lease: the job is due again at this time, milliseconds since the epoch. */
  postpone(id: PaymentId, dueAt: number): Promise<void>;
  /** Ends the lease of a payment with which there is nothing left to do. */
  settle(id: PaymentId): Promise<void>;
}
