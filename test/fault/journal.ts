/**
 * Clients that write down what they sent and what they were told, for tests that break something
 * under load: whatever was answered must be true, and whatever was not is settled by its key.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { Customer } from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';
import { until } from '../support/until.ts';

/** Of a customer who was shed: hammering on would only slow the recovery that is waited for. */
const SHED_PAUSE_MS = 20;
/** Nothing was decided; the last one is for a request that stopped halfway, with its server. */
const SHED = ['overloaded', 'database-unavailable', 'shutting-down', 'request-timeout'];
/** Accepted orders of a customer after which one is cancelled, where they are. */
const ORDERS_PER_CANCEL = 3;

export type Items = readonly (readonly [productId: string, quantity: number])[];

interface Entry {
  readonly customer: Customer;
  readonly key: string;
  readonly items: Items;
  /** 201 = accepted, 409 = refused, null = no final answer yet. */
  status: number | null;
  orderId: string | null;
  /** performance.now() of the last answer. */
  answeredAt: number;
}

/** An order that was accepted. */
export type Accepted = Pick<Entry, 'items' | 'answeredAt'> & { readonly orderId: string };

export interface JournalOptions {
  /** One of them after the other is ordered, unless `itemsOf` says otherwise. */
  readonly productIds: readonly string[];
  /** The lines of a customer's next order. */
  readonly itemsOf?: (customer: number) => Items;
}

export class Journal {
  readonly #entries: Entry[] = [];
  readonly #itemsOf: (customer: number) => Items;
  readonly #answers = new Map<string, number>();

  constructor({ productIds, itemsOf }: JournalOptions) {
    this.#itemsOf =
      itemsOf ?? ((n) => [[productIds[n % productIds.length] ?? '', 1 + (n % 2)]] as const);
  }

  get accepted(): number {
    return this.#entries.filter(({ status }) => status === 201).length;
  }

  get unanswered(): number {
    return this.#entries.filter(({ status }) => status === null).length;
  }

  /** How often each answer was given, as "201", "503 overloaded" or "cancel 200". */
  get answers(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#answers);
  }

  get acceptedOrders(): readonly Accepted[] {
    return this.#entries.flatMap(({ status, orderId, items, answeredAt }) =>
      status === 201 && orderId !== null ? [{ orderId, items, answeredAt }] : [],
    );
  }

  /**
   * Customers order again and again until the server is gone or the signal says so. With `cancels`
   * they take back some of what they ordered.
   */
  async load(
    serverUrl: string,
    options: {
      readonly customers: number;
      readonly signal?: AbortSignal;
      readonly cancels?: boolean;
    },
  ): Promise<void> {
    const customers = Array.from({ length: options.customers }, () => new Customer());
    await Promise.all(
      customers.map(async (customer, n) => {
        for (let accepted = 0; options.signal?.aborted !== true;) {
          const entry = this.#write(customer, this.#itemsOf(n));
          if ((await this.#send(serverUrl, entry)) === null) return;
          if (entry.status === null) await delay(SHED_PAUSE_MS);
          if (entry.status === 201) accepted += 1;
          else continue;
          if (options.cancels !== true || accepted % ORDERS_PER_CANCEL !== 0) continue;
          if (!(await this.#cancel(serverUrl, entry))) return;
        }
      }),
    );
  }

  /** Acts under load, which ends with it. */
  async underLoad(
    serverUrl: string,
    options: { readonly customers: number; readonly cancels?: boolean },
    act: () => Promise<void>,
  ): Promise<void> {
    const over = new AbortController();
    const load = this.load(serverUrl, { ...options, signal: over.signal });
    try {
      await act();
    } finally {
      over.abort();
      await load;
    }
  }

  /** One order of a new customer; null when the connection was lost. */
  async order(serverUrl: string, items: Items): Promise<Answered | null> {
    return this.#send(serverUrl, this.#write(new Customer(), items));
  }

  /** Waits until `more` orders were accepted from now on. */
  async acceptedMore(more: number): Promise<void> {
    const before = this.accepted;
    await until(`${more} more orders`, () => this.accepted >= before + more);
  }

  /** Waits for an order that is accepted from now on. @returns its `answeredAt` */
  async nextAccepted(): Promise<number> {
    const since = performance.now();
    let first = Infinity;
    await until('an order is accepted', () => {
      for (const { status, answeredAt } of this.#entries) {
        if (status === 201 && answeredAt >= since) first = Math.min(first, answeredAt);
      }
      return first < Infinity;
    });
    return first;
  }

  /** Sends every request without a final answer again, under its key, until it has one. */
  async settle(serverUrl: string): Promise<void> {
    await until('every request has a final answer', async () => {
      const open = this.#entries.filter(({ status }) => status === null);
      await Promise.all(open.map((entry) => this.#send(serverUrl, entry)));
      return this.unanswered === 0;
    });
  }

  /**
   * Every 201 is in the database exactly once with all of its lines, under the id that was answered,
   * and nothing else is but the orders that were there `before`.
   */
  async expectTrue(
    database: TestDatabase,
    { before = [] }: { readonly before?: readonly string[] } = {},
  ): Promise<void> {
    const stored = await database.query(
      /* sql */ `
      SELECT o.id, o.user_id,
             (SELECT jsonb_agg(jsonb_build_array(i.product_id, i.quantity) ORDER BY i.product_id)
                FROM order_items i WHERE i.order_id = o.id) AS items
        FROM orders o WHERE o.id <> ALL ($1::uuid[]) ORDER BY o.id`,
      [before],
    );
    const answered = this.#entries
      .filter(({ status }) => status === 201)
      .map(({ orderId, customer, items }) => ({
        id: orderId,
        user_id: customer.id,
        items: items.toSorted(([a], [b]) => (a < b ? -1 : 1)),
      }))
      .toSorted((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1));
    expect(stored).toEqual(answered);
  }

  #write(customer: Customer, items: Items): Entry {
    const key = randomUUID();
    const entry: Entry = { customer, key, items, status: null, orderId: null, answeredAt: 0 };
    this.#entries.push(entry);
    return entry;
  }

  /** Null when the connection was lost. */
  async #send(serverUrl: string, entry: Entry): Promise<Answered | null> {
    try {
      const answer = await entry.customer.order(serverUrl, { key: entry.key, items: entry.items });
      this.#note(entry, answer);
      return answer;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return null;
    }
  }

  /** False when the connection was lost. */
  async #cancel(serverUrl: string, { customer, orderId }: Entry): Promise<boolean> {
    try {
      const answer = await customer.cancel(serverUrl, orderId ?? '');
      const kind = kindOf(answer);
      this.#count(`cancel ${kind}`);
      if (kind !== '200' && answer.status !== 503) {
        throw new Error(`a cancellation was answered with ${JSON.stringify(answer.body)}`);
      }
      return true;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return false;
    }
  }

  #count(kind: string): void {
    this.#answers.set(kind, (this.#answers.get(kind) ?? 0) + 1);
  }

  #note(entry: Entry, answer: Answered): void {
    const { status, body, headers } = answer;
    const kind = kindOf(answer);
    this.#count(kind);
    entry.answeredAt = performance.now();
    if (status === 201 || kind === '503 outcome-unknown') {
      const id = body[status === 201 ? 'id' : 'order_id'];
      if (typeof id !== 'string') throw new Error(`${kind} names no order`);
      // A repeat tells the same order as the answer that was lost.
      expect(id).toBe(entry.orderId ?? id);
      entry.orderId = id;
    } else if (!SHED.includes(String(body['code'])) && kind !== '409 out-of-stock') {
      throw new Error(`an order was answered with ${JSON.stringify(body)}`);
    }
    if (status === 503) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    if (status === 201 || status === 409) entry.status = status;
  }
}

/** "201" or "503 overloaded". */
function kindOf({ status, body }: Answered): string {
  return typeof body['code'] === 'string' ? `${status} ${body['code']}` : `${status}`;
}
