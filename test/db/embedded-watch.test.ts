import { describe, expect, test } from 'vitest';
import { watch } from '../../src/db/embedded-watch.ts';
import { until } from '../support/until.ts';

describe('a watch', () => {
  test('restores what has ended, once, and leaves alone what lives', async () => {
    let alive = false;
    let looks = 0;
    let restored = 0;
    const watching = watch({
      isAlive: () => {
        looks += 1;
        return Promise.resolve(alive);
      },
      restore: () => {
        restored += 1;
        alive = true;
        return Promise.resolve();
      },
      onFailure: () => undefined,
    });
    await until('a few looks at what lives', () => looks > 3);
    await watching.stop();
    expect(restored).toBe(1);
  });

  test('pauses longer after every failure, and not at all after a success (I9)', async () => {
    const attempts: number[] = [];
    const failures: unknown[] = [];
    const watching = watch({
      isAlive: () => Promise.resolve(false),
      restore: () => {
        attempts.push(performance.now());
        return attempts.length === 4 ? Promise.resolve() : Promise.reject(new Error('no'));
      },
      onFailure: (error) => failures.push(error),
    });
    await until('five attempts', () => attempts.length === 5);
    await watching.stop();
    const pauses = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
    // Timers are late, never early; what they say is rounded.
    for (const [index, ms] of [200, 400, 800].entries()) {
      expect(pauses[index]).toBeGreaterThan(ms - 5);
    }
    expect(pauses[3]).toBeLessThan(800);
    expect(failures).toHaveLength(4);
  });

  test('tells when it cannot even look, and goes on', async () => {
    const failures: unknown[] = [];
    const watching = watch({
      isAlive: () => Promise.reject(new Error('no /proc')),
      restore: () => Promise.resolve(),
      onFailure: (error) => failures.push(error),
    });
    await until('two failures', () => failures.length === 2);
    await watching.stop();
    expect(failures[0]).toEqual(new Error('no /proc'));
  });

  test('is over when stop resolves, which waits for the attempt under way and tells it', async () => {
    const attempt = Promise.withResolvers<undefined>();
    let stopping: AbortSignal | undefined;
    let over = false;
    const watching = watch({
      isAlive: () => Promise.resolve(false),
      restore: async (signal) => {
        stopping = signal;
        await attempt.promise;
      },
      onFailure: () => undefined,
    });
    await until('an attempt', () => stopping !== undefined);
    const stopped = watching.stop().then(() => {
      over = true;
    });
    expect(stopping?.aborted).toBe(true);
    await Promise.resolve();
    expect(over).toBe(false);
    attempt.resolve(undefined);
    await stopped;
  });
});
