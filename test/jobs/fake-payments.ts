/** Payments, orders and their owner in memory, with the states that the statements name. */
import { AppError } from '../../src/domain/errors.ts';
import { parseOrderId } from '../../src/domain/ids.ts';
import type { OrderId, PaymentId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { ChangeStatusOutcome } from '../../src/domain/outcome.ts';
import type { Payment, PaymentStore, PayOrder, PayOutcome } from '../../src/domain/payment.ts';
import type { ChangeStatus, OrderGateway } from '../../src/domain/ports.ts';

const LEASE_MS = 30_000;

interface Row extends Payment {
  readonly dueAt: number | null;
  readonly leased: boolean;
}

function idOf<T>(parse: (text: string) => T | undefined, n: number): T {
  const id = parse(`40000000-0000-4000-8000-${String(n).padStart(12, '0')}`);
  if (id === undefined) throw new Error('not an id');
  return id;
}

export const orderId = (n: number): OrderId => idOf(parseOrderId, n);
export const paymentId = (n: number): PaymentId => idOf((text) => text as PaymentId, n);

/** Numbers stand for ids. */
export class FakeShop implements PaymentStore, Pick<OrderGateway, 'changeStatus'> {
  readonly #rows = new Map<PaymentId, Row>();
  readonly #orders = new Map<OrderId, OrderStatus>();
  readonly clock: () => number;
  readonly commands: ChangeStatus[] = [];
  /** What the next commands are answered instead of being decided. */
  readonly sheds: ChangeStatusOutcome[] = [];
  /** Runs before the owner decides. */
  beforeDecision: () => void = () => {};
  isAway = false;

  constructor(clock: () => number) {
    this.clock = clock;
  }

  add(n: number, changes: Partial<Row> = {}): PaymentId {
    const id = paymentId(n);
    const order = orderId(n);
    if (!this.#orders.has(order)) this.#orders.set(order, 'WAITING_PAYMENT');
    this.#rows.set(id, {
      id,
      orderId: order,
      productIds: [],
      amount: 1999,
      currency: 'USD',
      attempt: 1,
      status: 'PENDING',
      scenario: 'success',
      delayMs: 0,
      refundDue: false,
      tries: 0,
      createdAt: this.clock(),
      dueAt: this.clock(),
      leased: false,
      ...changes,
    });
    return id;
  }

  setOrder(n: number, status: OrderStatus): void {
    this.#orders.set(orderId(n), status);
    if (status !== 'CANCELLED') return;
    for (const row of this.#rows.values()) {
      if (row.orderId !== orderId(n) || row.status !== 'SUCCEEDED') continue;
      const due = { refundDue: true, dueAt: this.clock(), leased: false, tries: 0 };
      this.#rows.set(row.id, { ...row, ...due });
    }
  }

  orderStatus(n: number): OrderStatus | undefined {
    return this.#orders.get(orderId(n));
  }

  /** `PENDING`, with `due` when there is a job, and `refund` when money is to go back. */
  stateOf(n: number): string {
    const row = this.#rows.get(paymentId(n));
    if (row === undefined) return 'none';
    return [row.status, row.refundDue && 'refund', row.dueAt !== null && 'due']
      .filter((part) => part !== false)
      .join(' ');
  }

  row(n: number): Payment | undefined {
    return this.#rows.get(paymentId(n));
  }

  async changeStatus(command: ChangeStatus): Promise<ChangeStatusOutcome> {
    this.commands.push(command);
    this.beforeDecision();
    const shed = this.sheds.shift();
    if (shed !== undefined) return shed;
    const status = this.#orders.get(command.orderId);
    const { detail } = command;
    if (status === undefined || detail?.kind !== 'payment') throw new Error('a wrong command');
    if (status === command.to) return { type: 'changed', replayed: false };
    const row = this.#rows.get(detail.paymentId);
    if (!command.from.includes(status) || row?.status !== 'PENDING') {
      return { type: 'not-changeable', status };
    }
    this.#orders.set(command.orderId, command.to);
    this.#rows.set(row.id, { ...row, status: 'SUCCEEDED', dueAt: null, leased: false });
    return { type: 'changed', replayed: false };
  }

  async pay(_request: PayOrder): Promise<PayOutcome> {
    const id = this.add(1);
    const payment = { id, status: 'PENDING', attempt: 1 } as const;
    return { type: 'started', payment, replayed: false };
  }

  async findPayment(id: PaymentId): Promise<Payment | undefined> {
    this.#assertThere();
    return this.#rows.get(id);
  }

  async lease(max: number): Promise<readonly Payment[]> {
    this.#assertThere();
    const now = this.clock();
    const due = [...this.#rows.values()].filter(({ dueAt }) => dueAt !== null && dueAt <= now);
    return due.slice(0, max).map((row) => {
      const leased = { ...row, tries: row.tries + 1, dueAt: now + LEASE_MS, leased: true };
      this.#rows.set(row.id, leased);
      return leased;
    });
  }

  async reclaim(): Promise<void> {
    this.#assertThere();
    for (const row of this.#rows.values()) {
      if (row.leased) this.#rows.set(row.id, { ...row, dueAt: this.clock(), leased: false });
    }
  }

  async fail(id: PaymentId): Promise<void> {
    this.#change(id, (row) =>
      row.status === 'PENDING' && !row.refundDue ? { status: 'FAILED' } : null,
    );
  }

  async requireRefund(id: PaymentId): Promise<void> {
    this.#change(id, (row) =>
      (row.status === 'PENDING' || row.status === 'FAILED') && !row.refundDue
        ? { refundDue: true, dueAt: this.clock(), leased: false, tries: 0 }
        : null,
    );
  }

  async markRefunded(id: PaymentId): Promise<void> {
    this.#change(id, (row) =>
      row.refundDue ? { status: 'REFUNDED', refundDue: false, dueAt: null, leased: false } : null,
    );
  }

  async postpone(id: PaymentId, dueAt: number): Promise<void> {
    this.#change(id, (row) => (row.leased ? { dueAt, leased: false } : null));
  }

  async settle(id: PaymentId): Promise<void> {
    this.#change(id, (row) =>
      row.leased && row.status !== 'PENDING' && !row.refundDue
        ? { dueAt: null, leased: false }
        : null,
    );
  }

  #change(id: PaymentId, change: (row: Row) => Partial<Row> | null): void {
    this.#assertThere();
    const row = this.#rows.get(id);
    if (row !== undefined) this.#rows.set(id, { ...row, ...change(row) });
  }

  #assertThere(): void {
    if (this.isAway) throw new AppError('database-unavailable');
  }
}
