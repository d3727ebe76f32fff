/** Rows that webhooks are about, as merges and users would have left them. */
import { randomUUID } from 'node:crypto';
import type { createPool } from '../../src/db/pool.ts';
import { parseOrderId, parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { WebhookEvent, WebhookOfUser } from '../../src/domain/webhook.ts';
import { createWebhookStore } from '../../src/db/webhook-store.ts';
import type { TestDatabase } from '../support/database.ts';

type Pool = ReturnType<typeof createPool>;

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('not an id');
  return value;
}

export const newUserId = (): UserId => known(parseUserId(randomUUID()));
const newProductId = (): ProductId => known(parseProductId(randomUUID()));

export interface StagedWebhook extends WebhookOfUser {
  readonly secret: string;
}

export class WebhookStage {
  readonly #database: TestDatabase;
  readonly #pool: Pool;
  #no = 0;

  constructor(database: TestDatabase, pool: Pool) {
    this.#database = database;
    this.#pool = pool;
  }

  /** Of a user without a row; null = told of everything. */
  async webhook(
    merchantId: UserId | null,
    events: readonly WebhookEvent[],
  ): Promise<StagedWebhook> {
    const userId = merchantId ?? newUserId();
    const outcome = await createWebhookStore(this.#pool).createWebhook({
      userId,
      merchantId,
      idempotencyKey: null,
      url: 'https://shop.example/hooks',
      events,
    });
    if (outcome.type !== 'created') throw new Error(outcome.type);
    return { userId, webhookId: outcome.webhook.id, secret: outcome.secret };
  }

  async product(merchantId: UserId, stock = 5): Promise<ProductId> {
    const id = newProductId();
    await this.#database.query(
      /* sql */ `
      INSERT INTO users (id, username, email, password_hash, role, created_at)
      VALUES ($1::uuid, $1::text, $1::text, '', 'merchant', now()) ON CONFLICT DO NOTHING`,
      [merchantId],
    );
    await this.#database.query(
      /* sql */ `
      INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status,
                            stock, supplied, stock_version, sequence, version, created_at,
                            updated_at)
      VALUES ($1, $2, 'A thing', '', 500, 'USD', 'active', $3, $3, 1, 0, 1, now(), now())`,
      [id, merchantId, stock],
    );
    return id;
  }

  /** A batch that made orders, each with one line of every product. */
  async placed(count: number, products: readonly ProductId[]): Promise<readonly OrderId[]> {
    const ids = Array.from({ length: count }, () => known(parseOrderId(randomUUID())));
    const no = this.#next();
    await this.#database.query(
      /* sql */ `
      INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                          currency, total, metadata, created_at, expires_at)
      SELECT id, gen_random_uuid(), '', 1, $2, 0, 'WAITING_PAYMENT', 'USD', $3::int * 1000,
             '{"k": "v"}', now(), now() + interval '15 min'
        FROM unnest($1::uuid[]) AS id`,
      [ids, no, products.length],
    );
    await this.#database.query(
      /* sql */ `
      INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
      SELECT id, product_id, 2, 500, 1, 'A thing'
        FROM unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS product_id`,
      [ids, products],
    );
    await this.outbox({ no, orderIds: ids });
    return ids;
  }

  /** A batch that changed the status of orders. */
  async changed(ids: readonly OrderId[], status: OrderStatus): Promise<void> {
    const no = this.#next();
    await this.#database.query('UPDATE orders SET status = $2 WHERE id = ANY ($1)', [ids, status]);
    await this.#database.query(
      /* sql */ `
      INSERT INTO order_events (order_id, status, created_at, owner_id, batch_no)
      SELECT id, $2, now(), 1, $3 FROM unnest($1::uuid[]) AS id`,
      [ids, status, no],
    );
    await this.outbox({ no, changedIds: ids });
  }

  /** A batch after which the product has this stock; `lists`: what the merge says of it. */
  async stocked(
    product: ProductId,
    stock: number,
    lists: { readonly soldOut?: boolean; readonly restocked?: boolean },
  ): Promise<void> {
    const no = this.#next();
    await this.#database.query(
      /* sql */ `
      WITH moved AS (
        UPDATE products SET stock = $2, stock_version = stock_version + 1 WHERE id = $1
        RETURNING stock_version)
      INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, owner_id,
                                batch_no, created_at)
      SELECT $1, stock_version, 0, $2, 'sale', 1, $3, now() FROM moved`,
      [product, stock, no],
    );
    await this.outbox({
      no,
      soldOut: lists.soldOut === true ? [product] : [],
      restocked: lists.restocked === true ? [product] : [],
    });
  }

  async outbox(row: {
    readonly no?: number;
    readonly orderIds?: readonly OrderId[];
    readonly changedIds?: readonly OrderId[];
    readonly soldOut?: readonly ProductId[];
    readonly restocked?: readonly ProductId[];
    /** Seconds since it committed. */
    readonly age?: number;
  }): Promise<void> {
    const { no = this.#next(), orderIds, changedIds, soldOut, restocked, age = 0 } = row;
    await this.#database.query(
      /* sql */ `
      INSERT INTO outbox (owner_id, no, order_ids, changed_ids, sold_out, restocked, pending,
                          created_at)
      VALUES (1, $1, $2, $3, $4, $5, true, clock_timestamp() - $6 * interval '1 s')`,
      [no, orderIds ?? null, changedIds ?? null, soldOut ?? null, restocked ?? null, age],
    );
  }

  #next(): number {
    this.#no += 1;
    return this.#no;
  }
}
