import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMerchantOrderReader } from '../../src/db/merchant-order-reader.ts';
import { createPool } from '../../src/db/pool.ts';
import { parseOrderId, parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { MerchantOrderFilter, MerchantOrders } from '../../src/domain/merchant-order.ts';
import { ORDER_STATUSES } from '../../src/domain/order.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { Cursor } from '../../src/domain/ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let reader: MerchantOrders;

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('not an id');
  return value;
}

const uuid = (kind: string, n: number): string =>
  `${kind}0000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const merchantId = (n: number): UserId => known(parseUserId(uuid('2', n)));
const productId = (n: number): ProductId => known(parseProductId(uuid('3', n)));
const orderId = (n: number): OrderId => known(parseOrderId(uuid('4', n)));

const MERCHANT = merchantId(1);
/** Of the merchant; 3 and 4 are another's. */
const OWN = [1, 2];
const EVERYBODYS = 4;
const START_MS = Date.UTC(2026, 0, 1);

interface Placed {
  readonly n: number;
  /** Milliseconds after START_MS. */
  readonly at: number;
  readonly products: readonly number[];
  readonly status: OrderStatus;
  /** Milliseconds from the order to its ledger row. */
  readonly lag: number;
}

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 2,
    statementTimeoutMs: 2000,
    applicationName: 'merchant-order-reader-under-test',
    onError: () => undefined,
  });
  reader = createMerchantOrderReader(pool);
  await database.query(
    /* sql */ `
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    SELECT id, id::text, id::text, '', 'merchant', now() FROM unnest($1::uuid[]) AS id`,
    [[merchantId(1), merchantId(2)]],
  );
  await database.query(
    /* sql */ `
    INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                          supplied, stock_version, sequence, version, created_at, updated_at)
    SELECT ($1::uuid[])[n], CASE WHEN n <= 2 THEN $2::uuid ELSE $3::uuid END, 'P', '', 1, 'USD',
           'active', 0, 0, 1, 0, 1, now(), now()
      FROM generate_series(1, 4) AS n`,
    [[1, 2, 3, 4].map(productId), merchantId(1), merchantId(2)],
  );
});
beforeEach(async () => {
  await database.query('TRUNCATE orders, order_items, stock_ledger');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

async function place(orders: readonly Placed[]): Promise<void> {
  const lines = orders.flatMap(({ n, at, products, lag }) =>
    products.map((product) => ({ n, product, soldAt: START_MS + at + lag })),
  );
  await database.query(
    /* sql */ `
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, created_at, expires_at)
    SELECT (o ->> 'id')::uuid, gen_random_uuid(), '\\x00', 1, 1, 1, (o ->> 'status')::order_status,
           'USD', 999, to_timestamp((o ->> 'ms')::double precision / 1000), now()
      FROM jsonb_array_elements($1::jsonb) AS o`,
    [
      JSON.stringify(
        orders.map(({ n, at, status }) => ({ id: orderId(n), status, ms: START_MS + at })),
      ),
    ],
  );
  await database.query(
    /* sql */ `
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT (l ->> 'order')::uuid, (l ->> 'product')::uuid, 2, 5, 1, 'P'
      FROM jsonb_array_elements($1::jsonb) AS l`,
    [JSON.stringify(lines.map((l) => ({ order: orderId(l.n), product: productId(l.product) })))],
  );
  await database.query(
    /* sql */ `
    INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
    SELECT product, row_number() OVER (PARTITION BY product ORDER BY sold_at), -2, 0, 'sale', sold_at
      FROM (SELECT (l ->> 'product')::uuid AS product,
                   to_timestamp((l ->> 'ms')::double precision / 1000) AS sold_at
              FROM jsonb_array_elements($1::jsonb) AS l) sales`,
    [JSON.stringify(lines.map((l) => ({ product: productId(l.product), ms: l.soldAt })))],
  );
}

/** What a query that may take its time answers. */
function plain(orders: readonly Placed[], filter: MerchantOrderFilter): readonly OrderId[] {
  const wanted = OWN.filter((n) => filter.productId === null || productId(n) === filter.productId);
  return orders
    .filter(({ products, status }) => {
      const isTheirs = products.some((product) => wanted.includes(product));
      return isTheirs && (filter.status === null || filter.status === status);
    })
    .toSorted((a, b) => b.at - a.at || b.n - a.n)
    .map(({ n }) => orderId(n));
}

/** All pages, one after the other. */
async function walk(filter: MerchantOrderFilter, limit: number): Promise<readonly OrderId[][]> {
  const pages: OrderId[][] = [];
  let after: Cursor | null = null;
  do {
    const page = await reader.listOrders(filter, { limit, after });
    pages.push(page.items.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  return pages;
}

const ALL: MerchantOrderFilter = { merchantId: MERCHANT, status: null, productId: null };

test('knows whose products are whose', async () => {
  const own = await reader.ownProducts(MERCHANT, [1, 3, 2, 99].map(productId));
  expect(own).toEqual(new Set(OWN.map(productId)));
  expect(await reader.ownProducts(merchantId(9), [productId(1)])).toEqual(new Set());
});

test('shows the own lines and their total, and nothing of the payments', async () => {
  await place([{ n: 1, at: 0, products: [1, 2, 3], status: 'PAID', lag: 0 }]);
  await database.query(
    /* sql */ `
    INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, created_at, updated_at)
    VALUES (gen_random_uuid(), $1, 1, 'SUCCEEDED', 'success', 0, now(), now())`,
    [orderId(1)],
  );
  const { items, next } = await reader.listOrders(ALL, { limit: 20, after: null });
  expect(items).toMatchObject([
    { id: orderId(1), status: 'PAID', total: 20, payments: [], createdAt: START_MS },
  ]);
  expect(items[0]?.items.map((line) => line.productId)).toEqual([productId(1), productId(2)]);
  expect(next).toBeNull();
});

test('is empty for who sold nothing', async () => {
  await place([{ n: 1, at: 0, products: [3], status: 'PAID', lag: 0 }]);
  const page = await reader.listOrders(ALL, { limit: 20, after: null });
  expect(page).toEqual({ items: [], next: null });
});

const placed = fc.record({
  // Bursts within one millisecond, and gaps from seconds to a month.
  gap: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }) },
    fc.integer({ min: 0, max: 20_000 }),
    fc.integer({ min: 0, max: 2_600_000_000 }),
  ),
  products: fc.uniqueArray(fc.integer({ min: 1, max: EVERYBODYS }), { minLength: 1 }),
  status: fc.constantFrom(...ORDER_STATUSES),
  lag: fc.oneof(fc.constant(5), fc.integer({ min: -1999, max: 29_999 })),
});

test('its pages are those of a plain query, whatever the times, lags and filters', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(placed, { maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.record({
        status: fc.option(fc.constantFrom(...ORDER_STATUSES)),
        product: fc.option(fc.integer({ min: 1, max: 3 })),
      }),
      async (drafts, limit, { status, product }) => {
        let at = 0;
        const orders = drafts.map(({ gap, ...draft }, n) => ({ ...draft, n, at: (at += gap) }));
        await database.query('TRUNCATE orders, order_items, stock_ledger');
        await place(orders);
        const filter = { ...ALL, status, productId: product === null ? null : productId(product) };
        const pages = await walk(filter, limit);
        expect(pages.flat()).toEqual(plain(orders, filter));
        expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(limit);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

describe('among 30,000 orders of others', () => {
  /** In ten bursts of 3,000 within three seconds each, a day apart. */
  const BURST = 3000;
  const DAY_MS = 86_400_000;
  const own: Placed[] = [5, 40_000, DAY_MS * 3 + 1500, DAY_MS * 9 + 2999].map((at, n) => ({
    n: 900_000 + n,
    at,
    products: [1],
    status: 'PAID',
    lag: 3,
  }));

  beforeEach(async () => {
    const others = Array.from({ length: 10 * BURST }, (_, n) => ({
      n,
      at: Math.floor(n / BURST) * DAY_MS + (n % BURST),
      products: [3],
      status: 'WAITING_PAYMENT' as const,
      lag: 3,
    }));
    await place(others);
    await place(own);
    await database.query('ANALYZE orders, order_items, stock_ledger');
  });

  test('finds its few in few statements that look at few orders', async () => {
    const query = vi.spyOn(pool, 'query');
    const page = await reader.listOrders(ALL, { limit: 20, after: null });
    expect(page.items.map(({ id }) => id)).toEqual(plain(own, ALL));
    expect(page.next).toBeNull();
    // Two per window, and a few windows around each of its sales.
    expect(query.mock.calls.length).toBeLessThan(own.length * 12);
    query.mockRestore();
  });

  test('pages of one are exact', async () => {
    expect(await walk(ALL, 1)).toEqual(plain(own, ALL).map((id) => [id]));
  });

  test('reads no more of a list than its page needs', async () => {
    const query = vi.spyOn(pool, 'query');
    await reader.listOrders(ALL, { limit: 1, after: null });
    expect(query.mock.calls.length).toBeLessThan(24);
    query.mockRestore();
  });
});

test('more orders at one moment than a window may hold are found all the same', async () => {
  await database.query(/* sql */ `
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, created_at, expires_at)
    SELECT gen_random_uuid(), gen_random_uuid(), '\\x00', 1, 1, 1, 'PAID', 'USD', 0,
           timestamptz '2026-01-01T00:00:01Z', now() FROM generate_series(1, 60000)`);
  const own = [0, 1000, 1000, 2000].map((at, n) => {
    return { n, at, products: [2], status: 'PAID' as const, lag: 100 };
  });
  await place(own);
  await database.query('ANALYZE orders, order_items');
  expect((await walk(ALL, 3)).flat()).toEqual(plain(own, ALL));
});

test('a page that takes too long ends early, and the next goes on from there', async () => {
  const own = Array.from({ length: 6 }, (_, n) => {
    return { n, at: n * 3_600_000, products: [1], status: 'PAID' as const, lag: 0 };
  });
  await place(own);
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 300));
  const pages = await walk(ALL, 4);
  clock.mockRestore();
  expect(pages.length).toBeGreaterThan(2);
  expect(pages.flat()).toEqual(plain(own, ALL));
});
