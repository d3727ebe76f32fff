/**
 * A row per unit, after Shopify's published design: whoever buys locks units that nobody else has
 * locked (SKIP LOCKED), so buyers of one product neither wait for each other nor flush alone. At
 * most UNITS_MAX units of a product stand ready; they are replenished from its stock, and go back
 * at the end. Order and units change in one prepared statement.
 * Source: https://shopify.engineering/scaling-inventory-reservations
 */
import type { Pool } from 'pg';
import { queryRows } from '../../src/db/pool.ts';
import type { ProductId } from '../../src/domain/ids.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { afterTwins } from './after-twins.ts';
import { accepted, askedOrder, boundTo, refused, valuesOf } from './asked-order.ts';
import type { AskedOrder } from './asked-order.ts';
import { openContenderPool } from './contender-pool.ts';
import type { Contender, OpenContender } from './contender.ts';
import { INSERT_ORDER, PRODUCT_COLUMNS } from './order-sql.ts';
import type { ProductRow } from './order-sql.ts';

/** Of a product, as published: more rows make the index slower to search. */
const UNITS_MAX = 1_000;
/** Units are numbered: whoever buys every so many-th one starts a refill. */
const UNITS_PER_REFILL = UNITS_MAX / 4;
const TRIES_MAX = 10;

const CREATE = `CREATE TABLE IF NOT EXISTS contender_units (
  product_id uuid, unit bigint, PRIMARY KEY (product_id, unit))`;
const SELL = /* sql */ `
  WITH picked AS MATERIALIZED (
    SELECT unit FROM contender_units WHERE product_id = $5
     ORDER BY unit LIMIT $6 FOR UPDATE SKIP LOCKED
  ), placed AS (
    ${INSERT_ORDER}
      FROM products p
     WHERE p.id = $5 AND p.status = 'active' AND (SELECT count(*) FROM picked) = $6
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  ), taken AS (
    DELETE FROM contender_units u USING picked, placed
     WHERE u.product_id = $5 AND u.unit = picked.unit RETURNING u.unit
  ), lines AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT placed.id, p.id, $6, p.price_amount, (SELECT max(unit) FROM taken), p.name
      FROM placed CROSS JOIN products p WHERE p.id = $5
  )
  SELECT ${PRODUCT_COLUMNS}, (SELECT max(unit) FROM taken) AS sequence,
         (SELECT count(*) FROM picked) AS picked, EXISTS (SELECT FROM orders WHERE id = $1) AS bound
    FROM products p WHERE p.id = $5`;

const REFILL = /* sql */ `
  WITH ready AS (SELECT count(*) AS units FROM contender_units WHERE product_id = $1), moved AS (
    UPDATE products p SET stock = p.stock - least(p.stock, $2 - ready.units),
                          sequence = p.sequence + least(p.stock, $2 - ready.units)
      FROM ready WHERE p.id = $1 AND ready.units < $2
    RETURNING new.sequence, old.stock - new.stock AS units)
  INSERT INTO contender_units (product_id, unit)
  SELECT $1, generate_series(sequence - units + 1, sequence) FROM moved`;

const GIVE_BACK = /* sql */ `
  WITH left_over AS (DELETE FROM contender_units RETURNING product_id)
  UPDATE products p SET stock = p.stock + units
    FROM (SELECT product_id, count(*) AS units FROM left_over GROUP BY product_id) l
   WHERE p.id = l.product_id`;
type SaleRow = ProductRow & { sequence: number | null; picked: number; bound: boolean };

function openUnits(pool: Pool): OpenContender {
  /** Under way, by product: whoever needs one meanwhile waits for the same. */
  const refills = new Map<ProductId, Promise<unknown>>();

  function refill(productId: ProductId): Promise<unknown> {
    const query = { name: 'refill', text: REFILL, values: [productId, UNITS_MAX] };
    const refilled =
      refills.get(productId) ?? queryRows(pool, query).finally(() => refills.delete(productId));
    refills.set(productId, refilled);
    return refilled;
  }

  async function place(asked: AskedOrder): Promise<PlaceOrderOutcome> {
    const { productId, quantity } = asked.line;
    for (let attempt = 1; attempt <= TRIES_MAX; attempt += 1) {
      const query = { name: 'sell', text: SELL, values: valuesOf(asked) };
      const [seen] = await queryRows<SaleRow>(pool, query);
      const sequence = seen?.sequence ?? null;
      if (seen !== undefined && sequence !== null) {
        // One that fails is not this buyer's concern: whoever finds no unit asks for the next.
        if (sequence % UNITS_PER_REFILL === 0) refill(productId).catch(() => undefined);
        return accepted(asked, { ...seen, sequence });
      }
      const isRepeat = seen !== undefined && (seen.bound || seen.picked === quantity);
      const known = isRepeat ? await boundTo(pool, asked) : null;
      if (known !== null) return known;
      if (seen?.status !== 'active') return refused(asked, seen);
      if (seen.stock === 0) return refused(asked, { ...seen, stock: seen.picked });
      await refill(productId);
    }
    return { type: 'shed', code: 'overloaded' };
  }

  const inTurn = afterTwins(place);
  return {
    placeOrder: (request) => inTurn(askedOrder(request)),
    stop: async () => {
      await Promise.allSettled(refills.values());
      await queryRows(pool, { text: GIVE_BACK });
      await pool.end();
    },
  };
}

export const skipLocked: Contender = {
  name: 'skip-locked',
  kind: 'locks',
  summary: 'a row per unit, FOR UPDATE SKIP LOCKED, replenished to 1,000 a product (Shopify 2026)',
  open: async (options) => {
    const pool = await openContenderPool(options);
    await queryRows(pool, { text: CREATE });
    return openUnits(pool);
  },
};
