/**
 * One prepared statement an order, in its own transaction: the strongest way to sell by a row lock.
 * It inserts the order first and takes the product's row last, so the row is locked for little more
 * than the flush of the COMMIT; nothing shortens that, since the lock ends when the flush has.
 *
 * Sold out is seen in the snapshot, without a lock. A buyer who saw the last unit and lost it to
 * another is stopped by CHECK (stock >= 0), which undoes the order, and looks again.
 */
import pg from 'pg';
import type { Pool } from 'pg';
import { queryRows } from '../../src/db/pool.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { accepted, askedOrder, boundTo, refused, valuesOf } from './asked-order.ts';
import type { AskedOrder } from './asked-order.ts';
import { openContenderPool } from './contender-pool.ts';
import type { Contender } from './contender.ts';
import { INSERT_ORDER, PRODUCT_COLUMNS } from './order-sql.ts';
import type { ProductRow } from './order-sql.ts';

/** Each look sees less stock than the one before. */
const LOOKS_MAX = 5;
const CHECK_VIOLATION = '23514';

const SELL = /* sql */ `
  WITH placed AS (
    ${INSERT_ORDER}
      FROM products p WHERE p.id = $5 AND p.status = 'active' AND p.stock >= $6
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  ), sold AS (
    UPDATE products p SET stock = p.stock - $6, sequence = p.sequence + 1
      FROM placed WHERE p.id = $5
    RETURNING p.sequence, p.name, p.price_amount
  ), lines AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT $1, $5, $6, price_amount, sequence, name FROM sold
  )
  SELECT ${PRODUCT_COLUMNS}, (SELECT sequence FROM sold) AS sequence,
         EXISTS (SELECT FROM orders WHERE id = $1) AS bound
    FROM products p WHERE p.id = $5`;

interface SaleRow extends ProductRow {
  /** Null = nothing was sold. */
  readonly sequence: number | null;
  /** The order was there before. */
  readonly bound: boolean;
}

async function place(pool: Pool, asked: AskedOrder): Promise<PlaceOrderOutcome> {
  for (let look = 1; look <= LOOKS_MAX; look += 1) {
    const seen = await sell(pool, asked);
    if (seen === 'lost') continue;
    const sequence = seen?.sequence ?? null;
    if (seen !== undefined && sequence !== null) return accepted(asked, { ...seen, sequence });
    const isRepeat = seen !== undefined && (seen.bound || seen.stock >= asked.line.quantity);
    const known = isRepeat ? await boundTo(pool, asked) : null;
    return known ?? refused(asked, seen);
  }
  return { type: 'shed', code: 'overloaded' };
}

async function sell(pool: Pool, asked: AskedOrder): Promise<SaleRow | undefined | 'lost'> {
  try {
    const values = valuesOf(asked);
    const [row] = await queryRows<SaleRow>(pool, { name: 'sell', text: SELL, values });
    return row;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === CHECK_VIOLATION) return 'lost';
    throw error;
  }
}

export const conditionalUpdate: Contender = {
  name: 'conditional-update',
  kind: 'locks',
  summary: 'one prepared statement: order, stock and line, the product’s row locked last',
  open: async (options) => {
    const pool = await openContenderPool(options);
    return {
      placeOrder: (request) => place(pool, askedOrder(request)),
      stop: () => pool.end(),
    };
  },
};
