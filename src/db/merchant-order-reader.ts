/**
 * The orders of a merchant's products, newest first, without an index that every sale would pay for:
 * nothing leads from a product to its orders. Orders are found by time instead (the block range
 * index of orders.created_at), window by window from the newest to the oldest; where a merchant sold
 * nothing, the ledger of its products says when it did before.
 *
 * Every statement is bounded, by the orders of a window and by the pool's timeout, and so is their
 * number (I9): a page that takes longer to fill ends early, and the next one goes on from there.
 */
import type { Pool } from 'pg';
import type { OrderId, ProductId, UserId } from '../domain/ids.ts';
import { merchantViewOf } from '../domain/merchant-order.ts';
import type { MerchantOrderFilter, MerchantOrders } from '../domain/merchant-order.ts';
import type { Order } from '../domain/order.ts';
import type { Cursor, PageRequest } from '../domain/ports.ts';
import { ORDER_COLUMNS, toOrder } from './order-reader.ts';
import type { OrderRow } from './order-reader.ts';
import { pageValues } from './page.ts';
import { queryRows } from './pool.ts';

const SECOND_US = 1_000_000;
/**
 * The ledger is written when a batch commits, with PostgreSQL's clock; an order has the time of its
 * decision. A row may be this much later than its orders, and this much earlier.
 */
const LEDGER_LATER_US = 30 * SECOND_US;
const LEDGER_EARLIER_US = 2 * SECOND_US;
/** Batches under way at once take their time before the product's row: neighbours may be swapped. */
const LEDGER_NEIGHBOURS = 16;

/** The first window reaches back from the latest time that an order of the last sale can have. */
const WINDOW_US = LEDGER_EARLIER_US + SECOND_US;
const GROWTH = 4;
/** Orders of all merchants that are looked at in one window; a fuller one is narrowed. */
const WINDOW_ORDERS_MAX = 50_000;
/** Of this width a window is read whatever it holds: times are milliseconds. */
const NARROWEST_US = 1000;
/** Of one page; in quiet times one costs about a millisecond. */
const WINDOWS_MAX = 1000;
/** Milliseconds after which a page ends early. */
const PAGE_MS_MAX = 1000;

const OWN_PRODUCTS = /* sql */ `
  SELECT id FROM products WHERE merchant_id = $1 AND id = ANY ($2::uuid[])`;

const TIME = (parameter: string): string =>
  `timestamptz 'epoch' + ${parameter}::double precision * interval '1 microsecond'`;

/** When the merchant sold last before a time; null = never. */
const LAST_SALE = /* sql */ `
  SELECT (extract(epoch FROM max(l.created_at)) * 1000000)::bigint AS "soldAtUs"
    FROM products p
   CROSS JOIN LATERAL (
         SELECT created_at FROM stock_ledger
          WHERE product_id = p.id AND kind = 'sale' AND created_at < ${TIME('$3')}
          ORDER BY stock_version DESC LIMIT ${LEDGER_NEIGHBOURS}) l
   WHERE p.merchant_id = $1 AND ($2::uuid IS NULL OR p.id = $2)`;

/** Sent unnamed, so that it is planned with its values: how wide the window is decides the way. */
const WINDOW = /* sql */ `
  WITH placed AS MATERIALIZED (
    SELECT id, created_at, status FROM orders
     WHERE created_at >= ${TIME('$1')} AND created_at < ${TIME('$2')}
       AND (created_at, id) < (${TIME('$3')}, $4::uuid)
     LIMIT $6
  ), found AS (
    SELECT id, created_at FROM placed
     WHERE ($5::order_status IS NULL OR status = $5)
       AND EXISTS (SELECT FROM order_items i JOIN products p ON p.id = i.product_id
                    WHERE i.order_id = placed.id AND p.merchant_id = $7
                      AND ($8::uuid IS NULL OR p.id = $8))
     ORDER BY created_at DESC, id DESC LIMIT $9
  )
  SELECT (SELECT count(*) FROM placed) AS seen,
         ARRAY(SELECT id::text FROM found ORDER BY created_at DESC, id DESC) AS ids,
         ARRAY(SELECT (extract(epoch FROM created_at) * 1000000)::bigint::text
                 FROM found ORDER BY created_at DESC, id DESC) AS "timesUs"`;

/** The status once more: an order may have moved on since it was found. */
const READ = /* sql */ `
  SELECT ${ORDER_COLUMNS},
         ARRAY(SELECT i.product_id::text FROM order_items i JOIN products p ON p.id = i.product_id
                WHERE i.order_id = o.id AND p.merchant_id = $2) AS own
    FROM orders o
   WHERE o.id = ANY ($1::uuid[]) AND ($3::order_status IS NULL OR o.status = $3)
   ORDER BY o.created_at DESC, o.id DESC`;

interface Position {
  readonly id: OrderId;
  readonly timeUs: string;
}

/** From `fromUs`, up to `beforeUs` which is not of it. Microseconds since the epoch. */
interface Window {
  readonly fromUs: number;
  readonly beforeUs: number;
}

export function createMerchantOrderReader(pool: Pool): MerchantOrders {
  return {
    async ownProducts(merchantId: UserId, productIds: readonly ProductId[]) {
      const rows = await queryRows<{ id: ProductId }>(pool, {
        name: 'own-products',
        text: OWN_PRODUCTS,
        values: [merchantId, productIds],
      });
      return new Set(rows.map(({ id }) => id));
    },

    async listOrders(filter: MerchantOrderFilter, page: PageRequest) {
      const { found, rest } = await new OrderSearch(pool, filter, page).run();
      const shown = found.slice(0, page.limit);
      const last = shown.at(-1);
      const isFull = last !== undefined && found.length > page.limit;
      const next = isFull ? { createdAtUs: last.timeUs, id: last.id } : rest;
      return { items: await readOrders(pool, filter, shown), next };
    },
  };
}

async function readOrders(
  pool: Pool,
  { merchantId, status }: MerchantOrderFilter,
  positions: readonly Position[],
): Promise<readonly Order[]> {
  if (positions.length === 0) return [];
  const values = [positions.map(({ id }) => id), merchantId, status];
  const rows = await queryRows<OrderRow & { own: ProductId[] }>(pool, { text: READ, values });
  return rows.map((row) => merchantViewOf(toOrder(row), new Set(row.own)));
}

/** One walk back in time, until a page is full, nothing is left, or it took too long. */
class OrderSearch {
  readonly #pool: Pool;
  readonly #filter: MerchantOrderFilter;
  readonly #page: PageRequest;
  readonly #found: Position[] = [];

  constructor(pool: Pool, filter: MerchantOrderFilter, page: PageRequest) {
    this.#pool = pool;
    this.#filter = filter;
    this.#page = page;
  }

  /** @returns one position more than a page has, if there is one, and else where to go on. */
  async run(): Promise<{ readonly found: readonly Position[]; readonly rest: Cursor | null }> {
    const [afterUs] = pageValues(this.#page);
    const deadline = performance.now() + PAGE_MS_MAX;
    let beforeUs = Number(afterUs) + 1;
    let widthUs = WINDOW_US;
    for (let windows = 0; windows < WINDOWS_MAX && performance.now() < deadline; windows += 1) {
      const soldAtUs = await this.#lastSale(beforeUs + LEDGER_LATER_US);
      if (soldAtUs === null) return { found: this.#found, rest: null };
      if (soldAtUs + LEDGER_EARLIER_US < beforeUs) {
        beforeUs = soldAtUs + LEDGER_EARLIER_US;
        widthUs = Math.min(widthUs, WINDOW_US);
      }
      const fromUs = beforeUs - widthUs;
      const isLast = widthUs <= NARROWEST_US;
      const seen = await this.#look({ fromUs, beforeUs }, isLast);
      if (seen === null) {
        widthUs = Math.max(Math.floor(widthUs / GROWTH), NARROWEST_US);
        continue;
      }
      if (this.#found.length > this.#page.limit) return { found: this.#found, rest: null };
      beforeUs = fromUs;
      if (seen * GROWTH <= WINDOW_ORDERS_MAX) widthUs *= GROWTH;
    }
    return { found: this.#found, rest: { createdAtUs: String(beforeUs), id: BEFORE_ALL } };
  }

  async #lastSale(beforeUs: number): Promise<number | null> {
    const { merchantId, productId } = this.#filter;
    const rows = await queryRows<{ soldAtUs: number | null }>(this.#pool, {
      text: LAST_SALE,
      values: [merchantId, productId, beforeUs],
    });
    return rows[0]?.soldAtUs ?? null;
  }

  /** @returns how many orders were looked at; null = too many, and nothing was found. */
  async #look({ fromUs, beforeUs }: Window, isLast: boolean): Promise<number | null> {
    const { merchantId, status, productId } = this.#filter;
    const [afterUs, afterId, wanted] = pageValues(this.#page);
    const left = wanted - this.#found.length;
    const ordersMax = isLast ? null : WINDOW_ORDERS_MAX + 1;
    const window = [fromUs, beforeUs, afterUs, afterId, status, ordersMax];
    const rows = await queryRows<{ seen: number; ids: OrderId[]; timesUs: string[] }>(this.#pool, {
      text: WINDOW,
      values: [...window, merchantId, productId, left],
    });
    const [row] = rows;
    if (row === undefined) throw new Error('a window was answered without a row');
    if (!isLast && row.seen > WINDOW_ORDERS_MAX) return null;
    for (const [at, id] of row.ids.entries()) {
      this.#found.push({ id, timeUs: row.timesUs[at] ?? '' });
    }
    return row.seen;
  }
}

/** The least UUID: of a position that stands before no row of its time. */
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
