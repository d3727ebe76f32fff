/** Many decided orders in one statement, for the contenders that do not write one by one. */
import type { QueryConfig } from 'pg';
import { partitionOf } from '../../src/domain/ids.ts';
import type { Order } from '../../src/domain/order.ts';
import type { AskedOrder } from './asked-order.ts';

/** Orders whose id is there already are left out, with their lines and their units. */
const INSERT_ALL = /* sql */ `
  WITH asked AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS t (
      id uuid, user_id uuid, hash text, home_partition smallint, product_id uuid, quantity integer,
      unit_price bigint, sequence bigint, name text, currency text, total bigint, reference text,
      metadata jsonb, created_at timestamptz, expires_at timestamptz)
  ), placed AS (
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, reference, metadata, created_at, expires_at)
    SELECT id, user_id, decode(hash, 'hex'), 0, 0, home_partition, 'WAITING_PAYMENT', currency,
           total, reference, metadata, created_at, expires_at
      FROM asked ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  ), lines AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT id, product_id, quantity, unit_price, sequence, name FROM asked JOIN placed USING (id)
  )
  UPDATE products p
     SET stock = p.stock - sales.units, sequence = greatest(p.sequence, sales.sequence)
    FROM (SELECT product_id, sum(quantity) AS units, max(sequence) AS sequence
            FROM asked JOIN placed USING (id) GROUP BY product_id) sales
   WHERE p.id = sales.product_id`;

export interface DecidedOrder {
  readonly asked: AskedOrder;
  readonly order: Order;
}

export function insertAll(decided: readonly DecidedOrder[]): QueryConfig<unknown[]> {
  return { name: 'insert-all', text: INSERT_ALL, values: [JSON.stringify(decided.map(rowOf))] };
}

function rowOf({ asked, order }: DecidedOrder): object {
  const { line, request } = asked;
  const [sold] = order.items;
  return {
    id: asked.id,
    user_id: asked.userId,
    hash: asked.hash,
    home_partition: partitionOf(line.productId),
    product_id: line.productId,
    quantity: line.quantity,
    unit_price: sold?.unitPrice,
    sequence: sold?.sequence,
    name: sold?.name,
    currency: order.currency,
    total: order.total,
    reference: request.reference,
    metadata: request.metadata,
    created_at: new Date(asked.createdAt),
    expires_at: new Date(asked.expiresAt),
  };
}
