/**
 * Charges and refunds what is due, by whatever provider there is. The job of a payment asks the
 * provider and passes on what it says; it may be repeated at any point, since the provider knows a
 * payment by its id and confirmations are idempotent. Losing the process loses nothing.
 */
import type { Logger } from 'pino';
import type { ChargeAnswer, Payment, PaymentProvider, PaymentStore } from '../domain/payment.ts';
import type { PayOrder, PayOutcome, Payments } from '../domain/payment.ts';
import type { OrderGateway } from '../domain/ports.ts';
import { confirmPayment } from './confirm-payment.ts';
import { JobRunner } from './job-runner.ts';

/** Each holds a connection for some of its time; what is read for customers needs the others. */
const CONCURRENCY = 8;
const POLL_MS = 500;
/** For the provider to answer; then the job asks again later. */
const PROVIDER_MS_MAX = 1000;
/** From one try to the next: doubled with each, up to the second. */
const RETRY_MS = 500;
const RETRY_MS_MAX = 60_000;

export interface PaymentJobsOptions {
  readonly gateway: Pick<OrderGateway, 'changeStatus'>;
  readonly payments: PaymentStore;
  readonly provider: PaymentProvider;
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly providerMsMax?: number;
}

export class PaymentJobs implements Payments {
  readonly #options: PaymentJobsOptions;
  readonly #runner: JobRunner<Payment>;

  /** Works on nothing until `start`; attempts may be started before. */
  constructor(options: PaymentJobsOptions) {
    this.#options = options;
    this.#runner = new JobRunner({
      name: 'payments',
      source: options.payments,
      run: (payment) => this.#work(payment),
      concurrency: CONCURRENCY,
      pollMs: POLL_MS,
      logger: options.logger,
    });
  }

  start(): void {
    this.#runner.start();
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }

  async pay(request: PayOrder): Promise<PayOutcome> {
    const outcome = await this.#options.payments.pay(request);
    if (outcome.type === 'started' && !outcome.replayed) this.#runner.wake();
    return outcome;
  }

  async #work(payment: Payment): Promise<void> {
    const { status, refundDue } = payment;
    if (refundDue) await this.#refund(payment);
    else if (status === 'PENDING' || status === 'FAILED') await this.#charge(payment);
    else await this.#options.payments.settle(payment.id);
  }

  async #charge(payment: Payment): Promise<void> {
    const { payments, provider } = this.#options;
    let answer: ChargeAnswer;
    try {
      answer = await provider.charge(payment, this.#limit());
    } catch (error) {
      return this.#retry(payment, error);
    }
    if (answer.type === 'processing') return payments.postpone(payment.id, answer.readyAt);
    const confirmation = { paymentId: payment.id, result: answer.result };
    const outcome = await confirmPayment(this.#options, confirmation);
    if (outcome === 'try-again') return this.#retry(payment, null);
    await payments.settle(payment.id);
  }

  async #refund(payment: Payment): Promise<void> {
    try {
      await this.#options.provider.refund(payment, this.#limit());
    } catch (error) {
      return this.#retry(payment, error);
    }
    await this.#options.payments.markRefunded(payment.id);
  }

  #limit(): AbortSignal {
    return AbortSignal.timeout(this.#options.providerMsMax ?? PROVIDER_MS_MAX);
  }

  /** @param error - What the provider did instead of answering; null when it was not the provider. */
  async #retry({ id, tries }: Payment, error: unknown): Promise<void> {
    const { payments, logger, clock } = this.#options;
    if (error !== null) {
      logger.debug({ err: error, payment: id, tries }, 'the payment provider gave no answer');
    }
    const pause = Math.min(RETRY_MS * 2 ** Math.max(0, tries - 1), RETRY_MS_MAX);
    await payments.postpone(id, clock() + pause);
  }
}
