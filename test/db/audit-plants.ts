/** Violations to plant into the history of audit-history.ts, and the rules that must report them. */
import { KEYS } from './audit-history.ts';
import { orderId, PRODUCTS } from './audit-history-rows.ts';

export const UNKNOWN = '99999999-0000-4000-8000-0000000000ff';

export interface Plant {
  readonly what: string;
  readonly sql: string;
  /** Exactly these rules report it. */
  readonly rules: readonly string[];
}

const { a, b, c } = PRODUCTS;
const inOrder = (number: number): string => `order_id = '${orderId(number)}'`;
const batch = (owner: number, no: number): string => `owner_id = ${owner} AND batch_no = ${no}`;

const STOCK_PLANTS: readonly Plant[] = [
  {
    what: 'more units sold than were ever stocked',
    sql: `UPDATE order_items SET quantity = quantity + 100 WHERE ${inOrder(1)};
          UPDATE orders SET total = total + 100 * 1999 WHERE id = '${orderId(1)}'`,
    rules: ['no-oversell', 'conservation', 'ledger-sales'],
  },
  {
    what: 'a unit sold beyond what was stocked, with a ledger that agrees',
    sql: `ALTER TABLE products DROP CONSTRAINT products_stock_check;
          ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_stock_after_check;
          UPDATE order_items SET quantity = 6 WHERE ${inOrder(7)};
          UPDATE orders SET total = 6 * 1999 WHERE id = '${orderId(7)}';
          UPDATE stock_ledger SET delta = -6, stock_after = -1
           WHERE product_id = '${a}' AND ${batch(2, 5)};
          UPDATE products SET stock = -1 WHERE id = '${a}'`,
    rules: ['no-oversell', 'stock-not-negative', 'stock-check', 'outbox-stock'],
  },
  {
    what: 'a unit that vanished from stock',
    sql: `UPDATE products SET stock = stock - 1 WHERE id = '${b}'`,
    rules: ['conservation', 'ledger-end'],
  },
  {
    what: 'a unit that nobody supplied',
    sql: `UPDATE products SET supplied = supplied + 1 WHERE id = '${b}'`,
    rules: ['supplied'],
  },
  {
    what: 'an expired order whose units did not come back',
    sql: `UPDATE orders SET status = 'EXPIRED' WHERE id = '${orderId(1)}';
          INSERT INTO order_events VALUES ('${orderId(1)}', 'EXPIRED', NULL, NULL, now(), 2, 6)`,
    rules: ['conservation', 'ledger-freed', 'freed-once', 'outbox-changes'],
  },
  {
    what: 'units that came back of an order that is live',
    sql: `UPDATE orders SET status = 'PAID' WHERE id = '${orderId(4)}';
          UPDATE order_events SET status = 'PAID' WHERE ${inOrder(4)}`,
    rules: ['conservation', 'ledger-freed', 'freed-once', 'payment-kept'],
  },
  {
    what: 'units that came back twice',
    sql: `UPDATE stock_ledger SET delta = 6 WHERE product_id = '${b}' AND kind = 'freed';
          UPDATE stock_ledger SET stock_after = stock_after + 3
           WHERE product_id = '${b}' AND stock_version >= 6;
          UPDATE products SET stock = stock + 3 WHERE id = '${b}'`,
    rules: ['conservation', 'ledger-freed', 'freed-once'],
  },
  {
    what: 'freed units that the ledger books in another batch than the status',
    sql: `UPDATE stock_ledger SET batch_no = 7 WHERE product_id = '${b}' AND kind = 'freed'`,
    rules: ['ledger-freed'],
  },
  {
    what: 'a movement that starts from another stock than the one before it left',
    sql: `UPDATE stock_ledger SET stock_after = stock_after + 1
           WHERE product_id = '${a}' AND stock_version = 2`,
    rules: ['ledger-chain'],
  },
  {
    what: 'a movement missing from the ledger',
    sql: `DELETE FROM stock_ledger WHERE product_id = '${a}' AND stock_version = 2`,
    rules: ['ledger-chain', 'ledger-sales'],
  },
  {
    what: 'a second opening',
    sql: `UPDATE stock_ledger SET kind = 'opening' WHERE product_id = '${c}' AND kind = 'change'`,
    rules: ['ledger-chain', 'keyed-effect', 'outbox-stock'],
  },
  {
    what: 'a product whose version is ahead of its ledger',
    sql: `UPDATE products SET stock_version = stock_version + 1 WHERE id = '${c}'`,
    rules: ['ledger-end'],
  },
  {
    what: 'a product without a ledger',
    sql: `DELETE FROM stock_ledger WHERE product_id = '${c}';
          DELETE FROM keyed_effects`,
    rules: [
      'no-oversell',
      'conservation',
      'supplied',
      'ledger-end',
      'ledger-sales',
      'ledger-freed',
      'freed-once',
      'outbox-stock',
    ],
  },
  {
    what: 'a unit that the ledger books in another batch than the order',
    sql: `UPDATE stock_ledger SET delta = delta - 1, stock_after = stock_after - 1
           WHERE product_id = '${a}' AND stock_version = 2;
          UPDATE stock_ledger SET delta = delta + 1 WHERE product_id = '${a}' AND stock_version = 3`,
    rules: ['ledger-sales'],
  },
  {
    what: 'a sale in the ledger without any order',
    sql: `INSERT INTO stock_ledger SELECT id, stock_version + 1, -1, stock - 1, 'sale', 2, 1, NULL,
                                          NULL, now() FROM products WHERE id = '${b}';
          UPDATE products SET stock = stock - 1, stock_version = stock_version + 1
           WHERE id = '${b}'`,
    rules: ['conservation', 'ledger-sales'],
  },
  {
    what: 'a movement of a product that does not exist',
    sql: `INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
          VALUES ('${UNKNOWN}', 1, 5, 5, 'opening', now())`,
    rules: ['ledger-product'],
  },
  {
    what: 'a stock change that no batch made',
    sql: `UPDATE stock_ledger SET batch_no = NULL WHERE product_id = '${b}' AND kind = 'change'`,
    rules: ['ledger-batch'],
  },
  {
    what: 'a key bound to a stock change that is not in the ledger',
    sql: `UPDATE keyed_effects SET stock_after = stock_after + 1 WHERE id = '${KEYS.stockChange}'`,
    rules: ['keyed-effect'],
  },
];

const ORDER_PLANTS: readonly Plant[] = [
  {
    what: 'an order that lost one of its lines',
    sql: `DELETE FROM order_items WHERE ${inOrder(2)} AND product_id = '${b}'`,
    rules: ['conservation', 'ledger-sales', 'order-total'],
  },
  {
    what: 'an order that lost all of its lines',
    sql: `DELETE FROM order_items WHERE ${inOrder(1)}`,
    rules: ['conservation', 'ledger-sales', 'order-lines'],
  },
  {
    what: 'a line that belongs to no order',
    sql: `UPDATE products SET sequence = 100 WHERE id = '${a}';
          INSERT INTO order_items VALUES ('${UNKNOWN}', '${a}', 1, 1999, 100, 'a')`,
    rules: ['line-order'],
  },
  {
    what: 'an order that was lost while its lines stayed',
    sql: `DELETE FROM orders WHERE id = '${orderId(1)}'`,
    rules: ['conservation', 'ledger-sales', 'line-order', 'outbox-orders'],
  },
  {
    what: 'a line of a product that does not exist',
    sql: `INSERT INTO order_items VALUES ('${orderId(1)}', '${UNKNOWN}', 1, 0, 1, 'unknown')`,
    rules: ['no-oversell', 'ledger-sales', 'line-product'],
  },
  {
    what: 'an order stored twice for one key, behind a missing primary key',
    sql: `ALTER TABLE orders DROP CONSTRAINT orders_pkey;
          INSERT INTO orders SELECT * FROM orders WHERE id = '${orderId(7)}'`,
    rules: [
      'no-oversell',
      'conservation',
      'ledger-sales',
      'order-once',
      'batch-orders',
      'unique-index',
      'outbox-orders',
    ],
  },
  {
    what: 'an order stored a second time under another id',
    sql: `INSERT INTO orders SELECT '${UNKNOWN}', user_id, request_hash, owner_id, batch_no,
                 home_partition, status, currency, total, reference, metadata, created_at,
                 expires_at FROM orders WHERE id = '${orderId(1)}';
          INSERT INTO order_items SELECT '${UNKNOWN}', product_id, quantity, unit_price, sequence,
                 name FROM order_items WHERE ${inOrder(1)}`,
    rules: [
      'no-oversell',
      'conservation',
      'ledger-sales',
      'sequence-once',
      'batch-orders',
      'outbox-orders',
    ],
  },
  {
    what: 'a line stored twice',
    sql: `ALTER TABLE order_items DROP CONSTRAINT order_items_pkey;
          INSERT INTO order_items SELECT * FROM order_items
           WHERE ${inOrder(2)} AND product_id = '${b}'`,
    rules: [
      'conservation',
      'ledger-sales',
      'line-once',
      'order-total',
      'sequence-once',
      'unique-index',
    ],
  },
  {
    what: 'a key of a stock change bound twice',
    sql: `ALTER TABLE keyed_effects DROP CONSTRAINT keyed_effects_pkey;
          INSERT INTO keyed_effects SELECT * FROM keyed_effects`,
    rules: ['effect-once', 'unique-index'],
  },
  {
    what: 'an order with another total than its lines',
    sql: `UPDATE orders SET total = total + 1 WHERE id = '${orderId(3)}'`,
    rules: ['order-total'],
  },
  {
    what: 'two lines with the same place in the order of service',
    sql: `UPDATE order_items SET sequence = 1 WHERE ${inOrder(2)} AND product_id = '${a}'`,
    rules: ['sequence-once'],
  },
  {
    what: 'a line served after the last one',
    sql: `UPDATE products SET sequence = sequence - 1 WHERE id = '${a}'`,
    rules: ['sequence-range'],
  },
  {
    what: 'a line without a place in the order of service',
    sql: `UPDATE order_items SET sequence = 0 WHERE ${inOrder(1)}`,
    rules: ['sequence-range'],
  },
  {
    what: 'an order at home in another partition than its lowest',
    sql: `UPDATE orders SET home_partition = 32 WHERE id = '${orderId(2)}'`,
    rules: ['home-partition'],
  },
  {
    what: 'an order of a batch that never committed',
    sql: `DELETE FROM commit_batches WHERE owner_id = 2 AND no = 5`,
    rules: ['ledger-batch', 'order-batch', 'outbox-orders', 'outbox-stock'],
  },
  {
    what: 'an order of a batch that was proven aborted',
    sql: `UPDATE commit_batches SET aborted = true WHERE owner_id = 2 AND no = 5`,
    rules: ['ledger-batch', 'order-batch', 'outbox-batch'],
  },
  {
    what: 'a batch that stored more orders than were sent with it',
    sql: `UPDATE commit_batches SET orders = 1 WHERE owner_id = 1 AND no = 1`,
    rules: ['batch-orders'],
  },
];

const STATUS_PLANTS: readonly Plant[] = [
  {
    what: 'a status reached by an order that does not exist',
    sql: `INSERT INTO order_events VALUES ('${UNKNOWN}', 'PAID', NULL, NULL, now(), 2, 7)`,
    rules: ['event-order', 'outbox-changes'],
  },
  {
    what: 'a status reached twice, behind a missing primary key',
    sql: `ALTER TABLE order_events DROP CONSTRAINT order_events_pkey;
          INSERT INTO order_events SELECT * FROM order_events WHERE ${inOrder(3)}`,
    rules: ['event-once', 'unique-index', 'outbox-changes'],
  },
  {
    what: 'a status reached with a batch that was proven aborted',
    sql: `UPDATE commit_batches SET aborted = true WHERE owner_id = 2 AND no = 10`,
    rules: ['event-batch', 'outbox-batch'],
  },
  {
    what: 'a status reached with a batch that never committed',
    sql: `UPDATE order_events SET batch_no = 1000 WHERE ${inOrder(3)} AND status = 'SHIPPING'`,
    rules: ['event-batch', 'outbox-changes'],
  },
  {
    what: 'an order with a status that it never reached',
    sql: `UPDATE orders SET status = 'PAID' WHERE id = '${orderId(1)}'`,
    rules: ['status-reached', 'payment-kept'],
  },
  {
    what: 'an order that reached a status and does not have it',
    sql: `UPDATE orders SET status = 'WAITING_PAYMENT' WHERE id = '${orderId(3)}'`,
    rules: ['status-reached', 'payment-kept'],
  },
  {
    what: 'an order that expired and was cancelled',
    sql: `UPDATE order_events SET status = 'EXPIRED' WHERE ${inOrder(6)} AND status = 'PAID'`,
    rules: ['ledger-freed', 'status-path'],
  },
  {
    what: 'an order that was shipped and never paid',
    sql: `DELETE FROM order_events WHERE ${inOrder(3)} AND status = 'PAID'`,
    rules: ['status-path', 'line-shipped', 'outbox-changes'],
  },
  {
    what: 'a key bound to a cancellation of another order',
    sql: `UPDATE keyed_effects SET order_id = '${orderId(1)}' WHERE id = '${KEYS.cancellation}'`,
    rules: ['keyed-status'],
  },
  {
    what: 'an unpaid order that nobody let expire',
    sql: `UPDATE orders SET expires_at = created_at + interval '1 day' WHERE id = '${orderId(1)}'`,
    rules: ['unpaid-expires'],
  },
  {
    what: 'an unpaid order that expired before the watermark, so that nobody looks for it any more',
    sql: `UPDATE expiry_watermarks SET expired_until = '2200-01-01Z' WHERE partition = 10`,
    rules: ['watermark-passed'],
  },
  {
    what: 'a missing watermark',
    sql: `DELETE FROM expiry_watermarks WHERE partition = 17`,
    rules: ['watermarks-complete'],
  },
  {
    what: 'a watermark that there should not be',
    sql: `ALTER TABLE expiry_watermarks DROP CONSTRAINT expiry_watermarks_partition_check;
          INSERT INTO expiry_watermarks VALUES (256, now())`,
    rules: ['watermarks-complete'],
  },
  {
    what: 'orders with more time to pay than any hold on record',
    sql: `UPDATE engine_settings SET hold_ttl_max = '15 minutes'`,
    rules: ['hold-longest'],
  },
  {
    what: 'a lost record of the longest hold',
    sql: `DELETE FROM engine_settings`,
    rules: ['hold-longest'],
  },
];

const OWNERSHIP_PLANTS: readonly Plant[] = [
  {
    what: 'a missing partition',
    sql: `DELETE FROM partitions WHERE id = 17`,
    rules: ['partitions-complete'],
  },
  {
    what: 'a partition that there should not be',
    sql: `ALTER TABLE partitions DROP CONSTRAINT partitions_id_check;
          INSERT INTO partitions VALUES (256, 2)`,
    rules: ['partitions-complete'],
  },
  {
    what: 'a partition held by a fenced owner',
    sql: `UPDATE partitions SET owner_id = 1 WHERE id = 17`,
    rules: ['partition-owner'],
  },
  {
    what: 'a partition held by nobody that ever was',
    sql: `ALTER TABLE partitions DROP CONSTRAINT partitions_owner_id_fkey;
          UPDATE partitions SET owner_id = 77 WHERE id = 17`,
    rules: ['partition-owner'],
  },
  {
    what: 'a batch of nobody that ever was',
    sql: `INSERT INTO commit_batches VALUES (77, 1, false, 0, now())`,
    rules: ['batch-owner'],
  },
  {
    what: 'a batch that an owner committed after it was fenced',
    sql: `UPDATE commit_batches SET committed_at = now() WHERE owner_id = 1 AND no = 2`,
    rules: ['batch-fence'],
  },
  {
    what: 'a product of a merchant that does not exist',
    sql: `ALTER TABLE products DROP CONSTRAINT products_merchant_id_fkey;
          UPDATE products SET merchant_id = '${UNKNOWN}' WHERE id = '${a}'`,
    rules: ['product-merchant'],
  },
  {
    what: 'a unique index that was dropped',
    sql: `DROP INDEX users_email_key`,
    rules: ['unique-index'],
  },
  {
    what: 'a unique index that was replaced by one that allows doubles',
    sql: `ALTER TABLE orders DROP CONSTRAINT orders_pkey;
          CREATE INDEX orders_pkey ON orders (id)`,
    rules: ['unique-index'],
  },
  {
    what: 'a unique index that is not valid',
    sql: `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'order_items_pkey'::regclass`,
    rules: ['unique-index'],
  },
  {
    what: 'a check against negative stock that was dropped',
    sql: `ALTER TABLE products DROP CONSTRAINT products_stock_check`,
    rules: ['stock-check'],
  },
];

export const ENGINE_PLANTS: readonly Plant[] = [
  ...STOCK_PLANTS,
  ...ORDER_PLANTS,
  ...STATUS_PLANTS,
  ...OWNERSHIP_PLANTS,
];
