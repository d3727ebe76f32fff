import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createDeliveryQueue } from '../../src/db/webhook-queue.ts';
import { createWebhookStore } from '../../src/db/webhook-store.ts';
import type {
  DeliveryJob,
  DeliveryQueue,
  TryAnswer,
  WebhookOfUser,
} from '../../src/domain/webhook.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';
import { newUserId, WebhookStage } from './webhook-stage.ts';
import type { StagedWebhook } from './webhook-stage.ts';

const OK: TryAnswer = { httpStatus: 200, failure: null };
const DOWN: TryAnswer = { httpStatus: null, failure: 'ECONNREFUSED' };

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let stage: WebhookStage;
let queue: DeliveryQueue;
let webhook: StagedWebhook;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 8,
    statementTimeoutMs: 5000,
    applicationName: 'webhook-queue-under-test',
    onError: () => undefined,
  });
  stage = new WebhookStage(database, pool);
  queue = createDeliveryQueue(pool);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});
beforeEach(async () => {
  await database.query('TRUNCATE webhooks, webhook_deliveries');
  webhook = await stage.webhook(newUserId(), ['order.created', 'order.paid']);
});

interface Due {
  readonly place?: number;
  readonly subject?: string;
  /** Since when, in milliseconds; negative = in how many. */
  readonly sinceMs?: number;
}

/** Rows whose body is their number. */
async function put({ webhookId }: WebhookOfUser, due: readonly Due[]): Promise<void> {
  await database.query(
    /* sql */ `
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, subject_id, place, body,
                                    status, due_at, created_at, updated_at)
    SELECT gen_random_uuid(), $1, gen_random_uuid(), 'order.paid', subject, place, n::text,
           'pending', now() - since * interval '1 ms', now(), now()
      FROM unnest($2::uuid[], $3::int[], $4::int[]) WITH ORDINALITY AS d (subject, place, since, n)`,
    [
      webhookId,
      due.map(({ subject }) => subject ?? randomUUID()),
      due.map(({ place }) => place ?? 0),
      due.map(({ sinceMs }) => sinceMs ?? 1000),
    ],
  );
}

const times = (count: number): Due[] => Array.from({ length: count }, (_, n) => ({ sinceMs: 9000 - n })); // prettier-ignore

function lease(max = 100, rooms: Parameters<DeliveryQueue['lease']>[0]['rooms'] = []) {
  return queue.lease({ max, roomEach: 50, rooms });
}

const bodies = (jobs: readonly DeliveryJob[]): readonly string[] =>
  jobs.map(({ body }) => body).toSorted();

const only = (jobs: readonly DeliveryJob[]): DeliveryJob => {
  const [job] = jobs;
  if (job === undefined || jobs.length > 1) throw new Error(`${jobs.length} jobs`);
  return job;
};

function rows() {
  return database.query<{
    status: string;
    tries: number;
    due_ms: number | null;
    leased: boolean;
    http_status: number | null;
    failure: string | null;
  }>(/* sql */ `
    SELECT status, tries, (extract(epoch FROM due_at - now()) * 1000)::float AS due_ms, leased,
           http_status, failure
      FROM webhook_deliveries ORDER BY body`);
}

describe('a lease', () => {
  test('has all that the delivery needs', async () => {
    await put(webhook, [{}]);
    const job = only(await lease());
    expect(job).toMatchObject({
      webhookId: webhook.webhookId,
      url: 'https://shop.example/hooks',
      secret: webhook.secret,
      body: '1',
      tries: 0,
    });
    expect(await lease()).toEqual([]);
  });

  test('takes what is due, the longest due first', async () => {
    await put(webhook, [{ sinceMs: 10 }, { sinceMs: 30 }, { sinceMs: 20 }, { sinceMs: -60_000 }]);
    expect(bodies(await lease(2))).toEqual(['2', '3']);
    expect(bodies(await lease())).toEqual(['1']);
    expect(await lease()).toEqual([]);
  });

  test('takes from every webhook in turn, whatever the backlog of one', async () => {
    const second = await stage.webhook(newUserId(), ['order.created']);
    const third = await stage.webhook(newUserId(), ['order.created']);
    await put(webhook, times(5000));
    await put(second, [{ sinceMs: 1 }, { sinceMs: 1 }]);
    await put(third, [{ sinceMs: 1 }]);
    const counts = Map.groupBy(await lease(6), ({ webhookId }) => webhookId);
    expect(counts.get(webhook.webhookId)).toHaveLength(3);
    expect(counts.get(second.webhookId)).toHaveLength(2);
    expect(counts.get(third.webhookId)).toHaveLength(1);
  });

  test('takes no more from a webhook than it has room for', async () => {
    const second = await stage.webhook(newUserId(), ['order.created']);
    await put(webhook, times(100));
    await put(second, times(100));
    const jobs = await lease(100, [{ webhookId: webhook.webhookId, room: 3 }]);
    const ofFirst = jobs.filter(({ webhookId }) => webhookId === webhook.webhookId);
    expect([jobs.length, ofFirst.length]).toEqual([53, 3]);
    const rooms = [webhook, second].map(({ webhookId }) => ({ webhookId, room: 0 }));
    expect(await lease(100, rooms)).toEqual([]);
  });

  test('is of one process alone', async () => {
    await put(webhook, times(40));
    const leases = await Promise.all(Array.from({ length: 8 }, () => lease(5)));
    const ids = leases.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('takes nothing of a webhook that is not active, was deleted, or whose user lost the role', async () => {
    const webhooks = createWebhookStore(pool);
    const deleted = await stage.webhook(newUserId(), ['order.created']);
    const lost = await stage.webhook(null, ['order.created']);
    for (const each of [webhook, deleted, lost]) await put(each, [{}]);
    await webhooks.changeWebhook(webhook, { active: false });
    await webhooks.deleteWebhook(deleted);
    await database.query("INSERT INTO users VALUES ($1, 'ex', 'ex@test', '', 'merchant', now())", [
      lost.userId,
    ]);
    expect(await lease()).toEqual([]);
    await webhooks.changeWebhook(webhook, { active: true });
    expect(await lease()).toHaveLength(1);
  });

  test('ends by itself, and at once when the process that had it is gone', async () => {
    await put(webhook, [{}, { sinceMs: -10_000 }]);
    const job = only(await lease());
    await database.query(
      "UPDATE webhook_deliveries SET due_at = now() - interval '1 s' WHERE leased",
    );
    expect(only(await lease()).id).toBe(job.id);
    expect(await lease()).toEqual([]);
    await queue.reclaim();
    expect(only(await lease()).id).toBe(job.id);
  });
});

describe('the events of one order', () => {
  const subject = randomUUID();
  const events = [0, 1, 2].map((place) => ({ subject, place }));

  test('are leased one after the other, the next one as soon as one was delivered', async () => {
    await put(webhook, events);
    for (const place of ['1', '2', '3']) {
      const job = only(await lease());
      expect(job.body).toBe(place);
      expect(await lease()).toEqual([]);
      await queue.delivered(job, OK);
    }
    expect(await lease()).toEqual([]);
  });

  test('wait while an earlier one waits for its next try, and go on when it is dead', async () => {
    await put(webhook, events);
    const first = only(await lease());
    await queue.failed(first, DOWN, 3_600_000);
    expect(await lease()).toEqual([]);
    await database.query("UPDATE webhook_deliveries SET due_at = now() WHERE body = '1'");
    await queue.failed(only(await lease()), DOWN, null);
    expect(only(await lease()).body).toBe('2');
  });

  test('wait for one that is under way by a moment only, however long its lease is', async () => {
    await put(webhook, events);
    const first = only(await lease());
    // The end of the first one misses those that this lease moves at the same moment.
    await lease();
    await database.query(
      "UPDATE webhook_deliveries SET status = 'delivered', due_at = NULL, leased = false WHERE id = $1",
      [first.id],
    );
    let next: readonly DeliveryJob[] = [];
    await until('the next one is due by itself', async () => {
      next = await lease();
      return next.length > 0;
    });
    expect(only(next).body).toBe('2');
  });

  test('wait for each other per webhook, and for no other order', async () => {
    const second = await stage.webhook(newUserId(), ['order.created']);
    await put(webhook, [{ subject, place: 0, sinceMs: -60_000 }, { subject, place: 1 }, {}]);
    await put(second, [{ subject, place: 1 }]);
    expect(bodies(await lease())).toEqual(['1', '3']);
  });

  test('that wait do not stand before others, however many they are', async () => {
    const subjects = Array.from({ length: 1000 }, () => randomUUID());
    await put(
      webhook,
      subjects.map((each) => ({ subject: each, place: 0, sinceMs: -3_600_000 })),
    );
    await put(
      webhook,
      subjects.map((each) => ({ subject: each, place: 1, sinceMs: 9000 })),
    );
    await put(webhook, [{ sinceMs: 1 }]);
    let leases = 0;
    let jobs: readonly DeliveryJob[] = [];
    for (; jobs.length === 0; leases += 1) jobs = await lease();
    expect(leases).toBeLessThanOrEqual(6);
    expect(only(jobs).body).toBe('1');
    expect(await lease()).toEqual([]);
  });
});

describe('the outcome of a try', () => {
  test('is kept, and one that was delivered is due no more', async () => {
    await put(webhook, [{}]);
    await queue.failed(only(await lease()), { httpStatus: 500, failure: null }, 0);
    expect(await rows()).toMatchObject([
      { status: 'pending', tries: 1, http_status: 500, failure: null, leased: false },
    ]);
    const again = only(await lease());
    expect(again.tries).toBe(1);
    await queue.failed(again, DOWN, 60_000);
    const [waiting] = await rows();
    expect(waiting).toMatchObject({ tries: 2, http_status: null, failure: 'ECONNREFUSED' });
    expect(waiting?.due_ms).toBeGreaterThan(50_000);
    await queue.delivered(again, OK);
    expect(await rows()).toMatchObject([
      { status: 'delivered', tries: 3, due_ms: null, leased: false, failure: null },
    ]);
  });

  test('of an end that came meanwhile stands: what arrived is delivered', async () => {
    await put(webhook, [{}]);
    const job = only(await lease());
    await database.query("UPDATE webhook_deliveries SET status = 'dead', due_at = NULL");
    await queue.failed(job, DOWN, 1000);
    await queue.failed(job, DOWN, null);
    expect(await rows()).toMatchObject([{ status: 'dead', tries: 0, due_ms: null }]);
    await queue.delivered(job, OK);
    expect(await rows()).toMatchObject([{ status: 'delivered' }]);
    await queue.failed(job, DOWN, null);
    expect(await rows()).toMatchObject([{ status: 'delivered' }]);
  });

  test('gone for good makes the webhook inactive, and nothing more is sent', async () => {
    await put(webhook, [{}, {}]);
    const [job] = await lease(1);
    if (job === undefined) throw new Error('none');
    await queue.gone(job, { httpStatus: 410, failure: null });
    expect(await lease()).toEqual([]);
    const found = await createWebhookStore(pool).findWebhook(webhook);
    expect(found).toMatchObject({ active: false });
    expect((await rows()).map(({ status }) => status).toSorted()).toEqual(['dead', 'pending']);
  });
});
