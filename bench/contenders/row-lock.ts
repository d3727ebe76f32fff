/**
 * The textbook: BEGIN, SELECT ... FOR UPDATE, look at the stock, UPDATE, INSERT, COMMIT. The
 * product's row is locked over four round trips and the flush.
 */
import type { Pool, PoolClient } from 'pg';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { accepted, askedOrder, boundTo, refused, valuesOf } from './asked-order.ts';
import type { AskedOrder } from './asked-order.ts';
import { inContenderTransaction, openContenderPool } from './contender-pool.ts';
import type { Contender } from './contender.ts';
import { INSERT_ORDER, PRODUCT_COLUMNS } from './order-sql.ts';
import type { ProductRow } from './order-sql.ts';

const LOCK = /* sql */ `
  SELECT ${PRODUCT_COLUMNS}, p.sequence FROM products p WHERE p.id = $1 FOR UPDATE`;

const TAKE = /* sql */ `
  UPDATE products SET stock = stock - $2, sequence = sequence + 1 WHERE id = $1`;

/** No row = the key is bound. $11: the sequence. */
const INSERT = /* sql */ `
  WITH placed AS (
    ${INSERT_ORDER} FROM products p WHERE p.id = $5
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  )
  INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
  SELECT placed.id, p.id, $6, p.price_amount, $11, p.name
    FROM placed CROSS JOIN products p WHERE p.id = $5`;

interface LockedRow extends ProductRow {
  readonly sequence: number;
}

async function place(pool: Pool, asked: AskedOrder): Promise<PlaceOrderOutcome> {
  const outcome = await inContenderTransaction(
    pool,
    (client) => sell(client, asked),
    ({ type }) => type === 'accepted',
  );
  // Refused for lack of stock, or because the key is bound; a bound key goes first.
  if (outcome.type === 'accepted') return outcome;
  return (await boundTo(pool, asked)) ?? outcome;
}

async function sell(client: PoolClient, asked: AskedOrder): Promise<PlaceOrderOutcome> {
  const { productId, quantity } = asked.line;
  const { rows } = await client.query<LockedRow>({
    name: 'lock',
    text: LOCK,
    values: [productId],
  });
  const [product] = rows;
  if (product?.status !== 'active' || product.stock < quantity) return refused(asked, product);
  await client.query({ name: 'take', text: TAKE, values: [productId, quantity] });
  const sequence = product.sequence + 1;
  const values = [...valuesOf(asked), sequence];
  const { rowCount } = await client.query({ name: 'insert', text: INSERT, values });
  return rowCount === 0 ? refused(asked, product) : accepted(asked, { ...product, sequence });
}

export const rowLock: Contender = {
  name: 'row-lock',
  kind: 'locks',
  summary: 'BEGIN, SELECT FOR UPDATE, UPDATE, INSERT, COMMIT: prepared, five round trips',
  open: async (options) => {
    const pool = await openContenderPool(options);
    return {
      placeOrder: (request) => place(pool, askedOrder(request)),
      stop: () => pool.end(),
    };
  },
};
