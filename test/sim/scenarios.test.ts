import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { FakePostgres } from './fake-postgres.ts';
import type { OrderId, OwnerId, PaymentId, ProductId } from '../../src/domain/ids.ts';
import type { FilledCart } from './scenario-commands.ts';
import { play } from './scenario-stage.ts';
import type { ScenarioDriver, Sessions } from './scenario-stage.ts';
import { SCENARIOS, SHARDS } from './scenarios.ts';
import type { Fault } from './scenarios.ts';

class FakeDriver implements ScenarioDriver {
  #postgres = new FakePostgres(SHARDS, []);
  #fault: Fault | null = null;
  #isAway = false;

  async begin(products: ReadonlyMap<ProductId, number>): Promise<void> {
    const rows = [...products].map(([id, stock]) => ({
      id,
      name: id,
      price: { amount: 1999, currency: 'USD' },
      status: 'active' as const,
      saleStartsAt: null,
      saleEndsAt: null,
      perCustomerLimit: null,
      customerUnits: null,
      version: 1,
      stock,
      supplied: stock,
      stockVersion: 1,
      sequence: 0,
    }));
    this.#postgres = new FakePostgres(SHARDS, rows);
  }

  async takeOver(
    shard: number,
    former: OwnerId | null,
  ): Promise<{ readonly ownerId: OwnerId; readonly sessions: Sessions }> {
    const postgres = this.#postgres;
    const sessions: Sessions = {
      commit: async (batch) => {
        // The answer is never there before the stage has taken its next step.
        await setImmediate();
        if (this.#isAway) return { type: 'aborted', cause: { type: 'passing' } };
        const fault = this.#fault;
        this.#fault = null;
        if (fault === 'deadlock') return { type: 'aborted', cause: { type: 'passing' } };
        if (fault === 'lost-before' || fault === 'statement-timeout') return { type: 'unknown' };
        const end = postgres.merge(batch);
        return fault === 'lost-after' ? { type: 'unknown' } : end;
      },
      resolve: async (name) => postgres.resolve(name),
      products: async (ids) => postgres.products(ids),
      effects: async (ids) => postgres.effects(ids),
      freedBy: async (home) => postgres.freedBy(home),
      expiring: async ({ after, max }) => postgres.expiring({ shard, after, max }),
      moveWatermark: async ({ time }) => postgres.expiredUntil(shard, time),
      close: async () => undefined,
    };
    return { ownerId: postgres.takeOver(former), sessions };
  }

  async harm(fault: Fault): Promise<void> {
    this.#fault = fault;
  }

  async goAway(): Promise<void> {
    this.#isAway = true;
  }

  async comeBack(): Promise<void> {
    this.#isAway = false;
  }

  async fill({ id, userId, version, lines }: FilledCart): Promise<void> {
    this.#postgres.shop.carts.set(id, { userId, version, lines, orderId: null });
  }

  async startPayment(payment: {
    readonly orderId: OrderId;
    readonly paymentId: PaymentId;
  }): Promise<void> {
    const { orderId, paymentId } = payment;
    const row = { orderId, status: 'PENDING' as const, refundDue: false };
    this.#postgres.shop.payments.set(paymentId, row);
  }

  async lower(product: ProductId, units: number): Promise<void> {
    this.#postgres.lowerStock(product, units);
  }

  async fence(owner: OwnerId): Promise<void> {
    this.#postgres.fence(owner);
  }

  async stockOf(product: ProductId): Promise<number> {
    return this.#postgres.products([product])[0]?.stock ?? 0;
  }
}

it.each(SCENARIOS)('$name', async (scenario) => {
  const { answers, stockAfter } = scenario;
  expect(await play(scenario, new FakeDriver())).toEqual({ answers, stockAfter });
});
