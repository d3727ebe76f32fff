/**
 * Carts in PostgreSQL. Every change is one transaction that locks the cart's row before anything
 * else, so two changes of one cart have an order, and so have a change and a checkout: the merge of
 * a batch (db/merge.sql) locks the same row, and closes the cart only at the version that was read.
 *
 * Owns: rows of open carts and their lines. Does not own: closing one, which the merge alone does.
 * Invariant: the line of a cart holds no price that anything is ordered by.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { LINES_MAX, QUANTITY_MAX } from '../domain/bounds.ts';
import type {
  AddItem,
  Cart,
  CartOfCustomer,
  CartOutcome,
  CartRefusal,
  Carts,
  CartSweep,
  CreateCart,
  RemoveItem,
  SetQuantity,
} from '../domain/cart.ts';
import type { CartId, ProductId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { Page, PageRequest } from '../domain/ports.ts';
import type { Product } from '../domain/product.ts';
import { pageValues, toPage } from './page.ts';
import { queryRows } from './pool.ts';
import { PRODUCT_COLUMNS, toProduct } from './product-reader.ts';
import type { ProductRow } from './product-reader.ts';
import { effectKey, inTransaction, onceUnderKey } from './transaction.ts';
import type { Attempt, OnceOutcome } from './transaction.ts';

// The lines in the same statement: one snapshot, so they are those of the version beside them.
const COLUMNS = /* sql */ `
  c.id, c.user_id AS "userId", c.version, c.order_id AS "orderId",
  (extract(epoch FROM c.created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM c.expires_at) * 1000)::bigint AS "expiresAt",
  coalesce((SELECT json_agg(json_build_object(
                     'productId', i.product_id, 'quantity', i.quantity,
                     'addedPrice', json_build_object('amount', i.unit_price,
                                                     'currency', i.currency))
                   ORDER BY i.product_id)
              FROM cart_items i WHERE i.cart_id = c.id), '[]') AS lines`;

const FIND = /* sql */ `SELECT ${COLUMNS} FROM carts c WHERE c.id = $1`;

// Sent unnamed, so that it is planned with its values (see product-reader.ts).
const LIST = /* sql */ `
  SELECT ${COLUMNS}
    FROM carts c
   WHERE c.user_id = $4
     AND (c.status = 'ordered' OR c.expires_at > to_timestamp($5::double precision / 1000))
     AND (c.created_at, c.id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY c.created_at DESC, c.id DESC
   LIMIT $3`;

const PRODUCTS = /* sql */ `SELECT ${PRODUCT_COLUMNS} FROM products WHERE id = ANY ($1::uuid[])`;

const CREATE = /* sql */ `
  INSERT INTO carts (id, user_id, status, version, created_at, expires_at)
  VALUES ($1, $2, 'open', 1, to_timestamp($3::double precision / 1000),
          to_timestamp($4::double precision / 1000))`;

const TOUCH = /* sql */ `
  UPDATE carts
     SET version = version + 1, expires_at = to_timestamp($4::double precision / 1000)
   WHERE id = $1 AND user_id = $2 AND status = 'open'
     AND expires_at > to_timestamp($3::double precision / 1000)
  RETURNING id`;

// Customers see active products, so those are what they can add.
const ADD = /* sql */ `
  INSERT INTO cart_items AS had (cart_id, product_id, quantity, unit_price, currency)
  SELECT $1, p.id, asked.quantity, p.price_amount, p.currency
    FROM (SELECT product_id, sum(quantity)::integer AS quantity
            FROM unnest($2::uuid[], $3::integer[]) AS line (product_id, quantity)
           GROUP BY product_id) asked
    JOIN products p ON p.id = asked.product_id AND p.status = 'active'
  ON CONFLICT (cart_id, product_id) DO UPDATE
     SET quantity = had.quantity + excluded.quantity,
         unit_price = excluded.unit_price, currency = excluded.currency
  RETURNING product_id AS "productId"`;

const SET_QUANTITY = /* sql */ `
  UPDATE cart_items i
     SET quantity = $3, unit_price = p.price_amount, currency = p.currency
    FROM products p
   WHERE i.cart_id = $1 AND i.product_id = $2 AND p.id = i.product_id
  RETURNING i.product_id AS "productId"`;

const REMOVE = /* sql */ `
  DELETE FROM cart_items WHERE cart_id = $1 AND product_id = $2 RETURNING product_id AS "productId"`;

const DELETE = /* sql */ `
  DELETE FROM carts
   WHERE id = $1 AND user_id = $2 AND status = 'open'
     AND expires_at > to_timestamp($3::double precision / 1000)
  RETURNING id`;

const IS_CLOSED = /* sql */ `
  SELECT 1 AS found FROM carts WHERE id = $1 AND user_id = $2 AND status = 'ordered'`;

// SKIP LOCKED: whoever holds the lock of a cart is checking it out, or sweeps beside us.
const SWEEP = /* sql */ `
  DELETE FROM carts
   WHERE id IN (SELECT id FROM carts
                 WHERE status = 'open' AND expires_at < to_timestamp($1::double precision / 1000)
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING id`;

/**
 * Milliseconds that the row of an expired cart stays: longer than any checkout that still found the
 * cart can take, so that the sweep alone never turns one into `cart-changed`.
 */
const SWEEP_GRACE_MS = 600_000;

interface CartRow extends Cart {
  readonly createdAtUs: number;
}

interface LineRow {
  readonly productId: ProductId;
}

export interface CartStoreOptions {
  /** Milliseconds that a cart lives after its last change. */
  readonly ttlMs: number;
  /** Milliseconds since the epoch; `Date.now` unless a test says otherwise. */
  readonly clock?: () => number;
}

export function createCartStore(pool: Pool, options: CartStoreOptions): Carts & CartSweep {
  return new CartStore(pool, options);
}

class CartStore implements Carts, CartSweep {
  readonly #pool: Pool;
  readonly #ttlMs: number;
  readonly #clock: () => number;

  constructor(pool: Pool, { ttlMs, clock = Date.now }: CartStoreOptions) {
    this.#pool = pool;
    this.#ttlMs = ttlMs;
    this.#clock = clock;
  }

  async createCart({ userId, idempotencyKey, lines }: CreateCart): Promise<CartOutcome> {
    const key = effectKey(userId, idempotencyKey, ['create-cart', lines]);
    const done = await onceUnderKey(this.#pool, key, async (client) => {
      const cartId = randomUUIDv7() as CartId;
      const now = this.#clock();
      await client.query(CREATE, [cartId, userId, now, now + this.#ttlMs]);
      return addLines(client, cartId, lines);
    });
    return outcomeOf(done);
  }

  async addItem(request: AddItem): Promise<CartOutcome> {
    const { userId, idempotencyKey, cartId, line } = request;
    const key = effectKey(userId, idempotencyKey, ['add-cart-item', cartId, line]);
    const add = (client: PoolClient) => addLines(client, cartId, [line]);
    return outcomeOf(
      await onceUnderKey(this.#pool, key, (client) => this.#change(client, request, add)),
    );
  }

  setQuantity(request: SetQuantity): Promise<CartOutcome> {
    const { cartId, line } = request;
    const values = [cartId, line.productId, line.quantity];
    return this.#changeLine(request, line, { text: SET_QUANTITY, values });
  }

  removeItem(request: RemoveItem): Promise<CartOutcome> {
    const { cartId, productId } = request;
    const values = [cartId, productId];
    return this.#changeLine(request, { productId, quantity: 0 }, { text: REMOVE, values });
  }

  async deleteCart(cart: CartOfCustomer): Promise<CartRefusal | null> {
    return inTransaction(this.#pool, async (client) => {
      const values = [cart.cartId, cart.userId, this.#clock()];
      const { rows } = await client.query(DELETE, values);
      return rows.length > 0 ? null : await missingOrClosed(client, cart);
    });
  }

  findCart(id: CartId): Promise<Cart | undefined> {
    return this.readCart(id);
  }

  async readCart(id: CartId): Promise<Cart | undefined> {
    const rows = await queryRows<CartRow>(this.#pool, {
      name: 'find-cart',
      text: FIND,
      values: [id],
    });
    const row = rows[0];
    return row === undefined ? undefined : toCart(row);
  }

  /** It did so in the transaction that made the order. */
  async noteOrdered(): Promise<void> {}

  async listCarts(userId: UserId, page: PageRequest): Promise<Page<Cart>> {
    const values = [...pageValues(page), userId, this.#clock()];
    const rows = await queryRows<CartRow>(this.#pool, { text: LIST, values });
    return toPage(rows, page.limit, toCart);
  }

  async findProducts(ids: readonly ProductId[]): Promise<readonly Product[]> {
    if (ids.length === 0) return [];
    const query = { text: PRODUCTS, values: [ids] };
    return (await queryRows<ProductRow>(this.#pool, query)).map(toProduct);
  }

  async deleteExpired(max: number): Promise<number> {
    const values = [this.#clock() - SWEEP_GRACE_MS, max];
    return (await queryRows(this.#pool, { text: SWEEP, values })).length;
  }

  async #changeLine(
    cart: CartOfCustomer,
    line: RequestedLine,
    statement: { readonly text: string; readonly values: unknown[] },
  ): Promise<CartOutcome> {
    const attempt = async (client: PoolClient): Promise<Attempt<Cart, CartRefusal>> => {
      const { rows } = await client.query<LineRow>(statement);
      return rows.length === 0 ? { refused: unknownProducts([line]) } : cartIn(client, cart.cartId);
    };
    return outcomeOf(
      await onceUnderKey(this.#pool, null, (client) => this.#change(client, cart, attempt)),
    );
  }

  /** Locks the cart and moves it on; then `change`. */
  async #change(
    client: PoolClient,
    cart: CartOfCustomer,
    change: (client: PoolClient) => Promise<Attempt<Cart, CartRefusal>>,
  ): Promise<Attempt<Cart, CartRefusal>> {
    const now = this.#clock();
    const values = [cart.cartId, cart.userId, now, now + this.#ttlMs];
    const { rows } = await client.query(TOUCH, values);
    return rows.length > 0 ? change(client) : { refused: await missingOrClosed(client, cart) };
  }
}

async function addLines(
  client: PoolClient,
  cartId: CartId,
  lines: readonly RequestedLine[],
): Promise<Attempt<Cart, CartRefusal>> {
  const ids = lines.map(({ productId }) => productId);
  const values = [cartId, ids, lines.map(({ quantity }) => quantity)];
  const { rows } = await client.query<LineRow>(ADD, values);
  const added = new Set(rows.map(({ productId }) => productId));
  const unknown = lines.filter(({ productId }) => !added.has(productId));
  if (unknown.length > 0) return { refused: unknownProducts(unknown) };
  return cartIn(client, cartId);
}

/** The cart as this transaction has it, if it is within its bounds. */
async function cartIn(client: PoolClient, cartId: CartId): Promise<Attempt<Cart, CartRefusal>> {
  const { rows } = await client.query<CartRow>(FIND, [cartId]);
  const [row] = rows;
  if (row === undefined) throw new Error(`cart ${cartId} vanished under its lock`);
  const cart = toCart(row);
  if (cart.lines.length > LINES_MAX) return { refused: { code: 'too-many-lines' } };
  if (cart.lines.some(({ quantity }) => quantity > QUANTITY_MAX)) {
    return { refused: { code: 'too-many-units' } };
  }
  return { effect: cart };
}

/** Why there was no open cart to change; a new statement, so it sees who closed it. */
async function missingOrClosed(client: PoolClient, cart: CartOfCustomer): Promise<CartRefusal> {
  const { rows } = await client.query(IS_CLOSED, [cart.cartId, cart.userId]);
  return { code: rows.length > 0 ? 'cart-closed' : 'cart-not-found' };
}

function unknownProducts(lines: readonly RequestedLine[]): CartRefusal {
  const items = lines.map(({ productId, quantity }) => ({ productId, requested: quantity }));
  return { code: 'product-not-found', items };
}

function outcomeOf(done: OnceOutcome<Cart, CartRefusal>): CartOutcome {
  switch (done.type) {
    case 'done':
      return { type: 'changed', cart: done.result, replayed: done.replayed };
    case 'refused':
      return { type: 'refused', refusal: done.refused };
    default:
      return done;
  }
}

function toCart(row: CartRow): Cart {
  const { id, userId, version, orderId, lines, expiresAt } = row;
  return { id, userId, version, orderId, lines, expiresAt };
}
