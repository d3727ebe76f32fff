import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../../src/domain/errors.ts';
import { RecurringTask } from '../../src/jobs/recurring-task.ts';

const PAUSE_MS = 1000;

describe('recurring task', () => {
  let runs: number;
  let lines: string[];
  let next: () => Promise<boolean>;
  let task: RecurringTask;

  beforeEach(() => {
    vi.useFakeTimers();
    runs = 0;
    lines = [];
    next = async () => false;
    const log =
      (level: string) =>
      (_facts: unknown, message?: string): void => {
        lines.push(`${level} ${message}`);
      };
    task = new RecurringTask({
      name: 'counting',
      run: () => {
        runs += 1;
        return next();
      },
      pauseMs: PAUSE_MS,
      logger: { info: log('info'), warn: log('warn'), error: log('error') },
    });
  });
  afterEach(async () => {
    await task.stop();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test('does nothing before it is started, then runs at once and after each pause', async () => {
    await pass(PAUSE_MS * 2);
    expect(runs).toBe(0);
    task.start();
    await pass(1);
    expect(runs).toBe(1);
    await pass(PAUSE_MS * 3);
    expect(runs).toBe(4);
  });

  test('goes on without a pause while there is more to do', async () => {
    next = async () => runs < 50;
    task.start();
    await pass(100);
    expect(runs).toBe(50);
  });

  test('never runs twice at once, and a stop waits for the one that runs', async () => {
    let end = (_more: boolean): void => undefined;
    next = () =>
      new Promise((resolve) => {
        end = resolve;
      });
    task.start();
    await pass(PAUSE_MS * 5);
    expect(runs).toBe(1);
    let stopped = false;
    const stopping = task.stop().then(() => {
      stopped = true;
    });
    await pass(PAUSE_MS);
    expect(stopped).toBe(false);
    end(true);
    await stopping;
    await pass(PAUSE_MS * 5);
    expect(runs).toBe(1);
  });

  test('says once that it fails, and that it succeeds again', async () => {
    next = () => Promise.reject(new AppError('database-unavailable'));
    task.start();
    await pass(PAUSE_MS * 3);
    expect(runs).toBeGreaterThan(2);
    expect(lines).toEqual(['warn a recurring task waits']);
    next = async () => false;
    await pass(PAUSE_MS);
    next = () => Promise.reject(new Error('a defect'));
    await pass(PAUSE_MS);
    expect(lines.slice(1)).toEqual([
      'info a recurring task succeeds again',
      'error a recurring task fails',
    ]);
  });
});
