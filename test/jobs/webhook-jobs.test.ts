import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WebhookId } from '../../src/domain/ids.ts';
import type { DeliveryJob, DeliveryQueue, TryAnswer } from '../../src/domain/webhook.ts';
import { WebhookJobs } from '../../src/jobs/webhook-jobs.ts';
import { deliveryId, webhookId } from '../http/fake-webhooks.ts';

const SECRET = `whsec_${Buffer.alloc(32).toString('base64')}`;
/** What a receiver that hangs costs: the whole time of a try. */
const HANG_MS = 10_000;
const OK: TryAnswer = { httpStatus: 204, failure: null };
const SILENCE: TryAnswer = { httpStatus: null, failure: 'no answer within 10000 ms' };

/** By the timers that the test turns, which those of node:timers/promises are not. */
const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Rows as PostgreSQL would keep them; what fails is due again at once. */
class FakeQueue implements DeliveryQueue {
  readonly due = new Map<WebhookId, DeliveryJob[]>();
  readonly done: DeliveryJob[] = [];
  leased = 0;
  leasedMax = 0;
  #made = 0;

  put(webhook: number, count: number): void {
    const id = webhookId(webhook);
    const jobs = Array.from({ length: count }, () => {
      this.#made += 1;
      return {
        id: deliveryId(this.#made),
        webhookId: id,
        url: String(webhook),
        secret: SECRET,
        eventId: '',
        body: '{}',
        tries: 0,
      };
    });
    this.due.set(id, [...(this.due.get(id) ?? []), ...jobs]);
  }

  async lease({ max, roomEach, rooms }: Parameters<DeliveryQueue['lease']>[0]) {
    const room = new Map(rooms.map((it) => [it.webhookId, it.room]));
    const turns = [...this.due].flatMap(([id, jobs]) =>
      jobs.slice(0, room.get(id) ?? roomEach).map((job, turn) => ({ job, turn })),
    );
    const jobs = turns
      .toSorted((a, b) => a.turn - b.turn)
      .slice(0, max)
      .map(({ job }) => job);
    const ids = new Set(jobs);
    for (const [id, left] of this.due)
      this.due.set(
        id,
        left.filter((job) => !ids.has(job)),
      );
    this.leased += jobs.length;
    this.leasedMax = Math.max(this.leasedMax, this.leased);
    return jobs;
  }

  async reclaim(): Promise<void> {}

  async delivered(job: DeliveryJob): Promise<void> {
    this.leased -= 1;
    this.done.push(job);
  }

  async failed(job: DeliveryJob): Promise<void> {
    this.leased -= 1;
    this.due.get(job.webhookId)?.push({ ...job, tries: 0 });
  }

  async gone(): Promise<void> {}

  doneBy(webhook: number): number {
    return this.done.filter((job) => job.webhookId === webhookId(webhook)).length;
  }
}

describe('webhook jobs', () => {
  let queue: FakeQueue;
  let hanging: Set<string>;
  let batches: number;
  let expansions: number;
  let sweeps: number;
  let jobs: WebhookJobs;

  beforeEach(() => {
    vi.useFakeTimers();
    queue = new FakeQueue();
    hanging = new Set();
    batches = 0;
    expansions = 0;
    sweeps = 0;
    const ignore = (): void => undefined;
    jobs = new WebhookJobs({
      outbox: {
        expand: async () => {
          expansions += 1;
          if (batches === 0) return 0;
          batches -= 1;
          queue.put(1, 1);
          return 1;
        },
      },
      queue,
      sweep: {
        sweep: async () => {
          sweeps += 1;
          return sweeps < 3;
        },
      },
      send: async ({ url }) => {
        const hangs = hanging.has(url);
        await delay(hangs ? HANG_MS : 5);
        return hangs ? SILENCE : OK;
      },
      logger: { info: ignore, warn: ignore, error: ignore },
      clock: Date.now,
      random: () => 0.5,
    });
    jobs.start();
  });
  afterEach(async () => {
    const stopped = jobs.stop();
    await vi.advanceTimersByTimeAsync(HANG_MS);
    await stopped;
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test('go on with the others while a receiver hangs', async () => {
    hanging.add('1');
    queue.put(1, 1000);
    queue.put(2, 100);
    await pass(3000);
    expect(queue.doneBy(2)).toBe(100);
    expect(queue.doneBy(1)).toBe(0);
  });

  test('go on with the others while many receivers hang, and keep a bounded number in memory (I9)', async () => {
    for (let webhook = 1; webhook <= 600; webhook += 1) {
      hanging.add(String(webhook));
      queue.put(webhook, 3);
    }
    // Until each of them was found out.
    await pass(900_000);
    queue.put(999, 100);
    await pass(5000);
    expect(queue.doneBy(999)).toBe(100);
    expect(queue.leasedMax).toBeLessThanOrEqual(64);
  });

  test('send the whole backlog when a receiver is back', async () => {
    hanging.add('1');
    queue.put(1, 500);
    await pass(300_000);
    expect(queue.doneBy(1)).toBe(0);
    hanging.clear();
    await pass(70_000);
    expect(queue.doneBy(1)).toBe(500);
  });

  test('send without waiting for the poll what has just become a delivery', async () => {
    await pass(400);
    batches = 50;
    await pass(600);
    expect(queue.doneBy(1)).toBe(50);
  });

  test('look for committed batches again and again, and sweep now and then', async () => {
    await pass(1000);
    expect(expansions).toBeGreaterThanOrEqual(5);
    expect(sweeps).toBe(3);
    await pass(60_000);
    expect(sweeps).toBe(4);
  });
});
