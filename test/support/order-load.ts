/** Orders at a steady rate, from many customers for few products, whatever becomes of the server. */
import { randomUUID } from 'node:crypto';
import { tokenOf } from './server.ts';

const TICK_MS = 20;
/** Orders without an answer yet; past it the rate is not kept. */
const IN_FLIGHT_MAX = 256;
const ORDER_MS_MAX = 5_000;

export interface OrderLoadOptions {
  /** Asked each time: the server may be another one by then. */
  readonly serverUrl: () => string;
  /** The hottest first: the n-th is asked for 1/n as often. */
  readonly productIds: readonly string[];
  readonly perSecond: number;
  readonly customers: number;
  /** Share of the accepted orders that are paid at once. */
  readonly paidShare?: number;
}

export class OrderLoad {
  /** Answered orders by status. */
  readonly answers = new Map<number, number>();
  readonly #options: OrderLoadOptions;
  readonly #tokens: readonly string[];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #due = 0;
  #at = performance.now();

  /** Begins at once. */
  constructor(options: OrderLoadOptions) {
    this.#options = options;
    this.#tokens = Array.from({ length: options.customers }, () => tokenOf(randomUUID()));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Resolves when the last one was answered, or lost. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#inFlight);
  }

  #tick(): void {
    const now = performance.now();
    this.#due += ((now - this.#at) / 1000) * this.#options.perSecond;
    this.#at = now;
    for (; this.#due >= 1; this.#due -= 1) {
      if (this.#inFlight.size >= IN_FLIGHT_MAX) continue;
      const order = this.#order().finally(() => this.#inFlight.delete(order));
      this.#inFlight.add(order);
    }
  }

  async #order(): Promise<void> {
    const { paidShare = 0 } = this.#options;
    const token = this.#tokens[Math.floor(Math.random() * this.#tokens.length)] ?? '';
    const body = { items: [{ product_id: this.#product(), quantity: 1 }] };
    const response = await this.#post('/orders', token, body);
    if (response === null) return;
    this.answers.set(response.status, (this.answers.get(response.status) ?? 0) + 1);
    if (response.status !== 201 || Math.random() >= paidShare) return;
    await this.#post(`${response.location}/payment`, token, {});
  }

  #product(): string {
    const { productIds } = this.#options;
    const harmonic = Math.log(productIds.length + 1);
    const place = Math.floor(Math.exp(Math.random() * harmonic)) - 1;
    return productIds[Math.min(place, productIds.length - 1)] ?? '';
  }

  /** Null when the server is away. */
  async #post(
    path: string,
    token: string,
    body: object,
  ): Promise<{ readonly status: number; readonly location: string } | null> {
    try {
      const response = await fetch(`${this.#options.serverUrl()}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'idempotency-key': randomUUID(),
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ORDER_MS_MAX),
      });
      await response.arrayBuffer();
      return { status: response.status, location: response.headers.get('location') ?? '' };
    } catch {
      return null;
    }
  }
}
