/**
 * Committed orders with their lines, always in one statement: a statement sees one snapshot, so an
 * order is never shown without its lines (I4), and a list costs one round trip whatever its length.
 */
import type { Pool } from 'pg';
import type { OrderId, UserId } from '../domain/ids.ts';
import type { Order, OrderEvent, OrderLine, OrderStatus } from '../domain/order.ts';
import type { OrderReader, PageRequest } from '../domain/ports.ts';
import { pageValues, toMs, toPage } from './page.ts';
import { queryRows } from './pool.ts';

// Lines sorted by product id, which is the canonical order in which they were decided.
const COLUMNS = /* sql */ `
  o.id, o.user_id AS "userId", o.status, o.currency, o.total, o.reference, o.metadata,
  (extract(epoch FROM o.created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM o.expires_at) * 1000)::bigint AS "expiresAt",
  coalesce((SELECT json_agg(json_build_object(
                     'productId', i.product_id, 'name', i.name, 'quantity', i.quantity,
                     'unitPrice', i.unit_price, 'sequence', i.sequence) ORDER BY i.product_id)
              FROM order_items i WHERE i.order_id = o.id), '[]') AS items`;

const FIND = /* sql */ `SELECT ${COLUMNS} FROM orders o WHERE o.id = $1`;

// Sent unnamed, so that it is planned with its values (see product-reader.ts).
const LIST = /* sql */ `
  SELECT ${COLUMNS}
    FROM orders o
   WHERE o.user_id = $4
     AND ($5::order_status IS NULL OR o.status = $5)
     AND (o.created_at, o.id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY o.created_at DESC, o.id DESC
   LIMIT $3`;

/**
 * Placing has no row of its own. Statuses sort as an order can reach them (db/schema.sql), whatever
 * the clocks of the machines said.
 */
const EVENTS = /* sql */ `
  SELECT e.status, e.reason, floor(extract(epoch FROM e.created_at) * 1000)::bigint AS "createdAt"
    FROM orders o
   CROSS JOIN LATERAL (
         SELECT 'WAITING_PAYMENT'::order_status AS status, NULL AS reason, o.created_at
          UNION ALL
         SELECT status, reason, created_at FROM order_events WHERE order_id = o.id) e
   WHERE o.id = $1
   ORDER BY e.status`;

interface OrderRow {
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
      return queryRows<OrderEvent>(pool, {
        name: 'list-order-events',
        text: EVENTS,
        values: [id],
      });
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

function toOrder(row: OrderRow): Order {
  return {
    id: row.id,
    userId: row.userId,
    status: row.status,
    items: row.items,
    currency: row.currency,
    total: row.total,
    reference: row.reference,
    metadata: row.metadata,
    createdAt: toMs(row.createdAtUs),
    expiresAt: row.expiresAt,
  };
}
