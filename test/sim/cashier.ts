/**
 * Payments and parcels: attempts to pay that succeed, fail, are confirmed twice, and race the time
 * in which an order must be paid; merchants who ship their lines.
 */
import type { PaymentId } from '../../src/domain/ids.ts';
import type { PlaceCommand } from '../../src/domain/wire.ts';
import { merchantOf } from './fake-merge.ts';
import type { Market } from './market.ts';

export class Cashier {
  readonly #market: Market;
  readonly #paid: PlaceCommand[] = [];

  constructor(market: Market) {
    this.#market = market;
  }

  /** The customer may pay, soon or in the last moment. */
  expect(order: PlaceCommand, expiresAt: number): void {
    const { clock, dice, isOpen, postgres } = this.#market;
    if (!isOpen() || dice.chance(0.5)) return;
    const startAt = dice.chance(0.5) ? clock.now + dice.int(0, 300) : expiresAt - dice.int(0, 150);
    clock.at(startAt, () => {
      const payment = postgres.shop.startPayment(order.id);
      if (payment === null) return;
      const confirmations = dice.chance(0.2) ? 2 : 1;
      for (let i = 0; i < confirmations; i += 1) {
        clock.after(dice.int(0, 150), () => this.#confirm(order, payment));
      }
      if (!dice.chance(0.2)) return;
      clock.after(dice.int(0, 200), () => postgres.shop.failPayment(payment, { paid: false }));
    });
  }

  /** Some merchant ships what is paid, whole or in part, or says that all has arrived. */
  ship(): void {
    const { dice } = this.#market;
    if (this.#paid.length === 0) return;
    const order = dice.pick(this.#paid.slice(-5));
    const author = merchantOf(dice.pick(order.lines).productId);
    const merchantId = dice.chance(0.3) ? null : author;
    const shipment = { kind: 'shipment', merchantId, tracking: null } as const;
    const [to, detail] = dice.chance(0.3)
      ? (['COMPLETED', null] as const)
      : (['SHIPPING', shipment] as const);
    this.#market.send({ kind: 'change-status', author, order, to, detail }, null, () => undefined);
  }

  /** Asked until there is an answer, as the job does. */
  #confirm(order: PlaceCommand, paymentId: PaymentId): void {
    const { clock, dice, postgres } = this.#market;
    const detail = { kind: 'payment', paymentId } as const;
    const asked = { kind: 'change-status', author: null, order, to: 'PAID', detail } as const;
    this.#market.send(asked, null, (outcome) => {
      if (outcome.type === 'unknown' || outcome.type === 'shed') {
        clock.after(dice.int(1, 200), () => this.#confirm(order, paymentId));
      } else if (outcome.type === 'status-changed') {
        this.#paid.push(order);
      } else {
        // It succeeded before, or the money comes for an order that cannot be paid any more.
        postgres.shop.failPayment(paymentId, { paid: true });
      }
    });
  }
}
