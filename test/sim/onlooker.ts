/**
 * An operator who looks at the shards all the while: whenever nothing is under way anywhere, what
 * they say they hold and sold must be what PostgreSQL has.
 */
import type { ProductId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import { fail } from './fail.ts';
import type { FakePostgres } from './fake-postgres.ts';
import type { FakeSupervisor } from './fake-supervisor.ts';
import type { VirtualClock } from './virtual-clock.ts';

const LOOK_MS = 150;
/** Deadlines are counted by the second. */
const ROUNDING_MS = 1000;

interface Held {
  units: number;
  readonly expiries: number[];
}

export class Onlooker {
  readonly seen: Record<string, number> = {};
  readonly #clock: VirtualClock;
  readonly #postgres: FakePostgres;
  readonly #supervisor: FakeSupervisor;
  readonly #products: readonly ProductId[];

  constructor(parts: {
    readonly clock: VirtualClock;
    readonly postgres: FakePostgres;
    readonly supervisor: FakeSupervisor;
    readonly products: readonly ProductId[];
  }) {
    this.#clock = parts.clock;
    this.#postgres = parts.postgres;
    this.#supervisor = parts.supervisor;
    this.#products = parts.products;
    this.#lookAgain();
  }

  #lookAgain(): void {
    this.#clock.after(LOOK_MS, () => {
      if (this.#isQuiet) this.#look();
      this.#lookAgain();
    });
  }

  get #isQuiet(): boolean {
    const { serving, isQuiet } = this.#supervisor;
    if (!isQuiet) return false;
    // A batch may stay open for company.
    return serving.every(({ inspection }) => inspection.part(this.#clock.now).decided === 0);
  }

  #look(): void {
    this.#count('quiet looks');
    const [held, live] = [new Map<ProductId, Held>(), new Map<ProductId, number>()];
    for (const { decided, status } of this.#postgres.orders.values()) {
      for (const { productId, quantity } of decided.command.lines) {
        if (isLive(status)) live.set(productId, (live.get(productId) ?? 0) + quantity);
        if (status !== 'WAITING_PAYMENT') continue;
        const of = held.get(productId) ?? { units: 0, expiries: [] };
        of.units += quantity;
        of.expiries.push(decided.order.expiresAt);
        held.set(productId, of);
      }
    }
    this.#checkLive(live);
    this.#checkHeld(held);
  }

  #checkLive(live: ReadonlyMap<ProductId, number>): void {
    const { now } = this.#clock;
    for (const { inspection } of this.#supervisor.serving) {
      for (const part of inspection.actors({ sort: 'rate', limit: Infinity }, now)) {
        const { productId, name, decided, committing, mailbox } = part;
        if (decided + committing + mailbox.depth > 0) fail('I10', `${productId} is not quiet`);
        if (name === null) continue;
        const expected = live.get(productId) ?? 0;
        if (part.live !== expected) fail('I10', `${productId}: ${part.live} of ${expected} live`);
        if (expected > 0) this.#count('live units seen');
      }
    }
  }

  /** Unless a shard says that it does not know yet. */
  #checkHeld(expected: ReadonlyMap<ProductId, Held>): void {
    const { now } = this.#clock;
    const parts = this.#supervisor.serving.map(({ inspection }) => inspection);
    const unpaid = parts.map((inspection) => inspection.part(now).unpaid);
    if (unpaid.includes(null)) {
      this.#count('holds unknown');
      return;
    }
    for (const id of this.#products) {
      const { units, expiries } = expected.get(id) ?? { units: 0, expiries: [] };
      const told = parts.map((inspection) => inspection.held([id], now)?.get(id));
      const sum = (of: 'units' | 'lapsing10s' | 'lapsing60s'): number =>
        told.reduce((total, held) => total + (held?.[of] ?? 0), 0);
      if (sum('units') !== units) fail('I10', `${id}: ${sum('units')} of ${units} units held`);
      if (units > 0) this.#count('held units seen');
      for (const [of, ms] of [
        ['lapsing10s', 10_000],
        ['lapsing60s', 60_000],
      ] as const) {
        // prettier-ignore
        const least = expiries.filter((at) => at < now + ms).length;
        const most = expiries.filter((at) => at < now + ms + ROUNDING_MS).length;
        if (sum(of) < least || sum(of) > most) fail('I10', `${id}: ${of} is ${sum(of)}`);
      }
    }
    const waiting = [...this.#postgres.orders.values()].filter(
      ({ status }) => status === 'WAITING_PAYMENT',
    ).length;
    const known = unpaid.reduce<number>((total, orders) => total + (orders ?? 0), 0);
    if (known !== waiting) fail('I10', `${known} of ${waiting} unpaid orders`);
  }

  #count(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }
}

function isLive(status: OrderStatus): boolean {
  return status !== 'EXPIRED' && status !== 'CANCELLED';
}
