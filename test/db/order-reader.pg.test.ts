import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createOrderReader } from '../../src/db/order-reader.ts';
import { createPool } from '../../src/db/pool.ts';
import { parseOrderId, parseUserId } from '../../src/domain/ids.ts';
import type { OrderId, UserId } from '../../src/domain/ids.ts';
import type { OrderReader } from '../../src/domain/ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const PRODUCT_A = 'a0000000-0000-4000-8000-000000000001';
const PRODUCT_B = 'b0000000-0000-4000-8000-000000000002';

const UNSHIPPED = { shippedAt: null, tracking: null };

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let orders: OrderReader;

function known<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('not an id');
  }
  return value;
}

function orderId(number: number): OrderId {
  return known(parseOrderId(`40000000-0000-4000-8000-${String(number).padStart(12, '0')}`));
}

function userId(number: number): UserId {
  return known(parseUserId(`20000000-0000-4000-8000-${String(number).padStart(12, '0')}`));
}

async function insert(number: number, order: { user: number; status?: string }): Promise<void> {
  await database.query(
    /* sql */ `
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, reference, metadata, created_at, expires_at)
    VALUES ($1, $2, '\\x00', 1, 1, 1, $3, 'USD', 4250, 'ref', '{"k": "v"}',
            timestamptz '2026-01-01T00:00:00Z' + $4 * interval '1 ms',
            timestamptz '2026-01-01T00:15:00Z')`,
    [orderId(number), userId(order.user), order.status ?? 'WAITING_PAYMENT', number],
  );
  await database.query(
    /* sql */ `
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    VALUES ($1, '${PRODUCT_B}', 1, 250, 8, 'B'), ($1, '${PRODUCT_A}', 2, 2000, $2, 'A')`,
    [orderId(number), number],
  );
}

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 2,
    statementTimeoutMs: 5000,
    applicationName: 'order-reader-under-test',
    onError: () => undefined,
  });
  orders = createOrderReader(pool);
  for (const number of [1, 2, 3, 4, 5]) {
    await insert(number, { user: 1, status: number === 3 ? 'PAID' : 'WAITING_PAYMENT' });
  }
  await insert(6, { user: 2 });
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

const numbers = (ids: readonly OrderId[]): readonly number[] =>
  ids.map((id) => Number(id.slice(24)));

describe('findOrder', () => {
  test('answers the committed order with its lines sorted by product (I4)', async () => {
    expect(await orders.findOrder(orderId(1))).toEqual({
      id: orderId(1),
      userId: userId(1),
      status: 'WAITING_PAYMENT',
      items: [
        {
          productId: PRODUCT_A,
          name: 'A',
          quantity: 2,
          unitPrice: 2000,
          sequence: 1,
          ...UNSHIPPED,
        },
        { productId: PRODUCT_B, name: 'B', quantity: 1, unitPrice: 250, sequence: 8, ...UNSHIPPED },
      ],
      currency: 'USD',
      total: 4250,
      reference: 'ref',
      metadata: { k: 'v' },
      payments: [],
      createdAt: Date.UTC(2026, 0, 1, 0, 0, 0, 1),
      expiresAt: Date.UTC(2026, 0, 1, 0, 15),
    });
  });

  test('answers undefined for an id that no committed order has', async () => {
    expect(await orders.findOrder(orderId(404))).toBeUndefined();
  });

  test('answers its payments, oldest first, and what is shipped of it', async () => {
    await database.query(
      /* sql */ `
      INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, created_at, updated_at)
      SELECT ('50000000-0000-4000-8000-00000000000' || n)::uuid, $1, n,
             CASE n WHEN 1 THEN 'FAILED' ELSE 'SUCCEEDED' END::payment_status, 'success', 0,
             timestamptz '2026-01-01T00:01:00.0019Z' + n * interval '1 s', now()
        FROM generate_series(2, 1, -1) AS n`,
      [orderId(2)],
    );
    await database.query(
      /* sql */ `
      UPDATE order_items SET shipped_at = timestamptz '2026-01-02T00:00:00.0129Z', tracking = 'T-1'
       WHERE order_id = $1 AND product_id = '${PRODUCT_B}'`,
      [orderId(2)],
    );
    const at = Date.UTC(2026, 0, 1, 0, 1, 0, 1);
    expect(await orders.findOrder(orderId(2))).toMatchObject({
      items: [
        { productId: PRODUCT_A, ...UNSHIPPED },
        { productId: PRODUCT_B, shippedAt: Date.UTC(2026, 0, 2, 0, 0, 0, 12), tracking: 'T-1' },
      ],
      payments: [
        {
          id: '50000000-0000-4000-8000-000000000001',
          status: 'FAILED',
          attempt: 1,
          createdAt: at + 1000,
        },
        {
          id: '50000000-0000-4000-8000-000000000002',
          status: 'SUCCEEDED',
          attempt: 2,
          createdAt: at + 2000,
        },
      ],
    });
  });
});

describe('listEvents', () => {
  test('tells each status that the order reached, from its placing on', async () => {
    // The clock of who shipped it is behind.
    await database.query(
      /* sql */ `
      INSERT INTO order_events (order_id, status, reason, author, created_at, owner_id, batch_no)
      VALUES ($1, 'SHIPPING', NULL, NULL, timestamptz '2025-12-31T00:00:00.0019Z', 1, 2),
             ($1, 'PAID', 'a\treason', $2, timestamptz '2026-01-01T00:01:00Z', 1, 3)`,
      [orderId(3), userId(9)],
    );
    const customer = { role: 'customer', userId: userId(1) };
    expect(await orders.listEvents(orderId(3))).toEqual([
      {
        status: 'WAITING_PAYMENT',
        from: null,
        author: customer,
        reason: null,
        createdAt: Date.UTC(2026, 0, 1, 0, 0, 0, 3),
      },
      {
        status: 'PAID',
        from: 'WAITING_PAYMENT',
        author: { role: 'admin', userId: userId(9) },
        reason: 'a\treason',
        createdAt: Date.UTC(2026, 0, 1, 0, 1),
      },
      {
        status: 'SHIPPING',
        from: 'PAID',
        author: { role: 'system', userId: null },
        reason: null,
        createdAt: Date.UTC(2025, 11, 31, 0, 0, 0, 1),
      },
    ]);
  });

  test('tells in which part its author changed it, as far as that can be told', async () => {
    const merchant = userId(8);
    await database.query(
      /* sql */ `
      INSERT INTO users (id, username, email, password_hash, role, created_at)
      VALUES ($1, 'm', 'm@test', '', 'merchant', now())`,
      [merchant],
    );
    await database.query(
      /* sql */ `
      INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status,
                            stock, supplied, stock_version, sequence, version, created_at,
                            updated_at)
      VALUES ('${PRODUCT_A}', $1, 'A', '', 1, 'USD', 'active', 0, 0, 1, 0, 1, now(), now())`,
      [merchant],
    );
    const authorsOf = async (...events: readonly [status: string, author: UserId | null][]) => {
      await database.query('DELETE FROM order_events WHERE order_id = $1', [orderId(4)]);
      for (const [status, author] of events) {
        await database.query(
          /* sql */ `
          INSERT INTO order_events (order_id, status, author, created_at, owner_id, batch_no)
          VALUES ($1, $2, $3, now(), 1, 1)`,
          [orderId(4), status, author],
        );
      }
      const told = await orders.listEvents(orderId(4));
      return told.slice(1).map(({ author }) => author.role);
    };
    expect(await authorsOf(['EXPIRED', null])).toEqual(['system']);
    expect(await authorsOf(['CANCELLED', userId(1)])).toEqual(['customer']);
    expect(await authorsOf(['CANCELLED', userId(9)])).toEqual(['admin']);
    expect(
      await authorsOf(['PAID', null], ['SHIPPING', merchant], ['COMPLETED', userId(9)]),
    ).toEqual(['system', 'merchant', 'admin']);
    await database.query('DELETE FROM order_events WHERE order_id = $1', [orderId(4)]);
  });

  test('has the placing alone of an order that is as it was placed', async () => {
    const events = await orders.listEvents(orderId(1));
    expect(events.map(({ status }) => status)).toEqual(['WAITING_PAYMENT']);
  });

  test('is empty for an id that no committed order has', async () => {
    expect(await orders.listEvents(orderId(404))).toEqual([]);
  });
});

describe('listOrders', () => {
  test('lists only the orders of the customer, newest first, filtered by status', async () => {
    const all = await orders.listOrders(
      { userId: userId(1), status: null },
      { limit: 100, after: null },
    );
    expect(numbers(all.items.map((order) => order.id))).toEqual([5, 4, 3, 2, 1]);
    const paid = await orders.listOrders(
      { userId: userId(1), status: 'PAID' },
      { limit: 100, after: null },
    );
    expect(numbers(paid.items.map((order) => order.id))).toEqual([3]);
  });

  test('continues after the cursor until there is none', async () => {
    const filter = { userId: userId(1), status: null };
    const first = await orders.listOrders(filter, { limit: 3, after: null });
    const second = await orders.listOrders(filter, { limit: 3, after: first.next });
    expect(numbers(first.items.map((order) => order.id))).toEqual([5, 4, 3]);
    expect(numbers(second.items.map((order) => order.id))).toEqual([2, 1]);
    expect(second.next).toBeNull();
  });

  test('fetches the lines of a whole page in the one query of the list', async () => {
    const query = vi.spyOn(pool, 'query');
    const page = await orders.listOrders(
      { userId: userId(1), status: null },
      { limit: 100, after: null },
    );
    expect(page.items.map((order) => order.items.length)).toEqual([2, 2, 2, 2, 2]);
    expect(query).toHaveBeenCalledTimes(1);
    query.mockRestore();
  });

  test('walks the index of the customer backwards instead of sorting all of the orders', async () => {
    const query = vi.spyOn(pool, 'query');
    await orders.listOrders({ userId: userId(1), status: null }, { limit: 3, after: null });
    const sent: unknown = query.mock.calls[0]?.[0];
    query.mockRestore();
    await database.query(
      /* sql */ `
      INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                          currency, total, created_at, expires_at)
      SELECT gen_random_uuid(), $1, '\\x00', 1, 2, 1, 'PAID', 'USD', 0,
             timestamptz '2025-01-01Z' + n * interval '1 s', now()
        FROM generate_series(1, 20000) AS n`,
      [userId(3)],
    );
    await database.query('ANALYZE orders');
    const { text, values } = sent as { text: string; values: unknown[] };
    const plan = await database.query(`EXPLAIN (FORMAT JSON) ${text}`, values.with(3, userId(3)));
    const shown = JSON.stringify(plan);
    expect(shown).toContain('orders_user_idx');
    expect(shown).not.toMatch(/"Node Type":"(Sort|Incremental Sort|Seq Scan)"[^}]*"orders"/);
  });
});
