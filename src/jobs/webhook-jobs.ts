/**
 * Everything that webhooks do by themselves: committed batches become deliveries, deliveries are
 * sent, and what is over is swept away. What there is to do stands in PostgreSQL; this process
 * holds a bounded number of leased deliveries and nothing else.
 */
import type { Logger } from 'pino';
import type { DeliveryJob, DeliveryQueue, WebhookOutbox, WebhookSweep } from '../domain/webhook.ts';
import { JobRunner } from './job-runner.ts';
import { RecurringTask } from './recurring-task.ts';
import { deliver } from './webhook-delivery.ts';
import { WebhookHealth, WEBHOOK_PLACES } from './webhook-health.ts';
import type { SendPost } from './webhook-post.ts';

/** Deliveries side by side: half of them stay free when as many receivers as may be are away. */
const CONCURRENCY = 32;
const DELIVERY_POLL_MS = 500;
const OUTBOX_PAUSE_MS = 200;
const SWEEP_PAUSE_MS = 60_000;

export interface WebhookJobsOptions {
  readonly outbox: WebhookOutbox;
  readonly queue: DeliveryQueue;
  readonly sweep: WebhookSweep;
  readonly send: SendPost;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 0 to 1; `Math.random` unless a test says otherwise. */
  readonly random?: () => number;
}

export class WebhookJobs {
  readonly #options: WebhookJobsOptions;
  readonly #random: () => number;
  readonly #health: WebhookHealth;
  readonly #runner: JobRunner<DeliveryJob>;
  readonly #tasks: readonly RecurringTask[];

  /** Does nothing until `start`. */
  constructor(options: WebhookJobsOptions) {
    const { outbox, queue, sweep, clock, logger, random = Math.random } = options;
    this.#options = options;
    this.#random = random;
    this.#health = new WebhookHealth({ clock, random });
    this.#runner = new JobRunner({
      name: 'webhooks',
      source: { lease: (max) => this.#lease(max), reclaim: () => queue.reclaim() },
      run: (job) => this.#run(job),
      concurrency: CONCURRENCY,
      pollMs: DELIVERY_POLL_MS,
      logger,
    });
    this.#tasks = [
      new RecurringTask({
        name: 'webhook-outbox',
        run: async () => {
          const batches = await outbox.expand();
          if (batches > 0) this.#runner.wake();
          return batches > 0;
        },
        pauseMs: OUTBOX_PAUSE_MS,
        logger,
      }),
      new RecurringTask({
        name: 'webhook-sweep',
        run: () => sweep.sweep(),
        pauseMs: SWEEP_PAUSE_MS,
        logger,
      }),
    ];
  }

  start(): void {
    this.#runner.start();
    for (const task of this.#tasks) task.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#runner.stop(), ...this.#tasks.map((task) => task.stop())]);
  }

  async #lease(max: number): Promise<readonly DeliveryJob[]> {
    const rooms = this.#health.rooms();
    const jobs = await this.#options.queue.lease({ max, roomEach: WEBHOOK_PLACES, rooms });
    for (const job of jobs) this.#health.leased(job);
    return jobs;
  }

  async #run(job: DeliveryJob): Promise<void> {
    const { queue, send, clock } = this.#options;
    const startedAt = clock();
    let isThere = true;
    try {
      isThere = await deliver(job, { queue, send, clock, random: this.#random });
    } finally {
      this.#health.ended(job, isThere, startedAt);
    }
    // Its place is free, and the next event of its order may be waiting for it.
    this.#runner.wake();
  }
}
