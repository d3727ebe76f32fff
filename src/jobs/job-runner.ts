/**
 * Runs the jobs of one source: leases rows while there is room for them, and runs them side by side
 * in a better-queue in memory. The rows are the truth: what is lost with this process is leased
 * again, so `run` must bear being repeated.
 *
 * Not owned here: when a job is due, how often it is tried, and what done means. A lease must last
 * longer than two jobs can take, since a job may wait for another one to end.
 *
 * Invariants: jobs in memory and attempts to lease are bounded (I9), whatever fails: a source that
 * fails is asked once per poll, and what failed is logged once until a lease succeeds again.
 */
import Queue from 'better-queue';
import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';
import type { JobSource } from '../domain/job.ts';

/** Leased jobs at most, per job that may run: one that runs and one that waits. */
const LEASED_PER_RUNNING = 2;
/** Wakes that come within this of each other cost one lease. */
const WAKE_MS = 10;
/** For the jobs that run to end when the runner stops; then they are left to their leases. */
const STOP_MS_MAX = 3000;

export interface JobRunnerOptions<J> {
  /** Names the jobs in the log. */
  readonly name: string;
  readonly source: JobSource<J>;
  /** Does the job and marks its row. What it throws is logged, and the row waits for its lease. */
  readonly run: (job: J) => Promise<void>;
  /** Jobs side by side. */
  readonly concurrency: number;
  /** Milliseconds until the source is asked again when nobody wakes the runner. */
  readonly pollMs: number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export class JobRunner<J> {
  readonly #options: JobRunnerOptions<J>;
  readonly #queue: Queue<{ readonly job: J }>;
  #state: 'new' | 'started' | 'stopped' = 'new';
  #timer: { readonly id: NodeJS.Timeout; readonly at: number } | null = null;
  #reclaimed = false;
  #asking = false;
  /** Somebody asked for a lease that had to wait: for room, or for the lease before. */
  #asked = false;
  /** The source or a job failed since the last lease that did not. */
  #away = false;
  /** Jobs in memory, the running ones included. */
  #leased = 0;
  #running = 0;
  #onIdle: (() => void) | null = null;

  /** Does nothing until `start`. */
  constructor(options: JobRunnerOptions<J>) {
    this.#options = options;
    this.#queue = new Queue({
      // The wrapper has no id on purpose: the queue would merge two jobs with the same one.
      process: ({ job }: { readonly job: J }, done) => void this.#run(job, done),
      concurrent: options.concurrency,
    });
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'started';
    this.#askIn(0);
  }

  /** A job may have become due: asks soon instead of at the next poll. */
  wake(): void {
    if (!this.#away) this.#askIn(WAKE_MS);
  }

  /** Leases and starts no more; resolves when the running jobs have ended, or had their time. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#queue.pause();
    if (this.#timer !== null) clearTimeout(this.#timer.id);
    if (this.#isIdle) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_MS_MAX);
    });
    await Promise.race([idle, late]);
    clearTimeout(timer);
  }

  get #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  get #isIdle(): boolean {
    return this.#running === 0 && !this.#asking;
  }

  /** The one timer: whoever wants to ask sooner moves it. */
  #askIn(ms: number): void {
    if (this.#state !== 'started') return;
    const at = Date.now() + ms;
    if (this.#timer !== null) {
      if (this.#timer.at <= at) return;
      clearTimeout(this.#timer.id);
    }
    const id = setTimeout(() => {
      this.#timer = null;
      void this.#ask();
    }, ms);
    this.#timer = { id, at };
  }

  async #ask(): Promise<void> {
    const { concurrency, pollMs } = this.#options;
    // Every place is taken: the end of a job asks again.
    if (this.#asking || this.#leased > concurrency) {
      this.#asked = true;
      return;
    }
    this.#asking = true;
    this.#asked = false;
    const room = concurrency * LEASED_PER_RUNNING - this.#leased;
    const leased = await this.#lease(room);
    this.#asking = false;
    if (this.#isStopped) {
      this.#tellIfIdle();
      return;
    }
    this.#askIn(this.#asked && !this.#away ? WAKE_MS : pollMs);
    if (leased === room) this.#asked = true;
  }

  /** How many jobs came; none when the source is away. */
  async #lease(room: number): Promise<number> {
    try {
      if (!this.#reclaimed) await this.#options.source.reclaim();
      this.#reclaimed = true;
      const jobs = await this.#options.source.lease(room);
      this.#noteBack();
      // What was leased while the runner stopped is left to its lease.
      if (this.#isStopped) return 0;
      for (const job of jobs) this.#queue.push({ job });
      this.#leased += jobs.length;
      return jobs.length;
    } catch (error) {
      this.#noteFailure(error);
      return 0;
    }
  }

  async #run(job: J, done: () => void): Promise<void> {
    // The queue may have taken it just before it was paused.
    if (this.#isStopped) return;
    this.#running += 1;
    try {
      await this.#options.run(job);
    } catch (error) {
      this.#noteFailure(error);
    }
    this.#running -= 1;
    this.#leased -= 1;
    done();
    if (this.#isStopped) this.#tellIfIdle();
    else if (this.#asked && this.#leased <= this.#options.concurrency) this.#askIn(0);
  }

  #tellIfIdle(): void {
    if (this.#isIdle) this.#onIdle?.();
  }

  #noteFailure(error: unknown): void {
    // Whatever still runs then finds its connections closed.
    if (this.#isStopped) return;
    const { logger, name } = this.#options;
    if (this.#away) return;
    this.#away = true;
    const facts = { err: error, jobs: name };
    if (error instanceof AppError && error.retryable) logger.warn(facts, 'jobs are waiting');
    else logger.error(facts, 'jobs fail');
  }

  #noteBack(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#options.logger.info({ jobs: this.#options.name }, 'jobs are done again');
  }
}
