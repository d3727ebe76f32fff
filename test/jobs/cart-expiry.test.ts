import { describe, expect, test } from 'vitest';

import { CARTS_PER_RUN_MAX, CartExpiry } from '../../src/jobs/cart-expiry.ts';
import { until } from '../support/until.ts';

function setUp(deleteExpired: (run: number) => Promise<number>, everyMs = 1) {
  const asked: number[] = [];
  const errors: unknown[] = [];
  const carts = {
    deleteExpired: (max: number): Promise<number> => {
      asked.push(max);
      return deleteExpired(asked.length);
    },
  };
  const expiry = new CartExpiry({ carts, onError: (error) => errors.push(error), everyMs });
  return { asked, errors, expiry };
}

describe('abandoned carts', () => {
  test('are deleted again and again, so many at a time (I9)', async () => {
    const { asked, errors, expiry } = setUp(async () => 3);
    expiry.start();
    await until('three runs', () => asked.length >= 3);
    await expiry.stop();
    expect(new Set(asked)).toEqual(new Set([CARTS_PER_RUN_MAX]));
    expect(errors).toEqual([]);
  });

  test('are deleted by the next run when one fails', async () => {
    const gone = new Error('gone');
    const { asked, errors, expiry } = setUp(async (run) => {
      if (run === 1) throw gone;
      return 0;
    });
    expiry.start();
    await until('a run after the one that failed', () => asked.length >= 2);
    await expiry.stop();
    expect(errors).toEqual([gone]);
  });

  test('are not waited for when the service stops, but a run under way is', async () => {
    let end: (() => void) | undefined;
    const run = new Promise<number>((resolve) => {
      end = () => resolve(0);
    });
    const { asked, expiry } = setUp(() => run, 3_600_000);
    expiry.start();
    const stopped = expiry.stop();
    let isStopped = false;
    void stopped.then(() => (isStopped = true));
    await Promise.resolve();
    expect(isStopped).toBe(false);
    end?.();
    await stopped;
    expect(asked).toHaveLength(1);

    const idle = setUp(async () => 0, 3_600_000);
    idle.expiry.start();
    await until('the first run', () => idle.asked.length === 1);
    await idle.expiry.stop();
  });

  test('that were never started can be stopped', async () => {
    const { asked, expiry } = setUp(async () => 0);
    await expiry.stop();
    expect(asked).toEqual([]);
  });
});
