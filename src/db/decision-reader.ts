/** Which order an Idempotency-Key made (I3), by primary keys alone. */
import type { Pool } from 'pg';
import type { CustomerKey, Decisions } from '../domain/decision.ts';
import { effectId } from './effect-id.ts';
import { ORDER_COLUMNS, toOrder } from './order-reader.ts';
import type { OrderRow } from './order-reader.ts';
import { queryRows } from './pool.ts';

// A key that names an order changed its status, or was that of its checkout: only a checkout is as
// old as the order itself (see the audit's rule keyed-status).
const FIND = /* sql */ `
  SELECT ${ORDER_COLUMNS} FROM orders o WHERE o.id = $1 AND o.user_id = $2
   UNION ALL
  SELECT ${ORDER_COLUMNS}
    FROM keyed_effects k JOIN orders o ON o.id = k.order_id
   WHERE k.id = $1 AND k.user_id = $2 AND o.user_id = k.user_id AND o.created_at = k.created_at`;

export function createDecisionReader(pool: Pool): Decisions {
  const orderIdOf = ({ userId, key }: CustomerKey) => effectId(userId, key);
  return {
    orderIdOf,

    async findAccepted(asked) {
      const values = [orderIdOf(asked), asked.userId];
      const rows = await queryRows<OrderRow>(pool, { name: 'find-decision', text: FIND, values });
      const [row] = rows;
      return row === undefined ? undefined : toOrder(row);
    },
  };
}
