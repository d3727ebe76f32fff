/**
 * One task, again and again: at once while it says that there is more to do, after a pause
 * otherwise, and never twice at the same time. What it fails with is logged once until it succeeds
 * again, and the pause is its retry.
 */
import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';

export interface RecurringTaskOptions {
  /** Names the task in the log. */
  readonly name: string;
  /** Resolves with whether there is more to do. */
  readonly run: () => Promise<boolean>;
  readonly pauseMs: number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export class RecurringTask {
  readonly #options: RecurringTaskOptions;
  #state: 'new' | 'started' | 'stopped' = 'new';
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #failing = false;

  /** Does nothing until `start`. */
  constructor(options: RecurringTaskOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'started';
    this.#runIn(0);
  }

  /** Starts it no more; resolves when the one that runs has ended. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
    await this.#running;
  }

  #runIn(ms: number): void {
    if (this.#state !== 'started') return;
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, ms);
  }

  async #run(): Promise<void> {
    const { run, pauseMs } = this.#options;
    let more = false;
    try {
      more = await run();
      this.#noteSuccess();
    } catch (error) {
      this.#noteFailure(error);
    }
    this.#runIn(more ? 0 : pauseMs);
  }

  #noteSuccess(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#options.logger.info({ task: this.#options.name }, 'a recurring task succeeds again');
  }

  #noteFailure(error: unknown): void {
    if (this.#failing || this.#state === 'stopped') return;
    this.#failing = true;
    const { logger, name } = this.#options;
    const facts = { err: error, task: name };
    if (error instanceof AppError && error.retryable) logger.warn(facts, 'a recurring task waits');
    else logger.error(facts, 'a recurring task fails');
  }
}
