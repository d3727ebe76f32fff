import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDecisionReader } from '../../src/db/decision-reader.ts';
import { effectId } from '../../src/db/effect-id.ts';
import { createPool } from '../../src/db/pool.ts';
import type { Decisions } from '../../src/domain/decision.ts';
import { parseUserId } from '../../src/domain/ids.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const PLACED_AT = '2026-01-01T00:00:00.123Z';
const LATER = '2026-01-01T00:00:07.123Z';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let decisions: Decisions;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 2,
    statementTimeoutMs: 5000,
    applicationName: 'decision-reader-under-test',
    onError: () => undefined,
  });
  decisions = createDecisionReader(pool);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

function newUserId(): UserId {
  const id = parseUserId(randomUUID());
  if (id === undefined) throw new Error('not an id');
  return id;
}

async function insertOrder(id: string, userId: UserId): Promise<void> {
  await database.query(
    /* sql */ `
    WITH placed AS (
      INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                          currency, total, created_at, expires_at)
      VALUES ($1, $2, '\\x00', 1, 1, 1, 'WAITING_PAYMENT', 'USD', 1999, $3, $3))
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    VALUES ($1, gen_random_uuid(), 1, 1999, 41, 'A')`,
    [id, userId, PLACED_AT],
  );
}

async function bindKey(
  { userId, key }: { readonly userId: UserId; readonly key: string },
  bound: { readonly orderId?: string; readonly result?: object; readonly at: string },
): Promise<void> {
  const { orderId = null, result, at } = bound;
  await database.query(
    /* sql */ `
    INSERT INTO keyed_effects (id, user_id, request_hash, order_id, result, created_at)
    VALUES ($1, $2, '\\x00', $3, $4, $5)`,
    [effectId(userId, key), userId, orderId, result ?? null, at],
  );
}

test('the key of an order finds the order that it made, of its customer alone (I3)', async () => {
  const asked = { userId: newUserId(), key: 'k-1' };
  await insertOrder(effectId(asked.userId, asked.key), asked.userId);
  const order = await decisions.findAccepted(asked);
  expect(order).toMatchObject({ id: decisions.orderIdOf(asked), userId: asked.userId });
  expect(order?.items).toMatchObject([{ quantity: 1, sequence: 41 }]);
  expect(order?.createdAt).toBe(Date.parse(PLACED_AT));
  expect(await decisions.findAccepted({ ...asked, key: 'k-2' })).toBeUndefined();
  expect(await decisions.findAccepted({ ...asked, userId: newUserId() })).toBeUndefined();
});

test('the key of a checkout finds the order of the cart', async () => {
  const asked = { userId: newUserId(), key: 'checkout-1' };
  const orderId = randomUUID();
  await insertOrder(orderId, asked.userId);
  await bindKey(asked, { orderId, at: PLACED_AT });
  expect(await decisions.findAccepted(asked)).toMatchObject({ id: orderId });
});

test('a key that is bound to something else than an order finds none', async () => {
  const userId = newUserId();
  const orderId = randomUUID();
  await insertOrder(orderId, userId);
  await bindKey({ userId, key: 'cancel-1' }, { orderId, at: LATER });
  await bindKey({ userId, key: 'cart-1' }, { result: {}, at: PLACED_AT });
  const operator = newUserId();
  await bindKey({ userId: operator, key: 'ship-1' }, { orderId, at: PLACED_AT });
  expect(await decisions.findAccepted({ userId, key: 'cancel-1' })).toBeUndefined();
  expect(await decisions.findAccepted({ userId, key: 'cart-1' })).toBeUndefined();
  expect(await decisions.findAccepted({ userId: operator, key: 'ship-1' })).toBeUndefined();
});
