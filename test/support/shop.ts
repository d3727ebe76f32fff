/** A merchant, products and customers for tests of the whole server, and the audit after them. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { runAudit } from '../../src/db/audit.ts';
import { withClient } from '../../src/db/client.ts';
import type { TestDatabase } from './database.ts';
import { tokenOf } from './server.ts';
import { until } from './until.ts';

export const MERCHANT_ID = '00000000-0000-7000-8000-00000000beef';

/** Product ids in partitions 0 to count - 1: with four shards the first four have four owners. */
export function productIds(count: number): string[] {
  return Array.from(
    { length: count },
    (_, n) => `10000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`,
  );
}

export async function makeProducts(
  database: TestDatabase,
  products: { readonly ids: readonly string[]; readonly stock: number },
): Promise<void> {
  await database.query(
    /* sql */ `
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'merchant', 'merchant@test', '', 'merchant', now()) ON CONFLICT DO NOTHING`,
    [MERCHANT_ID],
  );
  await database.query(
    /* sql */ `
    INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                          supplied, stock_version, sequence, version, created_at, updated_at)
    SELECT id, $2, 'Product ' || id, '', 1999, 'USD', 'active', $3, $3, 1, 0, 1, now(), now()
      FROM unnest($1::uuid[]) AS id`,
    [products.ids, MERCHANT_ID, products.stock],
  );
  await database.query(
    /* sql */ `
    INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
    SELECT id, 1, stock, stock, 'opening', now() FROM products WHERE id = ANY ($1::uuid[])`,
    [products.ids],
  );
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  /** The JSON body. */
  readonly body: Record<string, unknown>;
}

export class Customer {
  readonly id = randomUUID();
  readonly #token = tokenOf(this.id);

  /** Rejects when the connection is lost before the answer. */
  async order(
    serverUrl: string,
    order: {
      readonly key?: string;
      readonly items: readonly (readonly [productId: string, quantity: number])[];
    },
  ): Promise<Answered> {
    const response = await fetch(`${serverUrl}/orders`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/json',
        ...(order.key === undefined ? {} : { 'idempotency-key': order.key }),
      },
      body: JSON.stringify({
        items: order.items.map(([product_id, quantity]) => ({ product_id, quantity })),
      }),
    });
    return answered(response);
  }

  async read(serverUrl: string, orderId: string): Promise<Answered> {
    const headers = { authorization: `Bearer ${this.#token}` };
    return answered(await fetch(`${serverUrl}/orders/${orderId}`, { headers }));
  }

  async cancel(serverUrl: string, orderId: string): Promise<Answered> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const url = `${serverUrl}/orders/${orderId}/cancel`;
    return answered(await fetch(url, { method: 'POST', headers }));
  }
}

async function answered(response: Response): Promise<Answered> {
  const body: unknown = await response.json();
  if (typeof body !== 'object' || body === null) throw new Error('the answer is no object');
  return { status: response.status, headers: response.headers, body: { ...body } };
}

/** Adds stock as the merchant; resolves with the HTTP status. */
export async function restock(
  serverUrl: string,
  change: { readonly productId: string; readonly delta: number; readonly key?: string },
): Promise<number> {
  const response = await fetch(`${serverUrl}/products/${change.productId}/stock`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${tokenOf(MERCHANT_ID, 'merchant')}`,
      'content-type': 'application/json',
      ...(change.key === undefined ? {} : { 'idempotency-key': change.key }),
    },
    body: JSON.stringify({ delta: change.delta, reason: 'delivery' }),
  });
  await response.arrayBuffer();
  return response.status;
}

/** Edits a product as the merchant; resolves with the HTTP status. */
export async function edit(
  serverUrl: string,
  change: { readonly productId: string; readonly changes: Readonly<Record<string, unknown>> },
): Promise<number> {
  const response = await fetch(`${serverUrl}/products/${change.productId}`, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${tokenOf(MERCHANT_ID, 'merchant')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(change.changes),
  });
  await response.arrayBuffer();
  return response.status;
}

/** How often each answer was given: '201', or status and code. */
export function count(answers: readonly Answered[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const kind = status === 201 ? '201' : `${status} ${String(body['code'])}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Units in stock that are committed, in the order of the ids. */
export async function stocksOf(
  database: TestDatabase,
  ids: readonly string[],
): Promise<readonly number[]> {
  const rows = await database.query<{ stock: number }>(
    /* sql */ `SELECT stock::integer FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
                 JOIN products USING (id) ORDER BY place`,
    [ids],
  );
  return rows.map(({ stock }) => stock);
}

/**
 * One order takes all that is left of each product and the next finds nothing: no unit is held for
 * an order that is over, and none is promised that is not there (I1, I10).
 */
export async function expectSellsOut(
  serverUrl: string,
  { database, ids }: { readonly database: TestDatabase; readonly ids: readonly string[] },
): Promise<void> {
  await Promise.all(
    ids.map((id) =>
      until(`all that is left of ${id} can be bought`, async () => {
        const [left = 0] = await stocksOf(database, [id]);
        if (left === 0) return true;
        const { status } = await new Customer().order(serverUrl, { items: [[id, left]] });
        return status === 201;
      }),
    ),
  );
  expect(await stocksOf(database, ids)).toEqual(ids.map(() => 0));
  const more = await Promise.all(
    ids.map((id) => new Customer().order(serverUrl, { items: [[id, 1]] })),
  );
  expect(more.map(({ body }) => body['code'])).toEqual(ids.map(() => 'out-of-stock'));
}

/** Every promise that the rows can prove holds. */
export async function expectCleanAudit(database: TestDatabase): Promise<void> {
  const connection = { databaseUrl: database.url, applicationName: 'test-audit' };
  const report = await withClient(connection, (client) =>
    runAudit(client, { onProgress: () => undefined }),
  );
  const broken = report.rules.filter(({ violations }) => violations > 0);
  expect(broken.map(({ rule, shown }) => ({ rule: rule.name, shown }))).toEqual([]);
}
