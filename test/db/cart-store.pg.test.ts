import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCartStore } from '../../src/db/cart-store.ts';
import { createPool } from '../../src/db/pool.ts';
import type { Cart, CartOutcome, CartRefusal } from '../../src/domain/cart.ts';
import { parseCartId, parseOrderId, parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { CartId, ProductId, UserId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';

const HOUR_MS = 3_600_000;
const TTL_MS = 72 * HOUR_MS;
const START = Date.UTC(2030, 0, 1, 0, 0, 0, 678);
const USD_1999 = { amount: 1999, currency: 'USD' };

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('not an id');
  return value;
}

const PRODUCTS = productIds(60).map((id) => known(parseProductId(id)));
const [A, B, C] = PRODUCTS as [ProductId, ProductId, ProductId];

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let store: ReturnType<typeof createCartStore>;
let now = START;
/** A new customer for each test. */
let userId: UserId;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: PRODUCTS, stock: 10 });
  pool = createPool({
    databaseUrl: database.url,
    max: 8,
    statementTimeoutMs: 5000,
    applicationName: 'cart-store-under-test',
    onError: () => undefined,
  });
  store = createCartStore(pool, { ttlMs: TTL_MS, clock: () => now });
});

beforeEach(async () => {
  now = START;
  userId = known(parseUserId(randomUUID()));
  await database.query(
    "UPDATE products SET status = 'active', price_amount = 1999, currency = 'USD'",
  );
});

afterAll(async () => {
  await pool.end();
  await database.close();
});

function cartOf(outcome: CartOutcome): Cart {
  if (outcome.type !== 'changed') throw new Error(JSON.stringify(outcome));
  return outcome.cart;
}

function refusalOf(outcome: CartOutcome): CartRefusal {
  if (outcome.type !== 'refused') throw new Error(JSON.stringify(outcome));
  return outcome.refusal;
}

const lineOf = (productId: ProductId, quantity: number) => ({ productId, quantity });

async function create(...lines: (readonly [ProductId, number])[]): Promise<Cart> {
  const asked = lines.map(([productId, quantity]) => lineOf(productId, quantity));
  return cartOf(await store.createCart({ userId, idempotencyKey: null, lines: asked }));
}

function add(
  cart: Pick<Cart, 'id' | 'userId'>,
  [productId, quantity]: readonly [ProductId, number],
  idempotencyKey: string | null = null,
): Promise<CartOutcome> {
  const line = lineOf(productId, quantity);
  return store.addItem({ userId: cart.userId, cartId: cart.id, idempotencyKey, line });
}

/** Units by product. */
const unitsOf = ({ lines }: Cart) =>
  Object.fromEntries(lines.map(({ productId, quantity }) => [productId, quantity]));

/** As the merge does; resolves the transaction's end. */
async function closeSlowly(id: CartId): Promise<(how: 'COMMIT' | 'ROLLBACK') => Promise<void>> {
  const client = await database.pool.connect();
  await client.query('BEGIN');
  await client.query('SELECT FROM carts WHERE id = $1 FOR NO KEY UPDATE', [id]);
  await client.query("UPDATE carts SET status = 'ordered', order_id = $1 WHERE id = $1", [id]);
  return async (how) => {
    await client.query(how);
    client.release();
  };
}

async function close(id: CartId): Promise<void> {
  await (
    await closeSlowly(id)
  )('COMMIT');
}

const waitsForLock = () =>
  until('a change waits for the cart', async () => {
    const rows = await database.query(/* sql */ `SELECT 1 FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'`);
    return rows.length > 0;
  });

describe('a new cart', () => {
  test('has its lines summed and sorted, at the prices of the products', async () => {
    const cart = await create([B, 1], [A, 2], [B, 3]);
    expect(cart).toEqual({
      id: cart.id,
      userId,
      version: 1,
      orderId: null,
      lines: [
        { productId: A, quantity: 2, addedPrice: USD_1999 },
        { productId: B, quantity: 4, addedPrice: USD_1999 },
      ],
      expiresAt: START + TTL_MS,
    });
    expect(await store.readCart(cart.id)).toEqual(cart);
    expect(await store.findCart(cart.id)).toEqual(cart);
  });

  test('may be empty', async () => {
    const cart = await create();
    expect(cart.lines).toEqual([]);
    expect(await store.readCart(cart.id)).toEqual(cart);
  });

  test('is not made with a product that its customer cannot see: no row of it stays (I4)', async () => {
    await database.query("UPDATE products SET status = 'draft' WHERE id = $1", [B]);
    const unknown = known(parseProductId(randomUUID()));
    const lines = [lineOf(A, 1), lineOf(B, 2), lineOf(unknown, 3)];
    const outcome = await store.createCart({ userId, idempotencyKey: 'k', lines });
    expect(refusalOf(outcome)).toEqual({
      code: 'product-not-found',
      items: [
        { productId: B, requested: 2 },
        { productId: unknown, requested: 3 },
      ],
    });
    const page = await store.listCarts(userId, { limit: 10, after: null });
    expect(page.items).toEqual([]);
    // And the key is as it was: a refusal binds nothing.
    await database.query("UPDATE products SET status = 'active'");
    const again = await store.createCart({ userId, idempotencyKey: 'k', lines: [lineOf(A, 1)] });
    expect(again).toMatchObject({ type: 'changed', replayed: false });
  });
});

describe('a change of a line', () => {
  test('adds units, sets them, removes the line, and counts in the version', async () => {
    const cart = await create([A, 2]);
    const own = { userId, cartId: cart.id };
    const seen = [
      cartOf(await add(cart, [A, 3])),
      cartOf(await add(cart, [B, 1])),
      cartOf(await store.setQuantity({ ...own, line: lineOf(A, 1) })),
      cartOf(await store.removeItem({ ...own, productId: A })),
      cartOf(await store.removeItem({ ...own, productId: B })),
    ];
    expect(seen.map(({ version }) => version)).toEqual([2, 3, 4, 5, 6]);
    expect(seen.map(unitsOf)).toEqual([
      { [A]: 5 },
      { [A]: 5, [B]: 1 },
      { [A]: 1, [B]: 1 },
      { [B]: 1 },
      {},
    ]);
    expect(await store.readCart(cart.id)).toEqual(seen.at(-1));
  });

  test('remembers what the product costs then', async () => {
    const cart = await create([A, 1], [B, 1]);
    await database.query("UPDATE products SET price_amount = 2500, currency = 'EUR'");
    const added = cartOf(await add(cart, [A, 1]));
    const price = { amount: 2500, currency: 'EUR' };
    expect(added.lines.map(({ addedPrice }) => addedPrice)).toEqual([price, USD_1999]);
    const line = lineOf(B, 7);
    const set = cartOf(await store.setQuantity({ userId, cartId: cart.id, line }));
    expect(set.lines.map(({ addedPrice }) => addedPrice)).toEqual([price, price]);
  });

  test('of a product that the cart does not have is refused, and the version stays', async () => {
    const cart = await create([A, 1]);
    const own = { userId, cartId: cart.id };
    const outcomes = [
      await store.setQuantity({ ...own, line: lineOf(B, 1) }),
      await store.removeItem({ ...own, productId: B }),
      await add(cart, [known(parseProductId(randomUUID())), 1]),
    ];
    expect(outcomes.map((it) => refusalOf(it).code)).toEqual(Array(3).fill('product-not-found'));
    expect(await store.readCart(cart.id)).toEqual(cart);
  });

  test('may take out or lower what is not for sale any more, but adds none of it', async () => {
    const cart = await create([A, 5], [B, 1]);
    const own = { userId, cartId: cart.id };
    await database.query("UPDATE products SET status = 'archived'");
    expect(refusalOf(await add(cart, [A, 1])).code).toBe('product-not-found');
    cartOf(await store.setQuantity({ ...own, line: lineOf(A, 2) }));
    const left = cartOf(await store.removeItem({ ...own, productId: B }));
    expect(unitsOf(left)).toEqual({ [A]: 2 });
  });

  test('stops at 50 products and at a million units of one (I9)', async () => {
    const full = await create(...PRODUCTS.slice(0, 50).map((id) => [id, 1] as const));
    const next = known(PRODUCTS[50]);
    expect(refusalOf(await add(full, [next, 1])).code).toBe('too-many-lines');
    expect(refusalOf(await add(full, [A, 1_000_000])).code).toBe('too-many-units');
    expect(await store.readCart(full.id)).toEqual(full);
    const line = lineOf(A, 999_999);
    cartOf(await store.setQuantity({ userId, cartId: full.id, line }));
    expect(unitsOf(cartOf(await add(full, [A, 1])))[A]).toBe(1_000_000);
  });

  test("is refused for somebody else's cart as for none at all", async () => {
    const cart = await create([A, 1]);
    const theirs = { userId: known(parseUserId(randomUUID())), cartId: cart.id };
    const missing = { userId, cartId: known(parseCartId(randomUUID())) };
    for (const own of [theirs, missing]) {
      const outcomes = [
        await add({ id: own.cartId, userId: own.userId }, [A, 1], 'k'),
        await store.setQuantity({ ...own, line: lineOf(A, 2) }),
        await store.removeItem({ ...own, productId: A }),
      ];
      expect(outcomes.map((it) => refusalOf(it).code)).toEqual(Array(3).fill('cart-not-found'));
      expect(await store.deleteCart(own)).toEqual({ code: 'cart-not-found' });
    }
    expect(await store.readCart(cart.id)).toEqual(cart);
  });

  test('is refused once the cart is ordered, and so is deleting it', async () => {
    const cart = await create([A, 1]);
    await close(cart.id);
    const own = { userId, cartId: cart.id };
    const outcomes = [
      await add(cart, [B, 1], 'k'),
      await store.setQuantity({ ...own, line: lineOf(A, 2) }),
      await store.removeItem({ ...own, productId: A }),
    ];
    expect(outcomes.map((it) => refusalOf(it).code)).toEqual(Array(3).fill('cart-closed'));
    expect(await store.deleteCart(own)).toEqual({ code: 'cart-closed' });
    const theirs = { userId: known(parseUserId(randomUUID())), cartId: cart.id };
    expect(await store.deleteCart(theirs)).toEqual({ code: 'cart-not-found' });
    const order = known(parseOrderId(cart.id));
    expect(await store.readCart(cart.id)).toEqual({ ...cart, orderId: order });
  });
});

describe('at the same time', () => {
  test('two tabs add: no unit of either is lost, and each answer is a version of its own', async () => {
    const cart = await create();
    const adding = Array.from({ length: 20 }, (_, n) => add(cart, [n % 2 === 0 ? A : B, 1]));
    const versions = (await Promise.all(adding)).map((it) => cartOf(it).version);
    expect(versions.toSorted((a, b) => a - b)).toEqual(adding.map((_, n) => n + 2));
    const after = known(await store.readCart(cart.id));
    expect(unitsOf(after)).toEqual({ [A]: 10, [B]: 10 });
    expect(after.version).toBe(21);
  });

  test('each answer has exactly the lines of its version', async () => {
    const cart = await create();
    const carts = await Promise.all(
      PRODUCTS.slice(0, 12).map(async (id) => cartOf(await add(cart, [id, 1]))),
    );
    for (const { version, lines } of carts) expect(lines).toHaveLength(version - 1);
  });

  test('the double click on "add" takes effect once under its key (I3)', async () => {
    const cart = await create();
    const clicks = await Promise.all(
      Array.from({ length: 8 }, () => add(cart, [A, 1], 'the click')),
    );
    expect(clicks.filter((it) => it.type === 'changed' && !it.replayed)).toHaveLength(1);
    const carts = clicks.map(cartOf);
    expect(carts).toEqual(carts.map(() => carts[0]));
    expect(unitsOf(known(await store.readCart(cart.id)))).toEqual({ [A]: 1 });
  });

  test('a double click is one click even where a second one could not be (I3)', async () => {
    const cart = await create();
    const clicks = await Promise.all(
      Array.from({ length: 8 }, () => add(cart, [A, 600_000], 'the click')),
    );
    const carts = clicks.map(cartOf);
    expect(carts).toEqual(carts.map(() => carts[0]));
  });

  test('an item that comes while the cart is being ordered waits, and is refused', async () => {
    const cart = await create([A, 1]);
    const end = await closeSlowly(cart.id);
    const late = Promise.all([
      add(cart, [B, 1], 'k'),
      store.deleteCart({ userId, cartId: cart.id }),
    ]);
    await waitsForLock();
    await end('COMMIT');
    const [added, deleted] = await late;
    expect(refusalOf(added).code).toBe('cart-closed');
    expect(deleted).toEqual({ code: 'cart-closed' });
    expect(unitsOf(known(await store.readCart(cart.id)))).toEqual({ [A]: 1 });
  });

  test('it takes effect when the order did not', async () => {
    const cart = await create([A, 1]);
    const end = await closeSlowly(cart.id);
    const late = add(cart, [B, 1]);
    await waitsForLock();
    await end('ROLLBACK');
    expect(unitsOf(cartOf(await late))).toEqual({ [A]: 1, [B]: 1 });
  });
});

describe('a key (I3)', () => {
  test('makes one cart, and tells of it as it was made even when it is gone', async () => {
    const request = { userId, idempotencyKey: 'k', lines: [lineOf(A, 2)] };
    const cart = cartOf(await store.createCart(request));
    await add(cart, [A, 1]);
    expect(await store.createCart(request)).toEqual({ type: 'changed', cart, replayed: true });
    await store.deleteCart({ userId, cartId: cart.id });
    expect(await store.createCart(request)).toEqual({ type: 'changed', cart, replayed: true });
    expect(await store.readCart(cart.id)).toBeUndefined();
  });

  test('is refused for anything else: other lines, another cart, another command', async () => {
    const cart = await create([A, 1]);
    const other = await create([A, 1]);
    cartOf(await add(cart, [A, 1], 'k'));
    const outcomes = [
      await add(cart, [A, 2], 'k'),
      await add(cart, [B, 1], 'k'),
      await add(other, [A, 1], 'k'),
      await store.createCart({ userId, idempotencyKey: 'k', lines: [lineOf(A, 1)] }),
    ];
    expect(outcomes.map(({ type }) => type)).toEqual(Array(4).fill('key-reused'));
    expect(unitsOf(known(await store.readCart(cart.id)))).toEqual({ [A]: 2 });
    expect(unitsOf(known(await store.readCart(other.id)))).toEqual({ [A]: 1 });
  });

  test('belongs to one customer', async () => {
    const mine = cartOf(await store.createCart({ userId, idempotencyKey: 'k', lines: [] }));
    const another = known(parseUserId(randomUUID()));
    const outcome = await store.createCart({ userId: another, idempotencyKey: 'k', lines: [] });
    expect(outcome).toMatchObject({ type: 'changed', replayed: false });
    expect(cartOf(outcome).id).not.toBe(mine.id);
  });
});

describe('the life of a cart', () => {
  test('begins anew with every change, and ends at the millisecond', async () => {
    const cart = await create([A, 1]);
    const own = { userId, cartId: cart.id };
    now = START + TTL_MS - 1;
    expect(cartOf(await add(cart, [A, 1])).expiresAt).toBe(now + TTL_MS);
    now += TTL_MS;
    const outcomes = [
      await add(cart, [A, 1]),
      await store.setQuantity({ ...own, line: lineOf(A, 1) }),
      await store.removeItem({ ...own, productId: A }),
    ];
    expect(outcomes.map((it) => refusalOf(it).code)).toEqual(Array(3).fill('cart-not-found'));
    expect(await store.deleteCart(own)).toEqual({ code: 'cart-not-found' });
    expect((await store.listCarts(userId, { limit: 10, after: null })).items).toEqual([]);
  });

  test('ends when its customer deletes it, lines and all', async () => {
    const cart = await create([A, 1]);
    const own = { userId, cartId: cart.id };
    expect(await store.deleteCart(own)).toBeNull();
    expect(await store.readCart(cart.id)).toBeUndefined();
    expect(await database.query('SELECT FROM cart_items WHERE cart_id = $1', [cart.id])).toEqual(
      [],
    );
    expect(await store.deleteCart(own)).toEqual({ code: 'cart-not-found' });
  });
});

describe('the sweep', () => {
  const count = async (): Promise<number> => (await database.query('SELECT FROM carts')).length;

  beforeEach(async () => {
    await database.query('DELETE FROM carts');
  });

  test('deletes what expired a while ago, the oldest first and so many at a time (I9)', async () => {
    const old = await create([A, 1]);
    now += 1;
    await create([A, 1]);
    await create([A, 1]);
    now += HOUR_MS;
    const fresh = await create([A, 1]);
    now = START + TTL_MS + HOUR_MS / 2;
    expect(await store.deleteExpired(1)).toBe(1);
    expect(await store.readCart(old.id)).toBeUndefined();
    expect(await store.deleteExpired(10)).toBe(2);
    expect(await store.deleteExpired(10)).toBe(0);
    expect(await store.readCart(fresh.id)).toEqual(fresh);
    expect(await count()).toBe(1);
    expect(await database.query('SELECT FROM cart_items')).toHaveLength(1);
  });

  test('leaves a cart that has just expired to the checkout that may still be under way', async () => {
    await create([A, 1]);
    now = START + TTL_MS + 60_000;
    expect(await store.deleteExpired(10)).toBe(0);
  });

  test('leaves ordered carts for ever', async () => {
    const cart = await create([A, 1]);
    await close(cart.id);
    now = START + 1000 * TTL_MS;
    expect(await store.deleteExpired(10)).toBe(0);
    expect((await store.listCarts(userId, { limit: 10, after: null })).items).toHaveLength(1);
  });

  test.each(['COMMIT', 'ROLLBACK'] as const)(
    'does not wait for a cart that is being ordered, and takes it only if it was not: %s',
    async (how) => {
      const cart = await create([A, 1]);
      await create([B, 1]);
      now = START + 2 * TTL_MS;
      const end = await closeSlowly(cart.id);
      expect(await store.deleteExpired(10)).toBe(1);
      await end(how);
      expect(await store.deleteExpired(10)).toBe(how === 'COMMIT' ? 0 : 1);
    },
  );

  test('and another sweep share the work', async () => {
    await Promise.all(Array.from({ length: 20 }, () => create([A, 1])));
    now = START + 2 * TTL_MS;
    const sweeps = await Promise.all([1, 2, 3, 4].map(() => store.deleteExpired(10)));
    expect(sweeps.reduce((sum, deleted) => sum + deleted, 0)).toBe(20);
  });
});

describe('listCarts', () => {
  test('lists the own carts, newest first, with their lines, until there is none', async () => {
    const made: Cart[] = [];
    for (const [n, id] of [A, B, C].entries()) {
      now = START + n;
      made.unshift(await create([id, n + 1]));
    }
    const mine = userId;
    userId = known(parseUserId(randomUUID()));
    await create([A, 1]);
    const first = await store.listCarts(mine, { limit: 2, after: null });
    const second = await store.listCarts(mine, { limit: 2, after: first.next });
    expect([...first.items, ...second.items]).toEqual(made);
    expect(second.next).toBeNull();
  });

  test('walks the index of the customer backwards instead of sorting all of the carts', async () => {
    await database.query(
      /* sql */ `
      INSERT INTO carts (id, user_id, status, version, created_at, expires_at)
      SELECT gen_random_uuid(), $1, 'open', 1, timestamptz '2025-01-01Z' + n * interval '1 s',
             timestamptz '2099-01-01Z'
        FROM generate_series(1, 20000) AS n`,
      [userId],
    );
    await database.query('ANALYZE carts');
    const query = vi.spyOn(pool, 'query');
    await store.listCarts(userId, { limit: 3, after: null });
    const sent: unknown = query.mock.calls[0]?.[0];
    query.mockRestore();
    const { text, values } = sent as { text: string; values: unknown[] };
    const plan = JSON.stringify(await database.query(`EXPLAIN (FORMAT JSON) ${text}`, values));
    expect(plan).toContain('carts_user_idx');
    expect(plan).not.toMatch(/"Node Type":"(Sort|Incremental Sort|Seq Scan)"[^}]*"carts"/);
  });
});

test('findProducts reads those of many lines in one query', async () => {
  const query = vi.spyOn(pool, 'query');
  const found = await store.findProducts([A, B, known(parseProductId(randomUUID()))]);
  expect(query).toHaveBeenCalledTimes(1);
  expect(found.map(({ id }) => id).toSorted()).toEqual([A, B]);
  expect(found[0]).toMatchObject({ price: USD_1999, available: 10, status: 'active' });
  query.mockClear();
  expect(await store.findProducts([])).toEqual([]);
  expect(query).not.toHaveBeenCalled();
  query.mockRestore();
});
