import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import type { WindowEntry } from '../../src/actors/idempotency-window.ts';
import { parseOrderId } from '../../src/domain/ids.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import { productId } from './shard-harness.ts';

function id(n: number): OrderId {
  const text = `00000000-0000-8000-8000-${n.toString(16).padStart(12, '0')}`;
  const orderId = parseOrderId(text);
  if (orderId === undefined) throw new Error(`${text} is no order id`);
  return orderId;
}

function entry(n: number, lines: number): WindowEntry {
  const products = Array.from({ length: lines }, (_, i) => ({ productId: productId(i) }));
  const order = { currency: 'USD', createdAt: n, expiresAt: n, lines: [] };
  return { requestHash: `hash ${n}`, lines: products, order };
}

/** How many of the newest orders have room: all, as long as their lines are within the bound. */
function kept(all: readonly WindowEntry[], linesMax: number): number {
  let lines = 0;
  const full = all.toReversed().findIndex((added) => (lines += added.lines.length) > linesMax);
  return full === -1 ? all.length : full;
}

describe('the idempotency window', () => {
  it('holds exactly the newest orders, oldest out first, and says which ones left (I3, I9)', () => {
    const added = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 20 }),
        added,
        fc.boolean(),
        (linesMax, sizes, complete) => {
          // prettier-ignore
          const window = new IdempotencyWindow({ linesMax, complete });
          const all: WindowEntry[] = [];
          for (const [n, lines] of sizes.entries()) {
            const before = kept(all, linesMax);
            all.push(entry(n, lines));
            const now = kept(all, linesMax);
            const leaving = all.slice(n - before, n + 1 - now);
            expect(window.add(id(n), entry(n, lines))).toEqual(leaving);
            expect(window.size).toBe(now);
            expect(window.complete).toBe(complete && now === all.length);
          }
          const oldest = all.length - kept(all, linesMax);
          const found = all.map((_, n) => window.get(id(n)));
          expect(found).toEqual(all.map((order, n) => (n < oldest ? undefined : order)));
        },
      ),
    );
  });

  it('is complete until it forgets, never when older orders were left out at takeover', () => {
    const full = new IdempotencyWindow({ linesMax: 3, complete: true });
    full.add(id(1), entry(1, 1));
    full.add(id(2), entry(2, 2));
    expect(full.complete).toBe(true);
    full.add(id(3), entry(3, 1));
    expect(full.complete).toBe(false);
    expect(new IdempotencyWindow({ linesMax: 3, complete: false }).complete).toBe(false);
  });

  it('keeps the first entry of an id, at its place', () => {
    const window = new IdempotencyWindow({ linesMax: 2, complete: true });
    window.add(id(1), entry(1, 1));
    window.add(id(2), entry(2, 1));
    expect(window.add(id(1), entry(9, 1))).toEqual([]);
    expect(window.get(id(1))).toEqual(entry(1, 1));
    expect(window.add(id(3), entry(3, 1))).toEqual([entry(1, 1)]);
  });
});
