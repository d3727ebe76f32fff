import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../../src/domain/errors.ts';
import type { JobSource } from '../../src/domain/job.ts';
import { JobRunner } from '../../src/jobs/job-runner.ts';

const POLL_MS = 1000;
const CONCURRENCY = 3;
/** The queue passes a job through a few timers of its own. */
const SETTLE_MS = 20;

/** Rows as PostgreSQL would keep them: due until leased, and gone when done. */
class FakeSource implements JobSource<number> {
  due: number[] = [];
  readonly calls: string[] = [];
  failure: Error | null = null;

  async reclaim(): Promise<void> {
    this.calls.push('reclaim');
    if (this.failure !== null) throw this.failure;
  }

  async lease(max: number): Promise<readonly number[]> {
    this.calls.push(`lease ${max}`);
    if (this.failure !== null) throw this.failure;
    return this.due.splice(0, max);
  }
}

/** Jobs that end when they are told to. */
class Work {
  readonly #ends = new Map<number, (error?: Error) => void>();
  readonly started: number[] = [];

  readonly run = (job: number): Promise<void> => {
    this.started.push(job);
    return new Promise((resolve, reject) => {
      this.#ends.set(job, (error) => (error === undefined ? resolve() : reject(error)));
    });
  };

  end(job: number, error?: Error): void {
    this.#ends.get(job)?.(error);
    this.#ends.delete(job);
  }

  get running(): readonly number[] {
    return [...this.#ends.keys()];
  }
}

describe('job runner', () => {
  let source: FakeSource;
  let work: Work;
  let lines: string[];
  let runner: JobRunner<number>;

  beforeEach(() => {
    vi.useFakeTimers();
    source = new FakeSource();
    work = new Work();
    lines = [];
    const log =
      (level: string) =>
      (_facts: unknown, message?: string): void => {
        lines.push(`${level} ${message}`);
      };
    const logger = { info: log('info'), warn: log('warn'), error: log('error') };
    const { run } = work;
    const options = { name: 'numbers', source, run, concurrency: CONCURRENCY, pollMs: POLL_MS };
    runner = new JobRunner({ ...options, logger });
  });
  afterEach(async () => {
    const stopped = runner.stop();
    await vi.runAllTimersAsync();
    await stopped;
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test('does nothing before it is started', async () => {
    runner.wake();
    await pass(POLL_MS * 3);
    expect(source.calls).toEqual([]);
  });

  test('takes over what a process left behind before it leases, once', async () => {
    runner.start();
    await pass(POLL_MS * 2.5);
    expect(source.calls).toEqual(['reclaim', 'lease 6', 'lease 6', 'lease 6']);
  });

  test('runs jobs side by side up to its concurrency, and keeps as many waiting (I9)', async () => {
    source.due = Array.from({ length: 100 }, (_, n) => n);
    runner.start();
    await pass(POLL_MS * 10);
    expect(work.running).toEqual([0, 1, 2]);
    expect(source.due).toHaveLength(94);
    expect(source.calls).toEqual(['reclaim', 'lease 6']);
  });

  test('leases more as soon as there is room, without waiting for the poll', async () => {
    source.due = Array.from({ length: 100 }, (_, n) => n);
    runner.start();
    await pass(SETTLE_MS);
    for (let job = 0; job < 100; job += 1) {
      expect(work.running.length).toBeLessThanOrEqual(CONCURRENCY);
      work.end(job);
      await pass(SETTLE_MS);
    }
    expect(work.started).toHaveLength(100);
    expect(source.due).toEqual([]);
  });

  test('a wake leads to a lease at once, and a thousand wakes to one', async () => {
    runner.start();
    await pass(SETTLE_MS);
    source.due = [7];
    source.calls.length = 0;
    for (let n = 0; n < 1000; n += 1) runner.wake();
    await pass(20);
    expect(work.running).toEqual([7]);
    expect(source.calls).toEqual(['lease 6']);
  });

  test('a wake while a lease is under way is not lost', async () => {
    const first = Promise.withResolvers<readonly number[]>();
    vi.spyOn(source, 'lease').mockReturnValueOnce(first.promise);
    runner.start();
    await pass(SETTLE_MS);
    runner.wake();
    await pass(100);
    source.due = [1];
    first.resolve([]);
    await pass(20);
    expect(work.running).toEqual([1]);
  });

  test('asks once per poll while nothing is due: no busy loop', async () => {
    runner.start();
    await pass(POLL_MS * 60);
    expect(source.calls.length).toBeLessThanOrEqual(62);
  });

  test('a job that throws is logged and does not stop the others', async () => {
    source.due = [1, 2];
    runner.start();
    await pass(SETTLE_MS);
    work.end(1, new TypeError('a defect'));
    await pass(POLL_MS);
    expect(lines).toEqual(['error jobs fail', 'info jobs are done again']);
    expect(work.running).toEqual([2]);
  });

  test('a job that throws instead of returning a promise is a failed job', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    vi.spyOn(source, 'lease').mockResolvedValueOnce([1]);
    const run = (): Promise<void> => {
      resolve();
      throw new Error('at once');
    };
    const error = vi.fn<() => void>();
    const logger = { info: error, warn: error, error };
    const options = { name: 'n', source, run, concurrency: 1, pollMs: POLL_MS, logger };
    const thrower = new JobRunner(options);
    thrower.start();
    await pass(SETTLE_MS);
    await promise;
    await pass(SETTLE_MS);
    expect(error).toHaveBeenCalledOnce();
    await thrower.stop();
  });

  test('survives a database that is away: one line, one try per poll, whoever wakes it', async () => {
    source.failure = new AppError('database-unavailable');
    source.due = [1];
    runner.start();
    for (let ms = 0; ms < POLL_MS * 10; ms += 10) {
      runner.wake();
      await pass(10);
    }
    expect(lines).toEqual(['warn jobs are waiting']);
    expect(source.calls.length).toBeLessThanOrEqual(12);
    expect(new Set(source.calls)).toEqual(new Set(['reclaim']));
    source.failure = null;
    await pass(POLL_MS + SETTLE_MS);
    expect(work.running).toEqual([1]);
    expect(lines).toEqual(['warn jobs are waiting', 'info jobs are done again']);
  });

  test('stops at once when nothing runs, and asks for nothing more', async () => {
    runner.start();
    await pass(SETTLE_MS);
    await runner.stop();
    runner.wake();
    runner.start();
    source.calls.length = 0;
    await pass(POLL_MS * 5);
    expect(source.calls).toEqual([]);
  });

  test('stops when the running jobs have ended, and starts none of the waiting ones', async () => {
    source.due = [1, 2, 3, 4, 5];
    runner.start();
    await pass(SETTLE_MS);
    const stopped = vi.fn<() => void>();
    void runner.stop().then(stopped);
    work.end(1);
    work.end(2);
    await pass(100);
    expect(stopped).not.toHaveBeenCalled();
    work.end(3);
    await pass(SETTLE_MS);
    expect(stopped).toHaveBeenCalledOnce();
    expect(work.started).toEqual([1, 2, 3]);
  });

  test('stops in bounded time when a job never ends (I9)', async () => {
    source.due = [1];
    runner.start();
    await pass(SETTLE_MS);
    const stopped = vi.fn<() => void>();
    void runner.stop().then(stopped);
    await pass(3001);
    expect(stopped).toHaveBeenCalledOnce();
    work.end(1, new Error('its connection is closed'));
    await pass(SETTLE_MS);
    expect(lines).toEqual([]);
  });

  test('waits for a lease that is under way, and starts none of its jobs', async () => {
    const lease = Promise.withResolvers<readonly number[]>();
    vi.spyOn(source, 'lease').mockReturnValueOnce(lease.promise);
    runner.start();
    await pass(SETTLE_MS);
    const stopped = vi.fn<() => void>();
    void runner.stop().then(stopped);
    await pass(10);
    expect(stopped).not.toHaveBeenCalled();
    lease.resolve([1]);
    await pass(10);
    expect(stopped).toHaveBeenCalledOnce();
    expect(work.started).toEqual([]);
  });
});
