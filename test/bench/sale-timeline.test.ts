import { expect, test } from 'vitest';
import type { OpenRequest } from '../../bench/open-result.ts';
import { timelineOf } from '../../bench/sale-timeline.ts';

function answered(status: number, afterMs: number): OpenRequest {
  return { seq: 0, sentAt: 1_000_000, latencyMs: afterMs, status };
}

const SALE = [
  answered(201, 10),
  answered(201, 90),
  answered(201, 150),
  answered(409, 160),
  answered(409, 250),
  answered(409, 310),
];

test('a sale is told slice by slice, with what is left after each', () => {
  const sale = timelineOf(SALE, 3);
  expect(sale.slices).toEqual([
    { atMs: 0, accepted: 2, refused: 0, left: 1 },
    { atMs: 100, accepted: 1, refused: 1, left: 0 },
    { atMs: 200, accepted: 0, refused: 1, left: 0 },
    { atMs: 300, accepted: 0, refused: 1, left: 0 },
  ]);
  expect(sale).toMatchObject({ requests: 6, soldOutMs: 150, overMs: 310 });
  expect(sale.acceptedPerSecond).toBeCloseTo(20);
  expect(sale.refusedPerSecond).toBeCloseTo(3000 / 160);
});

test('a unit too many or too few is no sale to report (I1)', () => {
  expect(() => timelineOf(SALE, 2)).toThrow('3 of 2 units');
  expect(() => timelineOf(SALE, 4)).toThrow('3 of 4 units');
});

test('an answer that is neither 201 nor 409 is no sale to report', () => {
  expect(() => timelineOf([...SALE, answered(503, 20)], 3)).toThrow('1 answers');
});
