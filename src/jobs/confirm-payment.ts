/**
 * The one way in which the news that a payment succeeded or failed takes effect. Whoever brings it,
 * the job that asked the provider or a webhook of the provider, may bring it late, twice, never or
 * contradicting itself: what counts is the payment's row and what the owner of the order decides.
 */
import { unreachable } from '../domain/errors.ts';
import type { ChangeStatusOutcome } from '../domain/outcome.ts';
import type { Confirmation, Payment, PaymentStore } from '../domain/payment.ts';
import type { OrderGateway } from '../domain/ports.ts';

export interface ConfirmDeps {
  readonly gateway: Pick<OrderGateway, 'changeStatus'>;
  readonly payments: Pick<PaymentStore, 'findPayment' | 'fail' | 'requireRefund'>;
}

export type ConfirmOutcome =
  /** The payment is what the news makes of it: saying it again changes nothing. */
  | 'settled'
  | 'unknown-payment'
  /** Nobody could decide it now: say it again later. */
  | 'try-again';

/**
 * Idempotent.
 *
 * @throws AppError while PostgreSQL is away: say it again later.
 */
export async function confirmPayment(
  deps: ConfirmDeps,
  { paymentId, result }: Confirmation,
): Promise<ConfirmOutcome> {
  const payment = await deps.payments.findPayment(paymentId);
  if (payment === undefined) return 'unknown-payment';
  if (result === 'failed') {
    await deps.payments.fail(paymentId);
    return 'settled';
  }
  if (payment.status !== 'PENDING' || payment.refundDue) return giveBackUnlessUsed(deps, payment);
  const outcome = await deps.gateway.changeStatus({
    author: null,
    idempotencyKey: null,
    orderId: payment.orderId,
    productIds: payment.productIds,
    from: ['WAITING_PAYMENT'],
    to: 'PAID',
    detail: { kind: 'payment', paymentId },
    reason: `payment ${payment.attempt} succeeded`,
    traceparent: null,
  });
  // Which payment won is in the rows alone: the order may have been paid by another one.
  const decided = await deps.payments.findPayment(paymentId);
  if (decided === undefined) return 'unknown-payment';
  if (decided.status === 'PENDING' && mayStillPay(outcome)) return 'try-again';
  return giveBackUnlessUsed(deps, decided);
}

/** Money came: it paid the order, or it goes back. */
async function giveBackUnlessUsed(deps: ConfirmDeps, payment: Payment): Promise<ConfirmOutcome> {
  switch (payment.status) {
    case 'SUCCEEDED':
    case 'REFUNDED':
      return 'settled';
    case 'PENDING':
    case 'FAILED':
      await deps.payments.requireRefund(payment.id);
      return 'settled';
    default:
      return unreachable(payment.status);
  }
}

/** Whether a payment that is still pending after this outcome may pay its order later. */
function mayStillPay(outcome: ChangeStatusOutcome): boolean {
  switch (outcome.type) {
    case 'shed':
    case 'unknown':
      return true;
    case 'changed':
      return false;
    case 'not-changeable':
      return outcome.status === 'WAITING_PAYMENT';
    case 'key-reused':
      throw new Error('a command without a key was answered as if it had one');
    default:
      return unreachable(outcome);
  }
}
