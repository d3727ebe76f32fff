/**
 * How fast a product sells: what was committed in each of the last seconds, in a ring.
 *
 * Rates are of seconds that are over, since the one that runs says nothing yet. I9: as many counters
 * as there are slots, whatever the clock does; one that is set back by more than a second starts the
 * ring anew.
 */
import type { Rates } from '../domain/inspection.ts';

/** A power of two above the longest window, 60 s, and the second that runs. */
const SLOTS = 64;
const LAST_SLOT = SLOTS - 1;

export class SaleRates {
  readonly #orders: number[] = Array.from({ length: SLOTS }, () => 0);
  readonly #units: number[] = Array.from({ length: SLOTS }, () => 0);
  /** The newest one in the ring, since the epoch. */
  #second = 0;

  /** An order with so many units was committed. `now`, here and below: milliseconds. */
  count(units: number, now: number): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#turnTo(second);
    const slot = this.#second & LAST_SLOT;
    this.#orders[slot] = (this.#orders[slot] ?? 0) + 1;
    this.#units[slot] = (this.#units[slot] ?? 0) + units;
  }

  at(now: number): Rates {
    return { s1: this.orders(1, now), s10: this.orders(10, now), s60: this.orders(60, now) };
  }

  /** Per second, over the last `seconds`: 60 at most, here and below. */
  orders(seconds: number, now: number): number {
    return this.#perSecond(this.#orders, seconds, now);
  }

  units(seconds: number, now: number): number {
    return this.#perSecond(this.#units, seconds, now);
  }

  #perSecond(counters: readonly number[], seconds: number, now: number): number {
    const second = Math.floor(now / 1000);
    // Most products are not being sold at the moment.
    if (second - this.#second > seconds) return 0;
    this.#turnTo(second);
    let sum = 0;
    for (let back = 1; back <= seconds; back += 1) {
      sum += counters[(this.#second - back) & LAST_SLOT] ?? 0;
    }
    return sum / seconds;
  }

  /** A clock that was set back by a second at most is waited for. */
  #turnTo(second: number): void {
    const ahead = second - this.#second;
    if (ahead === 0 || ahead === -1) return;
    if (ahead < 0 || ahead >= SLOTS) {
      this.#orders.fill(0);
      this.#units.fill(0);
    } else {
      for (let passed = this.#second + 1; passed <= second; passed += 1) {
        this.#orders[passed & LAST_SLOT] = 0;
        this.#units[passed & LAST_SLOT] = 0;
      }
    }
    this.#second = second;
  }
}
