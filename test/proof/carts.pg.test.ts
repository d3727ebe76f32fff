/** Orders of several products that belong to different shards: all lines or none (I4). */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  expectSellsOut,
  makeProducts,
  productIds,
  stocksOf,
} from '../support/shop.ts';
import type { Answered } from '../support/shop.ts';

const SHARDS = 4;
const PRODUCTS = 12;
const LINES_MAX = 4;
const QUANTITY_MAX = 3;
const ORDERS = 6000;
/** About two thirds of what is asked for. */
const STOCK = 1700;
/** Customers who wait for an answer at the same time. */
const CUSTOMERS = 64;

type Cart = readonly (readonly [productId: string, quantity: number])[];

const ids = productIds(PRODUCTS);
let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids, stock: STOCK });
  server = await ServerProcess.start({ databaseUrl: database.url, env: { SHARDS: `${SHARDS}` } });
});

afterAll(async () => {
  await server.kill();
  await database.close();
});

/** 1 to 4 products, sorted by id as an answer has them. */
function randomCart(): Cart {
  const wanted = new Set(Array.from({ length: randomInt(1, LINES_MAX + 1) }, () => randomInt(PRODUCTS))); // prettier-ignore
  return [...wanted]
    .toSorted((a, b) => a - b)
    .map((at) => [ids[at] ?? '', randomInt(1, QUANTITY_MAX + 1)] as const);
}

/** What the customers were told about each cart. */
async function sellAll(carts: readonly Cart[]): Promise<readonly Answered[]> {
  const answers: Answered[] = [];
  const left = carts.entries();
  await Promise.all(
    Array.from({ length: CUSTOMERS }, async () => {
      const customer = new Customer();
      for (const [at, items] of left) answers[at] = await customer.order(server.url, { items });
    }),
  );
  return answers;
}

interface RefusedItem {
  readonly product_id: string;
  readonly requested: number;
  readonly available: number;
}

/** Every line that it names is of the cart, and asks for more than there was. */
function expectShortage(cart: Cart, { body }: Answered): void {
  const items = body['items'] as readonly RefusedItem[];
  expect(items.length).toBeGreaterThan(0);
  for (const { product_id, requested, available } of items) {
    expect(cart).toContainEqual([product_id, requested]);
    expect(available).toBeGreaterThanOrEqual(0);
    expect(available).toBeLessThan(requested);
  }
}

it(
  `sells ${PRODUCTS} scarce products on ${SHARDS} shards to ${ORDERS} random carts: the books balance (I1, I4, I10)`,
  { timeout: 60_000 },
  async () => {
    const carts = Array.from({ length: ORDERS }, randomCart);
    const answers = await sellAll(carts);
    const sold = new Map<string, Cart>();
    for (const [at, cart] of carts.entries()) {
      const answer = answers[at];
      if (answer?.status === 201) {
        sold.set(String(answer.body['id']), cart);
      } else {
        expect(answer).toMatchObject({ status: 409, body: { code: 'out-of-stock' } });
        if (answer !== undefined) expectShortage(cart, answer);
      }
    }
    const refused = ORDERS - sold.size;
    expect(refused).toBeGreaterThan(ORDERS / 10);
    expect(sold.size).toBeGreaterThan(ORDERS / 10);

    const stored = await database.query<{ id: string; items: Cart }>(/* sql */ `
      SELECT order_id AS id,
             jsonb_agg(jsonb_build_array(product_id, quantity) ORDER BY product_id) AS items
        FROM order_items GROUP BY order_id`);
    expect(new Map(stored.map(({ id, items }) => [id, items]))).toEqual(sold);
    const left = ids.map((id) => {
      const units = [...sold.values()].flat().filter(([product]) => product === id);
      return STOCK - units.reduce((sum, [, quantity]) => sum + quantity, 0);
    });
    expect(await stocksOf(database, ids)).toEqual(left);
    await expectSellsOut(server.url, { database, ids });
    expect(await server.stop()).toBe(0);
    await expectCleanAudit(database);
    process.stdout.write(
      `${ORDERS} carts: ${sold.size} sold, ${refused} refused, left over: ${left.join(', ')}\n`,
    );
  },
);
