import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SaleRates } from '../../src/actors/sale-rates.ts';
import { START_MS } from './shard-harness.ts';

interface Sale {
  readonly at: number;
  readonly units: number;
}

const sales = fc.array(
  fc.record({
    // Mostly within a second, now and then beyond the whole ring.
    afterMs: fc.oneof(
      { weight: 6, arbitrary: fc.nat(700) },
      { weight: 2, arbitrary: fc.nat(15_000) },
      { weight: 1, arbitrary: fc.nat(200_000) },
    ),
    units: fc.integer({ min: 1, max: 1_000_000 }),
  }),
  { maxLength: 60, size: 'max' },
);

/** Of the seconds that are over. */
function naive(all: readonly Sale[], seconds: number, now: number): readonly Sale[] {
  const end = Math.floor(now / 1000);
  return all.filter(({ at }) => {
    const second = Math.floor(at / 1000);
    return second >= end - seconds && second < end;
  });
}

describe('the rates of a product', () => {
  it('are those of the last seconds that are over, whenever they are asked for', () => {
    fc.assert(
      fc.property(sales, fc.nat(90_000), (steps, lookAfterMs) => {
        const rates = new SaleRates();
        const all: Sale[] = [];
        let now = START_MS;
        for (const { afterMs, units } of steps) {
          now += afterMs;
          rates.count(units, now);
          all.push({ at: now, units });
        }
        now += lookAfterMs;
        expect(rates.at(now)).toEqual({
          s1: naive(all, 1, now).length,
          s10: naive(all, 10, now).length / 10,
          s60: naive(all, 60, now).length / 60,
        });
        const sold = naive(all, 10, now).reduce((sum, { units }) => sum + units, 0);
        expect(rates.units(10, now)).toBe(sold / 10);
      }),
    );
  });

  it('start anew with a clock that is set back, and say nothing wrong of before (I9)', () => {
    const rates = new SaleRates();
    for (let n = 0; n < 100; n += 1) rates.count(1, START_MS + n * 100);
    const before = START_MS - 3_600_000;
    rates.count(1, before);
    expect(rates.at(before)).toEqual({ s1: 0, s10: 0, s60: 0 });
    rates.count(1, before + 1000);
    expect(rates.at(before + 2000)).toEqual({ s1: 1, s10: 0.2, s60: 2 / 60 });
    // It is put right again.
    rates.count(1, START_MS);
    expect(rates.at(START_MS + 1000)).toEqual({ s1: 1, s10: 0.1, s60: 1 / 60 });
  });

  it('survive a clock that is set back by less than a second', () => {
    const rates = new SaleRates();
    rates.count(1, START_MS);
    rates.count(1, START_MS - 1);
    expect(rates.at(START_MS - 1).s1).toBe(0);
    expect(rates.at(START_MS + 1000).s1).toBe(2);
  });
});
