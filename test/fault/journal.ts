/**
 * A client that writes down what it sent and what it was told, for tests that kill the server:
 * whatever was answered must be true, and whatever was not answered is settled by its key.
 */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { Customer } from '../support/shop.ts';

interface Entry {
  readonly customer: Customer;
  readonly key: string;
  readonly items: readonly (readonly [string, number])[];
  /** 201 = accepted, null = no final answer yet. */
  status: number | null;
  orderId: string | null;
}

export class Journal {
  readonly #entries: Entry[] = [];
  readonly #productIds: readonly string[];

  constructor(options: { readonly productIds: readonly string[] }) {
    this.#productIds = options.productIds;
  }

  get accepted(): number {
    return this.#entries.filter(({ status }) => status === 201).length;
  }

  get unanswered(): number {
    return this.#entries.filter(({ status }) => status === null).length;
  }

  /** Customers order again and again until the server is gone. */
  async load(serverUrl: string, options: { readonly customers: number }): Promise<void> {
    const customers = Array.from({ length: options.customers }, () => new Customer());
    await Promise.all(
      customers.map(async (customer, n) => {
        const product = this.#productIds[n % this.#productIds.length] ?? '';
        for (;;) {
          const entry: Entry = {
            customer,
            key: randomUUID(),
            items: [[product, 1 + (n % 2)]],
            status: null,
            orderId: null,
          };
          this.#entries.push(entry);
          if (!(await this.#send(serverUrl, entry))) return;
        }
      }),
    );
  }

  /** Sends every request without a final answer again, under its key. */
  async settle(serverUrl: string): Promise<void> {
    const open = this.#entries.filter(({ status }) => status === null);
    await Promise.all(open.map((entry) => this.#send(serverUrl, entry)));
    expect(this.unanswered).toBe(0);
  }

  /** Every 201 is in the database exactly once, under the id that was answered, and nothing else is. */
  async expectTrue(database: TestDatabase): Promise<void> {
    const stored = await database.query<{ id: string; user_id: string }>(
      'SELECT id, user_id FROM orders ORDER BY id',
    );
    const answered = this.#entries
      .filter(({ status }) => status === 201)
      .map(({ orderId, customer }) => ({ id: orderId, user_id: customer.id }))
      .toSorted((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1));
    expect(stored).toEqual(answered);
  }

  /** False when the connection was lost. */
  async #send(serverUrl: string, entry: Entry): Promise<boolean> {
    try {
      const answer = await entry.customer.order(serverUrl, { key: entry.key, items: entry.items });
      const id = answer.body['id'];
      // An unknown outcome is no final answer: the key settles it.
      if (answer.status !== 503) entry.status = answer.status;
      if (answer.status === 201 && typeof id === 'string') {
        // A repeat tells the same order as the answer that was lost.
        expect(entry.orderId ?? id).toBe(id);
        entry.orderId = id;
      }
      return true;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return false;
    }
  }
}
