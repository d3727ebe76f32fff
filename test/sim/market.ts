/** Where everybody who asks for something meets. */
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { Command } from '../../src/domain/wire.ts';
import { commandOf } from './asked.ts';
import type { Asked } from './asked.ts';
import type { FakePostgres } from './fake-postgres.ts';
import type { FakeRouter, Outcome } from './fake-router.ts';
import type { Dice, VirtualClock } from './virtual-clock.ts';

/** Few, so that they reach their limits. */
export const CUSTOMERS = ['Ada' as UserId, 'Ben' as UserId, 'Cleo' as UserId] as const;

/** A product id in partition `n`. */
export function productId(n: number): ProductId {
  return `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ProductId;
}

interface MarketParts {
  readonly clock: VirtualClock;
  readonly dice: Dice;
  readonly router: FakeRouter;
  readonly postgres: FakePostgres;
  /** Nobody asks for anything new once the market is closed. */
  isOpen(this: void): boolean;
  /** The last one does not exist. */
  readonly products: readonly ProductId[];
}

export class Market {
  readonly clock: VirtualClock;
  readonly dice: Dice;
  readonly postgres: FakePostgres;
  readonly isOpen: () => boolean;
  readonly products: readonly ProductId[];
  readonly #router: FakeRouter;
  #lastFresh = 0;

  constructor(parts: MarketParts) {
    this.clock = parts.clock;
    this.dice = parts.dice;
    this.postgres = parts.postgres;
    this.isOpen = parts.isOpen;
    this.products = parts.products;
    this.#router = parts.router;
  }

  /** `key`: of the customer's Idempotency-Key, or null. */
  send(asked: Asked, key: number | null, done: (outcome: Outcome, command: Command) => void): void {
    this.#lastFresh += 1;
    const command = commandOf(asked, { key, fresh: this.#lastFresh, now: this.clock.now });
    this.#router.send(command, (outcome) => done(outcome, command));
  }

  /** While the market is open, about every `meanMs`. */
  nowAndThen(meanMs: number, run: () => void): void {
    this.clock.after(this.dice.int(1, 2 * meanMs), () => {
      if (!this.isOpen()) return;
      run();
      this.nowAndThen(meanMs, run);
    });
  }

  /** One that exists. */
  product(): ProductId {
    return this.dice.pick(this.products.slice(0, -1));
  }
}
