/**
 * Committed orders with their lines, always in one statement: a statement sees one snapshot, so an
 * order is never shown without its lines (I4), and a list costs one round trip whatever its length.
 */
import type { Pool } from 'pg';
import type { OrderId, UserId } from '../domain/ids.ts';
import type {
  Order,
  OrderAuthor,
  OrderEvent,
  OrderLine,
  OrderPayment,
  OrderStatus,
} from '../domain/order.ts';
import type { OrderReader, PageRequest } from '../domain/ports.ts';
import { pageValues, toMs, toPage } from './page.ts';
import { queryRows } from './pool.ts';

/** Of `o`; its lines sorted by product id, which is the order in which they were decided. */
export const ORDER_COLUMNS = /* sql */ `
  o.id, o.user_id AS "userId", o.status, o.currency, o.total, o.reference, o.metadata,
  (extract(epoch FROM o.created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM o.expires_at) * 1000)::bigint AS "expiresAt",
  coalesce((SELECT json_agg(json_build_object(
                     'productId', i.product_id, 'name', i.name, 'quantity', i.quantity,
                     'unitPrice', i.unit_price, 'sequence', i.sequence,
                     'shippedAt', floor(extract(epoch FROM i.shipped_at) * 1000),
                     'tracking', i.tracking) ORDER BY i.product_id)
              FROM order_items i WHERE i.order_id = o.id), '[]') AS items,
  coalesce((SELECT json_agg(json_build_object(
                     'id', p.id, 'status', p.status, 'attempt', p.attempt,
                     'createdAt', floor(extract(epoch FROM p.created_at) * 1000))
                     ORDER BY p.attempt)
              FROM payments p WHERE p.order_id = o.id), '[]') AS payments`;

const FIND = /* sql */ `SELECT ${ORDER_COLUMNS} FROM orders o WHERE o.id = $1`;

// Sent unnamed, so that it is planned with its values (see product-reader.ts).
const LIST = /* sql */ `
  SELECT ${ORDER_COLUMNS}
    FROM orders o
   WHERE o.user_id = $4
     AND ($5::order_status IS NULL OR o.status = $5)
     AND (o.created_at, o.id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY o.created_at DESC, o.id DESC
   LIMIT $3`;

/**
 * Placing has no row of its own. Statuses sort as an order can reach them (db/schema.sql), whatever
 * the clocks of the machines said. `sells`: whether the author is a merchant of one of its lines.
 */
const EVENTS = /* sql */ `
  SELECT e.status, lag(e.status) OVER (ORDER BY e.status) AS "from", e.reason, e.author,
         e.author = o.user_id AS buys,
         EXISTS (SELECT FROM order_items i JOIN products p ON p.id = i.product_id
                  WHERE i.order_id = o.id AND p.merchant_id = e.author) AS sells,
         floor(extract(epoch FROM e.created_at) * 1000)::bigint AS "createdAt"
    FROM orders o
   CROSS JOIN LATERAL (
         SELECT 'WAITING_PAYMENT'::order_status AS status, NULL AS reason, o.user_id AS author,
                o.created_at
          UNION ALL
         SELECT status, reason, author, created_at FROM order_events WHERE order_id = o.id) e
   WHERE o.id = $1
   ORDER BY e.status`;

interface EventRow {
  readonly status: OrderStatus;
  readonly from: OrderStatus | null;
  readonly reason: string | null;
  readonly author: UserId | null;
  readonly buys: boolean | null;
  readonly sells: boolean;
  readonly createdAt: number;
}

/** A row of `ORDER_COLUMNS`. */
export interface OrderRow {
  readonly id: OrderId;
  readonly userId: UserId;
  readonly status: OrderStatus;
  readonly currency: string;
  readonly total: number;
  readonly reference: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly createdAtUs: number;
  readonly expiresAt: number;
  /** JSON numbers: quantity, price and sequence stay below 2^53 by the schema's bounds. */
  readonly items: readonly OrderLine[];
  readonly payments: readonly OrderPayment[];
}

export function createOrderReader(pool: Pool): OrderReader {
  return {
    async findOrder(id: OrderId) {
      const rows = await queryRows<OrderRow>(pool, {
        name: 'find-order',
        text: FIND,
        values: [id],
      });
      const row = rows[0];
      return row === undefined ? undefined : toOrder(row);
    },

    async listEvents(id: OrderId) {
      const rows = await queryRows<EventRow>(pool, {
        name: 'list-order-events',
        text: EVENTS,
        values: [id],
      });
      return rows.map(toEvent);
    },

    async listOrders(
      filter: { readonly userId: UserId; readonly status: OrderStatus | null },
      page: PageRequest,
    ) {
      const values = [...pageValues(page), filter.userId, filter.status];
      const rows = await queryRows<OrderRow>(pool, { text: LIST, values });
      return toPage(rows, page.limit, toOrder);
    },
  };
}

export function toOrder(row: OrderRow): Order {
  return {
    id: row.id,
    userId: row.userId,
    status: row.status,
    items: row.items,
    currency: row.currency,
    total: row.total,
    reference: row.reference,
    metadata: row.metadata,
    payments: row.payments,
    createdAt: toMs(row.createdAtUs),
    expiresAt: row.expiresAt,
  };
}

function toEvent(row: EventRow): OrderEvent {
  const { status, from, reason, createdAt } = row;
  return { status, from, author: { role: roleOf(row), userId: row.author }, reason, createdAt };
}

/**
 * In which part somebody acted. No table says it, but what each may do does: nobody ships or
 * completes as the customer, and a merchant does nothing else.
 */
function roleOf({ status, author, buys, sells }: EventRow): OrderAuthor['role'] {
  if (author === null) return 'system';
  if (status === 'SHIPPING' || status === 'COMPLETED') return sells ? 'merchant' : 'admin';
  return buys === true ? 'customer' : 'admin';
}
