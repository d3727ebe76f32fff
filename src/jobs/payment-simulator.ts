/**
 * A payment provider for demonstrations and tests. It has no state of its own: what it answers
 * follows from the payment alone, so a restart changes nothing.
 */
import type {
  ChargeAnswer,
  Confirmation,
  Payment,
  PaymentProvider,
  PaymentResult,
} from '../domain/payment.ts';

export interface SimulatorOptions {
  /** Where the provider's own messages arrive, as a webhook would bring them. */
  readonly onConfirmation: (confirmation: Confirmation) => void;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export class PaymentSimulator implements PaymentProvider {
  readonly #options: SimulatorOptions;

  constructor(options: SimulatorOptions) {
    this.#options = options;
  }

  async charge(payment: Payment, signal: AbortSignal): Promise<ChargeAnswer> {
    const { id: paymentId, scenario, tries, createdAt, delayMs } = payment;
    if (scenario === 'timeout_then_success' && tries <= 1) return silence(signal);
    const readyAt = createdAt + delayMs;
    if (this.#options.clock() < readyAt) return { type: 'processing', readyAt };
    const result: PaymentResult = scenario === 'failure' ? 'failed' : 'succeeded';
    if (scenario === 'duplicate_confirmation') this.#options.onConfirmation({ paymentId, result });
    return { type: 'final', result };
  }

  async refund(_payment: Payment, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }
}

/** No answer ever. */
function silence(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = (): void => reject(signal.reason);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
