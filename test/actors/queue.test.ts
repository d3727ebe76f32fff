import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Queue } from '../../src/actors/queue.ts';

/** The same answers as an array gives, over any mix of pushes (above 0) and shifts (below 0). */
function check(moves: readonly number[]): void {
  const queue = new Queue<number>();
  const model: number[] = [];
  let next = 0;
  for (const move of moves) {
    for (let i = 0; i < move; i += 1) {
      queue.push(next);
      model.push(next);
      next += 1;
    }
    for (let i = 0; i > move; i -= 1) {
      expect(queue.peek()).toBe(model[0]);
      expect(queue.shift()).toBe(model.shift());
    }
    expect(queue.length).toBe(model.length);
    expect(queue.peek()).toBe(model[0]);
  }
}

it('is first in, first out over any mix of pushes and shifts', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 50, size: 'max' }), check),
    {
      // Shifts of an empty queue, and shifts across the point where the dead half is cut off.
      examples: [
        [[-3, 1, -3]],
        [[2047, -1023, 1, -1, 1, -1, 1, -2000]],
        [[3000, -1500, 10, -1600]],
      ],
    },
  );
});

it('stays in order while it is long, whatever was cut off', () => {
  const long = fc.array(fc.integer({ min: -3000, max: 3000 }), { maxLength: 6 });
  fc.assert(fc.property(long, check), { numRuns: 15 });
});
