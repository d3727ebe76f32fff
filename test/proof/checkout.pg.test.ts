/** A cart makes one order, ever, or none and stays as it was: whatever comes twice, late or across. */
import { randomInt, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import {
  expectCleanAudit,
  makeProducts,
  MERCHANT_ID,
  productIds,
  restock,
  stocksOf,
} from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';
import { Shopper } from '../support/shopper.ts';
import { until } from '../support/until.ts';

const STOCK = 10_000;
const GATE = 471_148;
/** In four partitions, of which each shard owns one. */
const IDS = productIds(9);
const [A = '', B = '', C = '', SCARCE = '', PRICED = ''] = IDS;

let database: TestDatabase;
let server: ServerProcess;
let shopper: Shopper;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS.filter((id) => id !== SCARCE), stock: STOCK });
  await makeProducts(database, { ids: [SCARCE], stock: 1 });
  // The merge inserts this row first: what it is to close is read, and nothing is locked.
  await database.query(/* sql */ `
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_advisory_xact_lock_shared(${GATE});
      RETURN NEW;
    END $$;
    CREATE TRIGGER gate BEFORE INSERT ON commit_batches
      FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
    -- Deferred triggers are the first thing that COMMIT does.
    CREATE CONSTRAINT TRIGGER late_gate AFTER INSERT ON commit_batches
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
    ALTER TABLE commit_batches DISABLE TRIGGER USER`);
  server = await ServerProcess.start({ databaseUrl: database.url });
});

beforeEach(() => {
  shopper = new Shopper(() => server.url);
});

afterAll(async () => {
  await server.kill();
  await database.close();
});

interface OrderRow {
  readonly id: string;
  readonly lines: readonly (readonly [string, number])[];
}

/** The committed orders of a customer, with their lines by product. */
function ordersOf({ id }: Shopper): Promise<OrderRow[]> {
  return database.query<OrderRow>(
    /* sql */ `
    SELECT o.id, (SELECT jsonb_agg(jsonb_build_array(i.product_id, i.quantity) ORDER BY i.product_id)
                    FROM order_items i WHERE i.order_id = o.id) AS lines
      FROM orders o WHERE o.user_id = $1 ORDER BY o.id`,
    [id],
  );
}

const isReplay = ({ headers }: Answered) => headers.get('idempotency-replayed') === 'true';

/** All of them are the one order, and one of them at most made it. */
async function expectOneOrder(answers: readonly Answered[]): Promise<OrderRow> {
  expect(answers.map(({ status, body }) => [status, body['code']])).toEqual(
    answers.map(() => [201, undefined]),
  );
  const orders = await ordersOf(shopper);
  expect(orders).toHaveLength(1);
  const [order] = orders;
  expect(new Set(answers.map(({ body }) => body['id']))).toEqual(new Set([order?.id]));
  if (order === undefined) throw new Error('no order');
  return order;
}

/**
 * `work` runs while the merge of what `start` sent waits at the gate, which is opened afterwards.
 * Resolves with the answer; undefined when the connection was lost before it.
 */
async function atGate(
  point: 'gate' | 'late_gate',
  { start, work }: { start: () => Promise<Answered>; work: () => Promise<unknown> },
): Promise<Answered | undefined> {
  const gate = await database.pool.connect();
  let answer: Promise<Answered | undefined>;
  try {
    await gate.query('SELECT pg_advisory_lock($1)', [GATE]);
    await gate.query(`ALTER TABLE commit_batches ENABLE TRIGGER ${point}`);
    answer = start().catch(() => undefined);
    await until(`a batch at the ${point}`, async () => {
      const waiting = 'SELECT FROM pg_locks WHERE objid = $1::oid AND NOT granted';
      return (await gate.query(waiting, [GATE])).rowCount === 1;
    });
    await work();
  } finally {
    await gate.query('SELECT pg_advisory_unlock_all()');
    await gate.query('ALTER TABLE commit_batches DISABLE TRIGGER USER');
    gate.release();
  }
  return answer;
}

describe('a cart makes one order', () => {
  it('of 200 checkouts at the same time, with and without keys and notes (I3)', async () => {
    const before = await stocksOf(database, [A, B, C]);
    const cart = await shopper.fill([A, 1], [B, 2], [C, 3]);
    const notes = [{}, { reference: 'tab 1' }, { reference: 'tab 2', metadata: { a: 'b' } }];
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => {
        const body = notes[n % notes.length] ?? {};
        return shopper.checkOut(cart, n % 2 === 0 ? { body } : { body, key: `key-${n}` });
      }),
    );
    const order = await expectOneOrder(answers);
    expect(order.lines).toEqual([[A, 1], [B, 2], [C, 3]]); // prettier-ignore
    expect(answers.filter((it) => !isReplay(it))).toHaveLength(1);
    const first = answers.find((it) => !isReplay(it));
    for (const { body } of answers) expect(body).toEqual(first?.body);
    const taken = (await stocksOf(database, [A, B, C])).map((left, at) => (before[at] ?? 0) - left);
    expect(taken).toEqual([1, 2, 3]);
    expect((await shopper.cart(cart)).body).toMatchObject({
      status: 'ordered',
      order_id: order.id,
    });
  });

  it('of a double click under one key, and of its repeat for ever after', async () => {
    const cart = await shopper.fill([A, 1]);
    const key = randomUUID();
    const clicks = await Promise.all([1, 2].map(() => shopper.checkOut(cart, { key })));
    const late = await shopper.checkOut(cart, { key });
    await expectOneOrder([...clicks, late]);
    expect(isReplay(late)).toBe(true);
    const other = await shopper.fill([B, 1]);
    const reused = await shopper.checkOut(other, { key });
    expect(reused).toMatchObject({ status: 422, body: { code: 'idempotency-key-reused' } });
    expect((await shopper.cart(other)).body).toMatchObject({ status: 'open', version: 1 });
  });

  it('as it was first answered, also when that order is long over', async () => {
    const cart = await shopper.fill([A, 1]);
    const first = await shopper.checkOut(cart, { body: { reference: 'r' } });
    const cancelled = await shopper.send('POST', `/orders/${String(first.body['id'])}/cancel`);
    expect(cancelled.body).toMatchObject({ status: 'CANCELLED' });
    const again = await shopper.checkOut(cart);
    await expectOneOrder([first, again]);
    expect(again.body).toEqual(first.body);
    const late = await shopper.add(cart, [B, 1]);
    expect(late).toMatchObject({ status: 409, body: { code: 'cart-closed' } });
    const deleted = await shopper.send('DELETE', `/carts/${cart}`);
    expect(deleted).toMatchObject({ status: 409, body: { code: 'cart-closed' } });
  });
});

describe('a checkout fails', () => {
  it('for one line takes nothing, names that line, and leaves the cart whole (I4)', async () => {
    const cart = await shopper.fill([A, 2], [SCARCE, 2]);
    const before = await stocksOf(database, [A, SCARCE]);
    const shown = (await shopper.cart(cart)).body;
    expect(shown).toMatchObject({ items: [{ problem: null }, { problem: 'out-of-stock' }] });
    const key = randomUUID();
    const refused = await shopper.checkOut(cart, { key });
    expect(refused).toMatchObject({ status: 409, body: { code: 'out-of-stock' } });
    expect(refused.body['items']).toEqual([{ product_id: SCARCE, requested: 2, available: 1 }]);
    expect((await shopper.cart(cart)).body).toEqual(shown);
    expect(await ordersOf(shopper)).toEqual([]);
    expect(await stocksOf(database, [A, SCARCE])).toEqual(before);
    // The refusal bound neither the key nor the cart.
    expect(await restock(server.url, { productId: SCARCE, delta: 1 })).toBe(200);
    const order = await expectOneOrder([await shopper.checkOut(cart, { key })]);
    expect(order.lines).toEqual([[A, 2], [SCARCE, 2]]); // prettier-ignore
  });

  it('not because a price changed: the cart flags it, and the order has the new one', async () => {
    const cart = await shopper.fill([PRICED, 2]);
    const edited = await fetch(`${server.url}/products/${PRICED}`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${tokenOf(MERCHANT_ID, 'merchant')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ price: { amount: 2500, currency: 'USD' } }),
    });
    expect(edited.status).toBe(200);
    expect((await shopper.cart(cart)).body).toMatchObject({
      items: [{ price_changed: true, added_price: { amount: 1999 }, unit_price: { amount: 2500 } }],
      total: { amount: 5000, currency: 'USD' },
    });
    const ordered = await shopper.checkOut(cart);
    expect(ordered).toMatchObject({ status: 201, body: { total: { amount: 5000 } } });
  });

  it('because the cart is empty: it says so', async () => {
    const cart = await shopper.fill();
    const refused = await shopper.checkOut(cart);
    expect(refused).toMatchObject({ status: 409, body: { code: 'cart-empty' } });
  });
});

describe('an item that is added between the look at the cart and the commit', () => {
  it('is in no order that its customer did not see: the checkout is refused', async () => {
    const cart = await shopper.fill([A, 1]);
    const before = await stocksOf(database, [A]);
    const key = randomUUID();
    const late = await atGate('gate', {
      start: () => shopper.checkOut(cart, { key }),
      work: async () => {
        expect(await shopper.add(cart, [B, 1])).toMatchObject({
          status: 200,
          body: { version: 2 },
        });
      },
    });
    expect(late).toMatchObject({ status: 409, body: { code: 'cart-changed', version: 2 } });
    expect(await ordersOf(shopper)).toEqual([]);
    expect(await stocksOf(database, [A])).toEqual(before);
    expect((await shopper.cart(cart)).body).toMatchObject({ status: 'open', version: 2 });
    const order = await expectOneOrder([await shopper.checkOut(cart, { key })]);
    expect(order.lines).toEqual([[A, 1], [B, 1]]); // prettier-ignore
  });

  it('when the cart is deleted meanwhile, nothing is ordered', async () => {
    const cart = await shopper.fill([A, 1]);
    const late = await atGate('gate', {
      start: () => shopper.checkOut(cart),
      work: async () => {
        expect((await shopper.send('DELETE', `/carts/${cart}`)).status).toBe(204);
      },
    });
    expect(late).toMatchObject({ status: 404, body: { code: 'cart-not-found' } });
    expect(await ordersOf(shopper)).toEqual([]);
  });

  it('and every other mix of adding and ordering sells exactly what a cart held when it closed', async () => {
    const shoppers = Array.from({ length: 24 }, () => new Shopper(() => server.url));
    await Promise.all(
      shoppers.map(async (it) => {
        const cart = await it.fill([A, 1]);
        const tabs = Array.from({ length: 6 }, async () => {
          const product = IDS[5 + randomInt(4)] ?? '';
          const { status, body } = await it.add(cart, [product, 1]);
          expect([200, 409]).toContain(status);
          if (status === 409) expect(body['code']).toBe('cart-closed');
          const ordered = await it.checkOut(cart);
          expect([201, 409]).toContain(ordered.status);
          if (ordered.status === 409) expect(ordered.body['code']).toBe('cart-changed');
        });
        await Promise.all(tabs);
        expect((await it.checkOut(cart)).status).toBe(201);
        const orders = await ordersOf(it);
        expect(orders).toHaveLength(1);
        const [kept] = await database.query<{ lines: OrderRow['lines'] }>(
          /* sql */ `
          SELECT jsonb_agg(jsonb_build_array(i.product_id, i.quantity) ORDER BY i.product_id) AS lines
            FROM cart_items i WHERE i.cart_id = $1`,
          [cart],
        );
        expect(orders[0]?.lines).toEqual(kept?.lines);
      }),
    );
  });
});

describe('what the first Hedonify got wrong', () => {
  it("somebody else's cart is none: it is neither read, changed, ordered nor deleted", async () => {
    const cart = await shopper.fill([A, 1]);
    const before = (await shopper.cart(cart)).body;
    const stranger = new Shopper(() => server.url);
    const path = `/carts/${cart}`;
    const tried = [
      await stranger.cart(cart),
      await stranger.add(cart, [B, 1]),
      await stranger.send('PATCH', `${path}/items/${A}`, { body: { quantity: 9 } }),
      await stranger.send('DELETE', `${path}/items/${A}`),
      await stranger.checkOut(cart),
      await stranger.send('DELETE', path),
    ];
    expect(tried.map(({ status, body }) => [status, body['code']])).toEqual(
      tried.map(() => [404, 'cart-not-found']),
    );
    expect((await stranger.send('GET', '/carts')).body['items']).toEqual([]);
    expect((await shopper.cart(cart)).body).toEqual(before);
    expect(await ordersOf(stranger)).toEqual([]);
  });

  it('prices and the user id are never taken from a body', async () => {
    const victim = new Shopper(() => server.url);
    const price = { amount: 1, currency: 'USD' };
    const item = { product_id: A, quantity: 1 };
    const cart = await shopper.fill([A, 1]);
    const tried = [
      await shopper.send('POST', '/carts', { body: { items: [{ ...item, unit_price: price }] } }),
      await shopper.send('POST', '/carts', { body: { items: [item], user_id: victim.id } }),
      await shopper.send('POST', `/carts/${cart}/items`, { body: { ...item, price } }),
      await shopper.checkOut(cart, { body: { total: price } }),
      await shopper.checkOut(cart, { body: { user_id: victim.id } }),
    ];
    expect(tried.map(({ status, body }) => [status, body['code']])).toEqual(
      tried.map(() => [400, 'validation']),
    );
    const { body } = await shopper.checkOut(cart);
    expect(body).toMatchObject({ total: { amount: 1999, currency: 'USD' } });
    expect(await ordersOf(victim)).toEqual([]);
    expect(await ordersOf(shopper)).toHaveLength(1);
  });

  it('units below one never add stock', async () => {
    const before = await stocksOf(database, [A]);
    for (const quantity of [0, -5]) {
      const cart = await shopper.fill([A, 1]);
      expect((await shopper.add(cart, [A, quantity])).status).toBe(400);
      const set = await shopper.send('PATCH', `/carts/${cart}/items/${A}`, { body: { quantity } });
      expect(set.status).toBe(400);
    }
    expect(await stocksOf(database, [A])).toEqual(before);
  });
});

it('kill -9 before the COMMIT is answered: the retry gets the order that it made (I2, I3)', async () => {
  const cart = await shopper.fill([A, 1], [B, 1]);
  const key = randomUUID();
  const lost = await atGate('late_gate', {
    start: () => shopper.checkOut(cart, { key }),
    work: () => server.kill(),
  });
  expect(lost).toBeUndefined();
  await until('the late COMMIT', async () => (await ordersOf(shopper)).length === 1);
  server = await ServerProcess.start({ databaseUrl: database.url });
  const retries = [
    await shopper.checkOut(cart, { key }),
    await shopper.checkOut(cart),
    await shopper.checkOut(cart, { body: { reference: 'another' } }),
  ];
  await expectOneOrder(retries);
  expect(retries.every(isReplay)).toBe(true);
});

it('kill -9 before the merge: the retry orders the cart, which is as it was', async () => {
  const cart = await shopper.fill([A, 1], [B, 1]);
  const key = randomUUID();
  await atGate('gate', {
    start: () => shopper.checkOut(cart, { key }),
    work: async () => {
      await server.kill();
      server = await ServerProcess.start({ databaseUrl: database.url });
    },
  });
  await expectOneOrder([await shopper.checkOut(cart, { key }), await shopper.checkOut(cart)]);
});

it('leaves books that balance', async () => {
  expect(await server.stop()).toBe(0);
  await expectCleanAudit(database);
});
