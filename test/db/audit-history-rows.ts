/** The rows of a history, written without any code of the engine; see audit-history.ts. */

export const MERCHANT = '10000000-0000-4000-8000-000000000001';
export const CUSTOMER = '20000000-0000-4000-8000-000000000002';
/** Their partitions are 10, 32 and 255: a is the lowest. */
export const PRODUCTS = {
  a: 'a0000000-0000-4000-8000-00000000000a',
  b: 'b0000000-0000-4000-8000-000000000020',
  c: 'c0000000-0000-4000-8000-0000000000ff',
} as const;
export type ProductName = keyof typeof PRODUCTS;

const PARTITION_OF = { a: 10, b: 32, c: 255 } as const;
const STARTED_AT = Date.UTC(2026, 0, 1);
/** Of every order, and so far away that no audit comes after it. */
const EXPIRES_AT = Date.UTC(2200, 0, 1);

export function orderId(number: number): string {
  return `40000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

export function paymentId(order: number, attempt: number): string {
  return `50000000-0000-4000-8000-${String(order * 100 + attempt).padStart(12, '0')}`;
}

export function cartId(number: number): string {
  return `60000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

type Value =
  string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
type Row = Record<string, Value>;

interface ProductState {
  stock: number;
  supplied: number;
  version: number;
  sequence: number;
  price: number;
  limit: number | null;
  edits: number;
  startsAt: string | null;
}

interface BatchName {
  readonly owner: number;
  readonly no: number;
}

type Lines = Partial<Record<ProductName, number>>;

interface SaleOptions extends BatchName {
  /** One entry per order: units by product, in the order of the lines. */
  readonly orders: readonly Lines[];
  /** Orders that were sent with the batch and bound already. */
  readonly duplicates?: number;
  /** The key of a sale of one order, which is checked out of a cart of its lines. */
  readonly checkoutKey?: string;
}

interface StatusOptions extends BatchName {
  readonly status: string;
  readonly key?: string;
}

/** Of a merchant: a limit, or a price and when the sale starts. */
interface EditOptions extends BatchName {
  readonly limit?: number | null;
  readonly price?: number;
  readonly startsAt?: number;
}

function newProduct(price: number): ProductState {
  const unsold = { stock: 0, supplied: 0, version: 0, sequence: 0 };
  return { ...unsold, price, limit: null, edits: 0, startsAt: null };
}

export function names(): readonly ProductName[] {
  return ['a', 'b', 'c'];
}

export class History {
  /** In the order in which they are inserted. */
  readonly tables = {
    commit_batches: [] as Row[],
    orders: [] as Row[],
    order_items: [] as Row[],
    order_events: [] as Row[],
    stock_ledger: [] as Row[],
    keyed_effects: [] as Row[],
    payments: [] as Row[],
    carts: [] as Row[],
    cart_items: [] as Row[],
    product_edits: [] as Row[],
    customer_units: [] as Row[],
  };
  readonly products: Record<ProductName, ProductState> = {
    a: newProduct(1999),
    b: newProduct(250),
    c: newProduct(0),
  };
  #minute = 0;

  open(name: ProductName, units: number): void {
    this.#move(name, { delta: units, kind: 'opening', owner: null, no: null });
  }

  sell(batch: SaleOptions): void {
    this.#minute += 1;
    const sold: Record<ProductName, number> = { a: 0, b: 0, c: 0 };
    for (const order of batch.orders) this.#order(batch, { order, sold });
    for (const name of names()) {
      if (sold[name] > 0) this.#move(name, { ...batch, delta: -sold[name], kind: 'sale' });
    }
    const [cart] = batch.orders;
    if (batch.checkoutKey !== undefined && cart) this.#close(cart, batch.checkoutKey);
    const sent = batch.orders.length + (batch.duplicates ?? 0);
    this.#batch(batch, { aborted: false, orders: sent });
  }

  change(name: ProductName, change: BatchName & { delta: number; key?: string }): void {
    this.#minute += 1;
    this.#move(name, { ...change, kind: 'change' });
    this.#batch(change, { aborted: false, orders: 0 });
    const { key } = change;
    if (key !== undefined) {
      this.#bind(key, { user_id: MERCHANT, stock_after: this.products[name].stock });
    }
  }

  /** Frees what the order had when it expires or is cancelled; all of its lines are shipped. */
  reach(number: number, change: StatusOptions): void {
    this.#minute += 1;
    const id = orderId(number);
    const { status, key } = change;
    this.#orderOf(number)['status'] = status;
    const author = key === undefined ? null : CUSTOMER;
    this.tables.order_events.push({
      order_id: id,
      status,
      reason: null,
      author,
      created_at: this.#now(),
      owner_id: change.owner,
      batch_no: change.no,
    });
    if (key !== undefined) this.#bind(key, { user_id: CUSTOMER, order_id: id });
    if (status === 'EXPIRED' || status === 'CANCELLED') this.#free(number, change);
    if (status === 'SHIPPING') for (const line of this.#linesOf(id)) this.#ship(line);
    this.#batch(change, { aborted: false, orders: 0 });
  }

  /** One line of several: the order stays as it is. */
  shipLine(number: number, name: ProductName, shipment: BatchName & { key: string }): void {
    this.#minute += 1;
    const id = orderId(number);
    const line = this.#linesOf(id).find((row) => row['product_id'] === PRODUCTS[name]);
    if (line === undefined) throw new Error(`order ${number} has no line of ${name}`);
    this.#ship(line);
    this.#bind(shipment.key, { user_id: MERCHANT, order_id: id });
    this.#batch(shipment, { aborted: false, orders: 0 });
  }

  pay(order: number, attempt: number, payment: { status: string; refundDue?: boolean }): void {
    const { status, refundDue = false } = payment;
    const isJob = status === 'PENDING' || refundDue;
    this.tables.payments.push({
      id: paymentId(order, attempt),
      order_id: orderId(order),
      attempt,
      status,
      scenario: 'success',
      delay_ms: 0,
      refund_due: refundDue,
      tries: 0,
      due_at: isJob ? this.#now() : null,
      leased: false,
      created_at: this.#now(),
      updated_at: this.#now(),
    });
  }

  edit(name: ProductName, { limit, price, startsAt, owner, no }: EditOptions): void {
    this.#minute += 1;
    const product = this.products[name];
    const changes: Record<string, Value> = {};
    if (limit !== undefined) changes['perCustomerLimit'] = product.limit = limit;
    if (price !== undefined) {
      product.price = price;
      changes['price'] = { amount: price, currency: 'USD' };
    }
    if (startsAt !== undefined) {
      product.startsAt = new Date(startsAt).toISOString();
      changes['saleStartsAt'] = startsAt;
    }
    product.edits += 1;
    this.tables.product_edits.push({
      product_id: PRODUCTS[name],
      version: 1 + product.edits,
      changes,
      reason: null,
      author: MERCHANT,
      created_at: this.#now(),
      owner_id: owner,
      batch_no: no,
    });
    this.#batch({ owner, no }, { aborted: false, orders: 0 });
  }

  /** Of the one customer. */
  countUnits(name: ProductName, units: number): void {
    this.tables.customer_units.push({ product_id: PRODUCTS[name], user_id: CUSTOMER, units });
  }

  openCart(lines: Lines): void {
    this.#cart(lines, null);
  }

  /** The key of a command that no batch carries. */
  answer(key: string): void {
    this.#bind(key, { user_id: CUSTOMER, result: { any: 'answer' } });
  }

  abort(batch: BatchName): void {
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
    batch: SaleOptions,
    { order, sold }: { order: Lines; sold: Record<ProductName, number> },
  ): void {
    const id = orderId(this.tables.orders.length + 1);
    const lines = linesOf(order);
    for (const { name, quantity } of lines) {
      sold[name] += quantity;
      const product = this.products[name];
      product.sequence += 1;
      this.tables.order_items.push({
        order_id: id,
        product_id: PRODUCTS[name],
        quantity,
        unit_price: product.price,
        sequence: product.sequence,
        name: `product ${name}`,
        shipped_at: null,
        tracking: null,
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
      total: lines.reduce((sum, it) => sum + it.quantity * this.products[it.name].price, 0),
      reference: null,
      metadata: null,
      created_at: this.#now(),
      expires_at: new Date(EXPIRES_AT).toISOString(),
    });
  }

  /** A cart of the last order's lines, which names it. */
  #close(lines: Lines, key: string): void {
    const order = orderId(this.tables.orders.length);
    this.#cart(lines, order);
    this.#bind(key, { user_id: CUSTOMER, order_id: order });
  }

  #cart(lines: Lines, order: string | null): void {
    const id = cartId(this.tables.carts.length + 1);
    this.tables.carts.push({
      id,
      user_id: CUSTOMER,
      status: order === null ? 'open' : 'ordered',
      version: 3,
      order_id: order,
      created_at: this.#now(),
      expires_at: this.#now(),
    });
    for (const { name, quantity } of linesOf(lines)) {
      const unit_price = this.products[name].price;
      const product_id = PRODUCTS[name];
      this.tables.cart_items.push({
        cart_id: id,
        product_id,
        quantity,
        unit_price,
        currency: 'USD',
      });
    }
  }

  #bind(key: string, bound: Row): void {
    const unbound = { stock_after: null, order_id: null, result: null };
    const created_at = this.#now();
    this.tables.keyed_effects.push({ id: key, request_hash: '\\x00', created_at, ...unbound, ...bound }); // prettier-ignore
  }

  #ship(line: Row): void {
    line['shipped_at'] = this.#now();
    line['tracking'] = 'a number';
  }

  #orderOf(number: number): Row {
    const order = this.tables.orders.find((row) => row['id'] === orderId(number));
    if (order === undefined) throw new Error(`there is no order ${number}`);
    return order;
  }

  #linesOf(id: string): readonly Row[] {
    return this.tables.order_items.filter((row) => row['order_id'] === id);
  }

  #free(number: number, batch: BatchName): void {
    for (const name of names()) {
      const lines = this.#linesOf(orderId(number));
      const line = lines.find((row) => row['product_id'] === PRODUCTS[name]);
      const delta = Number(line?.['quantity'] ?? 0);
      if (delta > 0) this.#move(name, { ...batch, delta, kind: 'freed' });
    }
  }

  #batch(batch: BatchName, { aborted, orders }: { aborted: boolean; orders: number }): void {
    const { owner, no } = batch;
    const committed_at = this.#now();
    this.tables.commit_batches.push({
      owner_id: owner,
      no,
      aborted,
      orders,
      committed_at,
      ...this.#toldBy(batch),
      pending: false,
    });
  }

  #toldBy({ owner, no }: BatchName): Row {
    const ofBatch = (row: Row): boolean => row['owner_id'] === owner && row['batch_no'] === no;
    const { orders, order_events, stock_ledger } = this.tables;
    const ids = (rows: readonly Row[], column: string): readonly Value[] =>
      rows.filter(ofBatch).map((row) => row[column] ?? null);
    const soldOut = stock_ledger.filter((row) => row['stock_after'] === 0);
    const restocked = stock_ledger.filter((row) => row['stock_after'] === row['delta']);
    return {
      order_ids: ids(orders, 'id'),
      changed_ids: ids(order_events, 'order_id'),
      sold_out: ids(soldOut, 'product_id'),
      restocked: ids(restocked, 'product_id'),
    };
  }

  #move(
    name: ProductName,
    move: { delta: number; kind: string; owner: number | null; no: number | null },
  ): void {
    const product = this.products[name];
    product.stock += move.delta;
    if (move.kind === 'opening' || move.kind === 'change') product.supplied += move.delta;
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

function linesOf(order: Lines): readonly { name: ProductName; quantity: number }[] {
  return names().flatMap((name) => {
    const quantity = order[name];
    return quantity === undefined ? [] : [{ name, quantity }];
  });
}
