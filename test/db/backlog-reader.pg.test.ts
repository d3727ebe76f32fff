import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBacklogReader } from '../../src/db/backlog-reader.ts';
import { createPool } from '../../src/db/pool.ts';
import { BACKLOG_COUNT_MAX } from '../../src/domain/backlog.ts';
import type { BacklogReader } from '../../src/domain/backlog.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let reader: BacklogReader;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 2,
    statementTimeoutMs: 5000,
    applicationName: 'backlog-under-test',
    onError: () => undefined,
  });
  reader = createBacklogReader(pool);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});
beforeEach(async () => {
  await database.query('TRUNCATE commit_batches, payments, webhooks, webhook_deliveries');
});

/** As `count` batches that committed up to `ageSeconds` ago, a second apart. */
async function batches(count: number, { ageSeconds = 100, pending = true } = {}): Promise<void> {
  await database.query(
    /* sql */ `
    INSERT INTO commit_batches (owner_id, no, committed_at, pending)
    SELECT $1, n, now() - ($2 - n + 1) * interval '1 s', $3 FROM generate_series(1, $4::int) n`,
    [pending ? 1 : 2, ageSeconds, pending, count],
  );
}

async function payments(count: number, dueInSeconds: number | null): Promise<void> {
  await database.query(
    /* sql */ `
    INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, due_at, created_at,
                          updated_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 1, 'PENDING', 'success', 0,
           now() + $2::int * interval '1 s', now(), now() FROM generate_series(1, $1::int)`,
    [count, dueInSeconds],
  );
}

/** Of a webhook of their own. */
async function deliveries(count: number, dueInSeconds: number | null): Promise<void> {
  const webhookId = randomUUID();
  await database.query(
    /* sql */ `
    INSERT INTO webhooks (id, user_id, url, events, secret, active, created_at, updated_at)
    VALUES ($1, gen_random_uuid(), 'https://shop.example', '{}', '', true, now(), now())`,
    [webhookId],
  );
  await database.query(
    /* sql */ `
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, subject_id, place, body,
                                    status, due_at, created_at, updated_at)
    SELECT gen_random_uuid(), $1, gen_random_uuid(), 'order.paid', gen_random_uuid(), 0, '',
           'pending', now() + $3::int * interval '1 s', now(), now()
      FROM generate_series(1, $2::int)`,
    [webhookId, count, dueInSeconds],
  );
}

describe('the backlog', () => {
  test('of a quiet shop is empty', async () => {
    await batches(3, { pending: false });
    await payments(2, null);
    expect(await reader.readBacklog()).toEqual({
      outboxBatches: 0,
      outboxAgeMs: null,
      jobsDue: { payments: 0, webhooks: 0 },
    });
  });

  test('is what is due: not what is done, nor what somebody works on or will do later', async () => {
    await batches(3, { ageSeconds: 100 });
    await batches(50, { pending: false });
    await payments(4, -1);
    await payments(5, 60);
    await deliveries(2, -1);
    await deliveries(6, 60);
    await deliveries(3, -30);
    await deliveries(1, null);
    const { outboxAgeMs, ...rest } = await reader.readBacklog();
    expect(rest).toEqual({ outboxBatches: 3, jobsDue: { payments: 4, webhooks: 5 } });
    expect(outboxAgeMs).toBeGreaterThan(99_000);
    expect(outboxAgeMs).toBeLessThan(160_000);
  });

  test('of a batch whose clock is ahead has no age', async () => {
    await batches(1, { ageSeconds: -100 });
    expect(await reader.readBacklog()).toMatchObject({ outboxBatches: 1, outboxAgeMs: 0 });
  });

  test('is counted up to a bound (I9)', async () => {
    await batches(BACKLOG_COUNT_MAX + 5);
    await payments(BACKLOG_COUNT_MAX + 5, -1);
    await deliveries(6_000, -1);
    await deliveries(6_000, -1);
    await deliveries(20_000, 3600);
    await database.query('ANALYZE');
    expect(await reader.readBacklog()).toMatchObject({
      outboxBatches: BACKLOG_COUNT_MAX,
      jobsDue: { payments: BACKLOG_COUNT_MAX, webhooks: BACKLOG_COUNT_MAX },
    });
  });

  test('that cannot be read is an error of a known kind', async () => {
    const ended = createPool({
      databaseUrl: 'postgres://127.0.0.1:1/nothing',
      max: 1,
      statementTimeoutMs: 500,
      applicationName: 'backlog-under-test',
      onError: () => undefined,
    });
    await expect(createBacklogReader(ended).readBacklog()).rejects.toMatchObject({
      code: 'database-unavailable',
    });
    await ended.end();
  });
});
