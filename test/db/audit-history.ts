/**
 * An honest history for the audit, written row by row without any code of the engine: two owners
 * (the first was fenced by the second), three products, a duplicate order, a batch that was aborted
 * and a sequence that it left unused, stock changes with and without a key, an order that expired,
 * one that was paid and then cancelled under a key, and one that was paid, shipped and completed.
 */
import type { TestDatabase } from '../support/database.ts';

const MERCHANT = '10000000-0000-4000-8000-000000000001';
const CUSTOMER = '20000000-0000-4000-8000-000000000002';
/** Their partitions are 10, 32 and 255: a is the lowest. */
export const PRODUCTS = {
  a: 'a0000000-0000-4000-8000-00000000000a',
  b: 'b0000000-0000-4000-8000-000000000020',
  c: 'c0000000-0000-4000-8000-0000000000ff',
} as const;
export type ProductName = keyof typeof PRODUCTS;

const PRICES = { a: 1999, b: 250, c: 0 } as const;
const PARTITION_OF = { a: 10, b: 32, c: 255 } as const;
const STARTED_AT = Date.UTC(2026, 0, 1);
/** Of every order, and so far away that no audit comes after it. */
const EXPIRES_AT = Date.UTC(2200, 0, 1);

export function orderId(number: number): string {
  return `40000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

/** Keys that are bound to something else than an order. */
export const KEYS = {
  stockChange: '30000000-0000-4000-8000-000000000003',
  cancellation: '30000000-0000-4000-8000-000000000004',
} as const;

type Row = Readonly<Record<string, string | number | boolean | null>>;

interface ProductState {
  stock: number;
  version: number;
  sequence: number;
}

interface BatchOptions {
  readonly owner: number;
  readonly no: number;
  /** One entry per order: units by product, in the order of the lines. */
  readonly orders: readonly Partial<Record<ProductName, number>>[];
  /** Orders that were sent with the batch and bound already. */
  readonly duplicates?: number;
}

interface StatusOptions {
  readonly owner: number;
  readonly no: number;
  readonly status: string;
  readonly key?: string;
}

class History {
  readonly tables = {
    commit_batches: [] as Row[],
    orders: [] as (Row & { status: string })[],
    order_items: [] as Row[],
    order_events: [] as Row[],
    stock_ledger: [] as Row[],
    keyed_effects: [] as Row[],
  };
  readonly products: Record<ProductName, ProductState> = {
    a: { stock: 0, version: 0, sequence: 0 },
    b: { stock: 0, version: 0, sequence: 0 },
    c: { stock: 0, version: 0, sequence: 0 },
  };
  #minute = 0;

  open(name: ProductName, units: number): void {
    this.#move(name, { delta: units, kind: 'opening', owner: null, no: null });
  }

  sell(batch: BatchOptions): void {
    this.#minute += 1;
    const sold: Record<ProductName, number> = { a: 0, b: 0, c: 0 };
    for (const order of batch.orders) this.#order(batch, { order, sold });
    for (const name of names()) {
      if (sold[name] > 0) this.#move(name, { ...batch, delta: -sold[name], kind: 'sale' });
    }
    const sent = batch.orders.length + (batch.duplicates ?? 0);
    this.#batch(batch, { aborted: false, orders: sent });
  }

  change(name: ProductName, change: { owner: number; no: number; delta: number; key?: string }) {
    this.#minute += 1;
    this.#move(name, { ...change, kind: 'change' });
    this.#batch(change, { aborted: false, orders: 0 });
    if (change.key !== undefined) {
      this.tables.keyed_effects.push({
        id: change.key,
        user_id: MERCHANT,
        request_hash: '\\x00',
        stock_after: this.products[name].stock,
        order_id: null,
        created_at: this.#now(),
      });
    }
  }

  /** Frees what the order had when it expires or is cancelled. */
  reach(number: number, change: StatusOptions): void {
    this.#minute += 1;
    const id = orderId(number);
    const order = this.tables.orders.find((row) => row['id'] === id);
    if (order === undefined) throw new Error(`there is no order ${number}`);
    order.status = change.status;
    const author = change.key === undefined ? null : CUSTOMER;
    this.tables.order_events.push({
      order_id: id,
      status: change.status,
      reason: null,
      author,
      created_at: this.#now(),
      owner_id: change.owner,
      batch_no: change.no,
    });
    if (change.key !== undefined) {
      this.tables.keyed_effects.push({
        id: change.key,
        user_id: author,
        request_hash: '\\x01',
        stock_after: null,
        order_id: id,
        created_at: this.#now(),
      });
    }
    if (change.status === 'EXPIRED' || change.status === 'CANCELLED') this.#free(id, change);
    this.#batch(change, { aborted: false, orders: 0 });
  }

  abort(batch: { owner: number; no: number }): void {
    this.#batch(batch, { aborted: true, orders: 0 });
  }

  /** Given to an order of a batch that was rolled back. */
  skipSequence(name: ProductName): void {
    this.products[name].sequence += 1;
  }

  now(): string {
    this.#minute += 1;
    return this.#now();
  }

  #order(
    batch: BatchOptions,
    { order, sold }: { order: BatchOptions['orders'][number]; sold: Record<ProductName, number> },
  ): void {
    const id = orderId(this.tables.orders.length + 1);
    const lines = names().flatMap((name) => {
      const quantity = order[name];
      return quantity === undefined ? [] : [{ name, quantity }];
    });
    for (const { name, quantity } of lines) {
      sold[name] += quantity;
      this.products[name].sequence += 1;
      this.tables.order_items.push({
        order_id: id,
        product_id: PRODUCTS[name],
        quantity,
        unit_price: PRICES[name],
        sequence: this.products[name].sequence,
        name: `product ${name}`,
      });
    }
    this.tables.orders.push({
      id,
      user_id: CUSTOMER,
      request_hash: '\\x0123456789abcdef0123456789abcdef',
      owner_id: batch.owner,
      batch_no: batch.no,
      home_partition: Math.min(...lines.map(({ name }) => PARTITION_OF[name])),
      status: 'WAITING_PAYMENT',
      currency: 'USD',
      total: lines.reduce((sum, { name, quantity }) => sum + quantity * PRICES[name], 0),
      reference: null,
      metadata: null,
      created_at: this.#now(),
      expires_at: new Date(EXPIRES_AT).toISOString(),
    });
  }

  #free(order: string, batch: { owner: number; no: number }): void {
    for (const name of names()) {
      const line = this.tables.order_items.find(
        ({ order_id, product_id }) => order_id === order && product_id === PRODUCTS[name],
      );
      const delta = Number(line?.['quantity'] ?? 0);
      if (delta > 0) this.#move(name, { ...batch, delta, kind: 'freed' });
    }
  }

  #batch(
    { owner, no }: { owner: number; no: number },
    { aborted, orders }: { aborted: boolean; orders: number },
  ): void {
    const committed_at = this.#now();
    this.tables.commit_batches.push({ owner_id: owner, no, aborted, orders, committed_at });
  }

  #move(
    name: ProductName,
    move: { delta: number; kind: string; owner: number | null; no: number | null },
  ): void {
    const product = this.products[name];
    product.stock += move.delta;
    product.version += 1;
    this.tables.stock_ledger.push({
      product_id: PRODUCTS[name],
      stock_version: product.version,
      delta: move.delta,
      stock_after: product.stock,
      kind: move.kind,
      owner_id: move.owner,
      batch_no: move.no,
      reason: null,
      author: move.kind === 'change' ? MERCHANT : null,
      created_at: this.#now(),
    });
  }

  #now(): string {
    return new Date(STARTED_AT + this.#minute * 60_000).toISOString();
  }
}

function names(): readonly ProductName[] {
  return ['a', 'b', 'c'];
}

const INSERT_SHOP = /* sql */ `
  WITH merchant AS (
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'merchant', 'merchant@test', 'x', 'merchant', $2) RETURNING id
  )
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status, stock,
                        stock_version, sequence, version, created_at, updated_at)
  SELECT p.id, merchant.id, p.name, '', p.price, 'USD', 'active', p.stock,
         p.version, p.sequence, 1, $2, $2
    FROM merchant, json_to_recordset($3)
         AS p (id uuid, name text, price bigint, stock bigint, version bigint, sequence bigint)`;

const INSERT_OWNERS = /* sql */ `
  INSERT INTO owners (node, shard, started_at, fenced_at, fenced_by)
  VALUES ('first', 0, $1, $2, 'second'), ('second', 0, $2, NULL, NULL)`;

/** Into a database that has the schema and nothing else. */
export async function insertHistory(database: TestDatabase): Promise<void> {
  const history = new History();
  const startedAt = history.now();
  history.open('a', 10);
  history.open('b', 20);
  history.open('c', 0);
  history.sell({ owner: 1, no: 1, orders: [{ a: 1 }, { a: 2, b: 1 }] });
  history.sell({ owner: 1, no: 2, orders: [{ a: 1 }, { b: 3 }], duplicates: 1 });
  const fencedAt = history.now();
  history.change('c', { owner: 2, no: 1, delta: 50, key: KEYS.stockChange });
  history.skipSequence('a');
  history.abort({ owner: 2, no: 2 });
  history.sell({ owner: 2, no: 3, orders: [{ a: 1, b: 1, c: 1 }, { c: 5 }] });
  history.change('b', { owner: 2, no: 4, delta: -2 });
  history.sell({ owner: 2, no: 5, orders: [{ a: 5 }] });
  history.reach(4, { owner: 2, no: 6, status: 'EXPIRED' });
  history.reach(6, { owner: 2, no: 7, status: 'PAID' });
  history.reach(6, { owner: 2, no: 8, status: 'CANCELLED', key: KEYS.cancellation });
  for (const [n, status] of ['PAID', 'SHIPPING', 'COMPLETED'].entries()) {
    history.reach(3, { owner: 2, no: 9 + n, status });
  }

  await database.query(INSERT_OWNERS, [startedAt, fencedAt]);
  await database.query('UPDATE partitions SET owner_id = 2');
  await database.query(`UPDATE engine_settings SET hold_ttl_max = '200 years'`);
  await database.query('UPDATE expiry_watermarks SET expired_until = $1', [startedAt]);
  const products = names().map((name) => ({
    id: PRODUCTS[name],
    name: `product ${name}`,
    price: PRICES[name],
    ...history.products[name],
  }));
  await database.query(INSERT_SHOP, [MERCHANT, startedAt, JSON.stringify(products)]);
  for (const [table, rows] of Object.entries(history.tables)) {
    await database.query(
      `INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`,
      [JSON.stringify(rows)],
    );
  }
}
