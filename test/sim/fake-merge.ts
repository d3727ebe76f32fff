/**
 * What db/merge.sql does with a batch, in the same steps: all of it, or a Rejection and nothing.
 * Whether the batch may commit at all is not its business.
 */
import type {
  Batch,
  Committed,
  DecidedOrder,
  StatusChange,
  StoredEffect,
} from '../../src/domain/batch.ts';
import { partitionOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { FreedUnits, ProductState } from '../../src/domain/product.ts';
import type { EditProductCommand, PlaceCommand } from '../../src/domain/wire.ts';
import type { FakeShop } from './fake-shop.ts';

export interface OrderRow {
  readonly decided: DecidedOrder;
  readonly ownerId: OwnerId;
  status: OrderStatus;
  readonly shipped: Set<ProductId>;
}

export interface Rows {
  readonly products: Map<ProductId, ProductState>;
  readonly orders: Map<OrderId, OrderRow>;
  readonly keyedEffects: Map<string, StoredEffect>;
  readonly shop: FakeShop;
}

/** The CHECK of a product's stock, or (null) one id twice in a batch. */
export class Rejection extends Error {
  readonly id: ProductId | null;

  constructor(id: ProductId | null) {
    super(`rejected because of ${id}`);
    this.id = id;
  }
}

/** Whose product it is. */
export function merchantOf(id: ProductId): UserId {
  return `merchant ${partitionOf(id) % 2}` as UserId;
}

function isLive(status: OrderStatus): boolean {
  return status !== 'EXPIRED' && status !== 'CANCELLED';
}

/** The effect that an id is bound to. */
export function effectOf(rows: Rows, id: string): StoredEffect | undefined {
  const row = rows.orders.get(id as OrderId);
  if (row === undefined) return rows.keyedEffects.get(id);
  const { order } = row.decided;
  const { id: orderId, requestHash, lines } = row.decided.command;
  return { kind: 'order', id: orderId, requestHash, lines, order };
}

/** @throws Rejection */
export function mergeBatch(rows: Rows, batch: Batch): Committed {
  return new Merge(rows, batch).run();
}

class Merge {
  readonly #rows: Rows;
  readonly #batch: Batch;
  /** Products as this transaction sees and changes them. */
  readonly #products: Map<ProductId, ProductState>;

  constructor(rows: Rows, batch: Batch) {
    this.#rows = rows;
    this.#batch = batch;
    this.#products = new Map(rows.products);
  }

  run(): Committed {
    const { orders, stockChanges, statusChanges, edits } = this.#batch;
    const cartsChanged = orders.filter(({ command }) => this.#cartChanged(command));
    const wanted = orders.filter((decided) => !cartsChanged.includes(decided));
    const duplicates = this.#duplicates(wanted);
    const placed = wanted.filter(({ command }) => !duplicates.has(command.id));
    const changes = stockChanges.filter(({ id }) => !duplicates.has(id));
    const asked = statusChanges.filter(({ key }) => key === null || !duplicates.has(key.id));
    const stockAfter: Record<string, number> = {};
    for (const { id, productId, delta } of changes.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      stockAfter[id] = this.#supply(productId, delta).stock;
    }
    this.#sell(placed);
    // Nothing can fail from here on.
    const { keyedEffects } = this.#rows;
    const changed = this.#changeStatuses(asked);
    const freed = this.#free(changed);
    for (const { id, keyed, requestHash } of changes) {
      const available = stockAfter[id] ?? 0;
      if (keyed) keyedEffects.set(id, { kind: 'stock-change', id, requestHash, available });
    }
    for (const decided of placed) this.#insert(decided);
    for (const edit of edits) this.#edit(edit);
    for (const [id, row] of this.#products) this.#rows.products.set(id, row);
    const kept = asked.filter((change) => !changed.includes(change));
    return {
      duplicates: [...duplicates],
      stockAfter,
      unchanged: Object.fromEntries(
        kept.map(({ orderId }) => [orderId, this.#order(orderId).status]),
      ),
      cartsChanged: cartsChanged.map(({ command }) => command.id),
      freed,
    };
  }

  #cartChanged({ id, userId, cart }: PlaceCommand): boolean {
    if (cart === null) return false;
    const row = this.#rows.shop.carts.get(cart.id);
    if (row?.userId !== userId) return true;
    if (row.orderId !== null) return row.orderId !== id;
    return row.version !== cart.version;
  }

  /** Ids that are bound already; an order and the key that it came with go together. */
  #duplicates(orders: readonly DecidedOrder[]): ReadonlySet<string> {
    const claimed = new Set<string>();
    const duplicates = new Set<string>();
    const claim = (ids: readonly string[]): void => {
      for (const id of ids) {
        if (claimed.has(id)) throw new Rejection(null);
        claimed.add(id);
      }
      if (!ids.some((id) => effectOf(this.#rows, id) !== undefined)) return;
      for (const id of ids) duplicates.add(id);
    };
    for (const { command } of orders) {
      const key = command.cart?.key ?? null;
      claim(key === null ? [command.id] : [command.id, key.id]);
    }
    for (const { id, keyed } of this.#batch.stockChanges) if (keyed) claim([id]);
    for (const { key } of this.#batch.statusChanges) if (key !== null) claim([key.id]);
    const changing = new Set(this.#batch.statusChanges.map(({ orderId }) => orderId));
    if (changing.size < this.#batch.statusChanges.length) throw new Rejection(null);
    return duplicates;
  }

  #insert(decided: DecidedOrder): void {
    const { orders, keyedEffects, shop } = this.#rows;
    const { id, cart } = decided.command;
    const { ownerId } = this.#batch;
    orders.set(id, { decided, ownerId, status: 'WAITING_PAYMENT', shipped: new Set() });
    const row = cart === null ? undefined : shop.carts.get(cart.id);
    if (row !== undefined) row.orderId = id;
    // The reader tells it by its order.
    if (cart?.key) keyedEffects.set(cart.key.id, { kind: 'status-change', ...cart.key });
  }

  /** Those that took place. */
  #changeStatuses(asked: readonly StatusChange[]): readonly StatusChange[] {
    return asked.filter((change) => {
      const row = this.#order(change.orderId);
      const { from, to, detail, key } = change;
      const canChange = from.includes(row.status) && isLive(row.status);
      const shipped = canChange && detail?.kind === 'shipment' && ship(row, detail.merchantId);
      const takesPlace = canChange && this.#allows(change, row);
      if (takesPlace) row.status = to;
      if (takesPlace && detail?.kind === 'payment') {
        const payment = this.#rows.shop.payments.get(detail.paymentId);
        if (payment !== undefined) payment.status = 'SUCCEEDED';
      }
      if (takesPlace && to === 'CANCELLED') this.#refund(change.orderId);
      if (key !== null && (takesPlace || shipped)) {
        this.#rows.keyedEffects.set(key.id, { kind: 'status-change', ...key });
      }
      return takesPlace;
    });
  }

  #allows({ orderId, detail }: StatusChange, { decided, shipped }: OrderRow): boolean {
    if (detail === null) return true;
    if (detail.kind === 'shipment') return shipped.size === decided.command.lines.length;
    const payment = this.#rows.shop.payments.get(detail.paymentId);
    return payment?.orderId === orderId && payment.status === 'PENDING';
  }

  #refund(orderId: OrderId): void {
    for (const payment of this.#rows.shop.payments.values()) {
      if (payment.orderId === orderId && payment.status === 'SUCCEEDED') payment.refundDue = true;
    }
  }

  #order(id: OrderId): OrderRow {
    const row = this.#rows.orders.get(id);
    if (row === undefined) throw new Error(`a batch changes the unknown order ${id}`);
    return row;
  }

  /** All sales of a product in a batch are one update. */
  #sell(orders: readonly DecidedOrder[]): void {
    const sales = new Map<ProductId, { units: number; sequence: number }>();
    for (const { command, order, limited } of orders) {
      command.lines.forEach(({ productId, quantity }, i) => {
        const sale = sales.get(productId) ?? { units: 0, sequence: 0 };
        sale.units += quantity;
        sale.sequence = Math.max(sale.sequence, order.lines[i]?.sequence ?? 0);
        sales.set(productId, sale);
        // Nobody looks for limits that the owners did not know of.
        if (limited) this.#count(productId, command.userId, quantity);
      });
    }
    for (const [id, { units, sequence }] of sales) this.#move(id, -units, sequence);
  }

  #free(changed: readonly StatusChange[]): FreedUnits[] {
    const units = new Map<ProductId, Map<UserId, number>>();
    for (const { orderId, to } of changed) {
      if (isLive(to)) continue;
      const { lines, userId } = this.#order(orderId).decided.command;
      for (const { productId, quantity } of lines) {
        const customers = units.get(productId) ?? new Map<UserId, number>();
        customers.set(userId, (customers.get(userId) ?? 0) + quantity);
        units.set(productId, customers);
      }
    }
    return [...units].map(([productId, customers]) => {
      const all = [...customers].map(([userId, n]) => ({ userId, units: n }));
      for (const { userId, units: n } of all) this.#count(productId, userId, -n);
      const freed = all.reduce((sum, { units: n }) => sum + n, 0);
      const { stockVersion, perCustomerLimit } = this.#move(productId, freed);
      const told = perCustomerLimit === null ? [] : all;
      return { productId, units: freed, stockVersion, customers: told };
    });
  }

  /** What is sold under a limit is counted; a first limit counts what its customers have. */
  #edit({ productId, changes }: EditProductCommand): void {
    const row = this.#product(productId);
    const edited = { ...row, ...changes, version: row.version + 1 };
    const isLimited = edited.perCustomerLimit !== null;
    const wasLimited = row.perCustomerLimit !== null;
    const customerUnits = isLimited && !wasLimited ? this.#unitsOf(productId) : row.customerUnits;
    this.#products.set(productId, { ...edited, customerUnits: isLimited ? customerUnits : null });
  }

  #unitsOf(id: ProductId): ReadonlyMap<UserId, number> {
    const units = new Map<UserId, number>();
    for (const { decided, status } of this.#rows.orders.values()) {
      const { lines, userId } = decided.command;
      const line = lines.find(({ productId }) => productId === id);
      if (line !== undefined && isLive(status)) {
        units.set(userId, (units.get(userId) ?? 0) + line.quantity);
      }
    }
    return units;
  }

  #count(id: ProductId, userId: UserId, units: number): void {
    const row = this.#product(id);
    if (row.perCustomerLimit === null) return;
    const customerUnits = new Map(row.customerUnits);
    customerUnits.set(userId, (customerUnits.get(userId) ?? 0) + units);
    this.#products.set(id, { ...row, customerUnits });
  }

  #supply(id: ProductId, delta: number): ProductState {
    const moved = this.#move(id, delta);
    const supplied = { ...moved, supplied: moved.supplied + delta };
    this.#products.set(id, supplied);
    return supplied;
  }

  #move(id: ProductId, delta: number, sequence = 0): ProductState {
    const row = this.#product(id);
    const stock = row.stock + delta;
    if (stock < 0) throw new Rejection(id);
    const stockVersion = row.stockVersion + 1;
    const moved = { ...row, stock, stockVersion, sequence: Math.max(row.sequence, sequence) };
    this.#products.set(id, moved);
    return moved;
  }

  #product(id: ProductId): ProductState {
    const row = this.#products.get(id);
    if (row === undefined) throw new Error(`a batch holds the unknown product ${id}`);
    return row;
  }
}

/** Whether there was a line to be marked. */
function ship({ decided, shipped }: OrderRow, merchantId: UserId | null): boolean {
  const before = shipped.size;
  for (const { productId } of decided.command.lines) {
    if (merchantId === null || merchantOf(productId) === merchantId) shipped.add(productId);
  }
  return shipped.size > before;
}
