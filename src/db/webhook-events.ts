/**
 * What happened in committed batches, as events: who may be told of it, and what.
 *
 * The id of an event is a function of its subject, its type and, of a product, its batch: an order
 * reaches a status once, a product may sell out again.
 */
import { hash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { OrderId, ProductId, UserId } from '../domain/ids.ts';
import { merchantViewOf } from '../domain/merchant-order.ts';
import { ORDER_STATUSES } from '../domain/order.ts';
import type { Order, OrderStatus } from '../domain/order.ts';
import { orderAsOf } from '../domain/order.ts';
import { ORDER_EVENTS, placeOf } from '../domain/webhook.ts';
import type { WebhookEvent } from '../domain/webhook.ts';
import { uuidOf } from './effect-id.ts';
import { ORDER_COLUMNS, toOrder } from './order-reader.ts';
import type { OrderRow } from './order-reader.ts';

export interface CommittedEvent {
  readonly id: string;
  readonly event: WebhookEvent;
  readonly subjectId: OrderId | ProductId;
  /** Among the events of its subject; null = after all that are pending. */
  readonly place: number | null;
  /** Milliseconds since the epoch: when it happened, as it is told, ... */
  readonly at: number;
  /** ... and when its batch committed, by the clock that stamps webhooks. */
  readonly committedAt: number;
  /** Whose products are in it. */
  readonly merchants: ReadonlySet<UserId>;
  /** What is told to a merchant or, null, to who is told everything. */
  readonly dataFor: (merchantId: UserId | null) => object;
}

/** Committed batches, by the primary key of the outbox. */
export type Batches = readonly { readonly ownerId: number; readonly no: number }[];

/** Orders in memory at a time. */
const ORDERS_CHUNK = 100;
/**
 * Versions of a product's stock among which the one of a batch is looked for. When so many came
 * after it, the stock of now is told.
 */
const STOCK_VERSIONS_MAX = 1000;

const ORDER_CHANGES = /* sql */ `
  SELECT c.order_id AS "orderId", c.status,
         floor(extract(epoch FROM c.at) * 1000)::bigint AS at,
         floor(extract(epoch FROM o.created_at) * 1000)::bigint AS "committedAt"
    FROM unnest($1::integer[], $2::integer[]) AS b (owner_id, no)
    JOIN outbox o ON o.owner_id = b.owner_id AND o.no = b.no
   CROSS JOIN LATERAL (
         SELECT id AS order_id, 'WAITING_PAYMENT'::order_status AS status, NULL::timestamptz AS at
           FROM unnest(o.order_ids) AS id
          UNION ALL
         SELECT order_id, status, created_at FROM order_events
          WHERE order_id = ANY (o.changed_ids) AND owner_id = o.owner_id AND batch_no = o.no) c
   WHERE c.status = ANY ($3::order_status[])`;

const ORDERS = /* sql */ `SELECT ${ORDER_COLUMNS} FROM orders o WHERE o.id = ANY ($1::uuid[])`;

const MERCHANTS = /* sql */ `
  SELECT id, merchant_id AS "merchantId" FROM products WHERE id = ANY ($1::uuid[])`;

// A product that a batch lists as sold out and as restocked is told once, as it was committed. Of
// batches that waited for each other at the product's row the ledger knows the order.
const PRODUCT_CHANGES = /* sql */ `
  SELECT p.id, p.name, p.merchant_id AS "merchantId", o.owner_id AS "ownerId", o.no,
         coalesce(l.stock_after, p.stock) AS stock,
         coalesce(l.stock_after > 0, c.restocked) AS restocked,
         floor(extract(epoch FROM o.created_at) * 1000)::bigint AS "committedAt"
    FROM unnest($1::integer[], $2::integer[]) WITH ORDINALITY AS b (owner_id, no, place)
    JOIN outbox o ON o.owner_id = b.owner_id AND o.no = b.no
   CROSS JOIN LATERAL (
         SELECT id, bool_or(restocked) AS restocked
           FROM (SELECT unnest(o.sold_out) AS id, false AS restocked
                  UNION ALL
                 SELECT unnest(o.restocked), true) listed
          GROUP BY id) c
    JOIN products p ON p.id = c.id
    LEFT JOIN LATERAL (
         SELECT stock_after, stock_version FROM stock_ledger
          WHERE product_id = p.id AND stock_version > p.stock_version - $3::bigint
            AND owner_id = o.owner_id AND batch_no = o.no
          ORDER BY stock_version DESC LIMIT 1) l ON true
   ORDER BY p.id, l.stock_version NULLS FIRST, b.place`;

interface OrderChange {
  readonly orderId: OrderId;
  readonly status: OrderStatus;
  /** Null = the order says itself when it was placed. */
  readonly at: number | null;
  readonly committedAt: number;
}

interface ProductChange {
  readonly id: ProductId;
  readonly name: string;
  readonly merchantId: UserId;
  readonly ownerId: number;
  readonly no: number;
  readonly stock: number;
  readonly restocked: boolean;
  readonly committedAt: number;
}

export interface EventReaderOptions {
  /** Of the transaction that they are read in. */
  readonly client: PoolClient;
  /** An order as the API shows it. */
  readonly orderJson: (order: Order) => object;
}

export class EventReader {
  readonly #client: PoolClient;
  readonly #orderJson: (order: Order) => object;

  constructor({ client, orderJson }: EventReaderOptions) {
    this.#client = client;
    this.#orderJson = orderJson;
  }

  /** In chunks; those of one product in the order of the batches. */
  async *read(
    batches: Batches,
    wanted: ReadonlySet<WebhookEvent>,
  ): AsyncGenerator<readonly CommittedEvent[]> {
    const columns = [batches.map(({ ownerId }) => ownerId), batches.map(({ no }) => no)];
    const statuses = ORDER_STATUSES.filter((status) => wanted.has(ORDER_EVENTS[status]));
    if (statuses.length > 0) yield* this.#readOrders(columns, statuses);
    if (wanted.has('product.sold_out') || wanted.has('product.restocked')) {
      const values = [...columns, STOCK_VERSIONS_MAX];
      const { rows } = await this.#client.query<ProductChange>(PRODUCT_CHANGES, values);
      yield rows.map(productEvent).filter(({ event }) => wanted.has(event));
    }
  }

  async *#readOrders(
    columns: readonly unknown[],
    statuses: readonly OrderStatus[],
  ): AsyncGenerator<readonly CommittedEvent[]> {
    const values = [...columns, statuses];
    const { rows: changes } = await this.#client.query<OrderChange>(ORDER_CHANGES, values);
    for (let start = 0; start < changes.length; start += ORDERS_CHUNK) {
      yield await this.#orderEvents(changes.slice(start, start + ORDERS_CHUNK));
    }
  }

  async #orderEvents(changes: readonly OrderChange[]): Promise<readonly CommittedEvent[]> {
    const ids = changes.map(({ orderId }) => orderId);
    const { rows } = await this.#client.query<OrderRow>(ORDERS, [ids]);
    const orders = new Map(rows.map((row) => [row.id, toOrder(row)]));
    const merchants = await this.#merchantsOf([...orders.values()]);
    return changes.flatMap((change) => {
      const order = orders.get(change.orderId);
      return order === undefined ? [] : [this.#orderEvent(change, order, merchants)];
    });
  }

  async #merchantsOf(orders: readonly Order[]): Promise<ReadonlyMap<ProductId, UserId>> {
    const ids = new Set(orders.flatMap(({ items }) => items.map(({ productId }) => productId)));
    const { rows } = await this.#client.query<{ id: ProductId; merchantId: UserId }>(MERCHANTS, [
      [...ids],
    ]);
    return new Map(rows.map(({ id, merchantId }) => [id, merchantId]));
  }

  #orderEvent(
    { status, at, committedAt }: OrderChange,
    order: Order,
    merchants: ReadonlyMap<ProductId, UserId>,
  ): CommittedEvent {
    const event = ORDER_EVENTS[status];
    const told = orderAsOf(order, status);
    const products = Map.groupBy(
      order.items.map(({ productId }) => productId),
      (productId) => merchants.get(productId),
    );
    return {
      id: eventId([order.id, event]),
      event,
      subjectId: order.id,
      place: placeOf(status),
      at: at ?? order.createdAt,
      committedAt,
      merchants: new Set([...products.keys()].filter((id) => id !== undefined)),
      dataFor: (merchantId) =>
        this.#orderJson(
          merchantId === null
            ? told
            : merchantViewOf(told, new Set(products.get(merchantId) ?? [])),
        ),
    };
  }
}

function productEvent(change: ProductChange): CommittedEvent {
  const { id, name, stock, restocked, ownerId, no, committedAt } = change;
  const event = restocked ? 'product.restocked' : 'product.sold_out';
  const data = { id, name, available: restocked ? stock : 0 };
  return {
    id: eventId([id, event, ownerId, no]),
    event,
    subjectId: id,
    place: null,
    at: committedAt,
    committedAt,
    merchants: new Set([change.merchantId]),
    dataFor: () => data,
  };
}

function eventId(parts: readonly (string | number)[]): string {
  return uuidOf(hash('sha256', parts.join('\0'), 'hex'), { version: '8', prefix: null });
}
