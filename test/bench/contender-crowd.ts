/** What every contender must do to be worth measuring, whatever it is made of. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { auditContender } from '../../bench/contenders/contender-audit.ts';
import type { Contender } from '../../bench/contenders/contender.ts';
import { parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { Order } from '../../src/domain/order.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import type { PlaceOrder } from '../../src/domain/ports.ts';
import type { TestDatabase } from '../support/database.ts';
import { makeProducts, stocksOf } from '../support/shop.ts';

const STOCK = 40;
const BUYERS = 150;
const POOL_MAX = 8;

function asked(product: string, quantity = 1): PlaceOrder {
  const [userId, productId] = [parseUserId(randomUUID()), parseProductId(product)];
  if (userId === undefined || productId === undefined) throw new Error('not an id');
  return {
    userId,
    idempotencyKey: randomUUID(),
    lines: [{ productId, quantity }],
    reference: 'gate 7',
    metadata: { colour: 'red' },
    cart: null,
    traceparent: null,
  };
}

function countOf(outcomes: readonly PlaceOrderOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const isReplay = outcome.type === 'accepted' && outcome.replayed;
    const kind = isReplay ? 'replayed' : outcome.type;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

function orderOf(outcome: PlaceOrderOutcome | undefined): Order | undefined {
  return outcome?.type === 'accepted' ? outcome.order : undefined;
}

/** A crowd at once, each buyer's request twice at once, then a repeat, a misuse and a latecomer. */
export async function expectSellsExactly(
  contender: Contender,
  shop: { readonly database: TestDatabase; readonly product: string; readonly redisUrl?: string },
): Promise<void> {
  const { database, product, redisUrl = null } = shop;
  await makeProducts(database, { ids: [product], stock: STOCK });
  const options = { databaseUrl: database.url, redisUrl, poolMax: POOL_MAX };
  const open = await contender.open(options);
  try {
    const crowd = Array.from({ length: BUYERS }, () => asked(product));
    const outcomes = await Promise.all([...crowd, ...crowd].map(open.placeOrder));
    expect(countOf(outcomes)).toEqual({
      accepted: STOCK,
      replayed: STOCK,
      refused: 2 * (BUYERS - STOCK),
    });
    const bought = crowd.find((_, place) => outcomes[place]?.type === 'accepted');
    if (bought === undefined) throw new Error('nobody bought');
    const order = orderOf(outcomes[crowd.indexOf(bought)]);
    // At once: a contender may answer in ticks.
    const [again, misused, late, astray] = await Promise.all([
      open.placeOrder(bought),
      open.placeOrder({ ...bought, reference: 'gate 8' }),
      open.placeOrder(asked(product, 2)),
      open.placeOrder(asked(randomUUID())),
    ]);
    expect(again).toMatchObject({ type: 'accepted', replayed: true });
    expect(orderOf(again)).toEqual(order);
    expect(misused).toEqual({ type: 'key-reused' });
    expect(late).toEqual({
      type: 'refused',
      code: 'out-of-stock',
      items: [{ productId: product, requested: 2, available: 0 }],
    });
    expect(astray).toMatchObject({ type: 'refused', code: 'product-not-found' });
  } finally {
    await open.stop();
  }
  expect(await stocksOf(database, [product])).toEqual([0]);
  expect(await auditContender(database.url)).toMatchObject({ broken: [] });
  const rows = await database.query<{ orders: number }>(
    /* sql */ `SELECT count(*)::integer AS orders FROM orders JOIN order_items ON order_id = id
                WHERE product_id = $1`,
    [product],
  );
  expect(rows).toEqual([{ orders: STOCK }]);
}
