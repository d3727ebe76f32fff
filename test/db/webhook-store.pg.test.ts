import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createWebhookStore } from '../../src/db/webhook-store.ts';
import { createWebhookSweep } from '../../src/db/webhook-sweep.ts';
import { parseDeliveryId } from '../../src/domain/ids.ts';
import type { DeliveryId } from '../../src/domain/ids.ts';
import { WEBHOOKS_PER_USER_MAX } from '../../src/domain/webhook.ts';
import type { Webhooks, WebhookOfUser } from '../../src/domain/webhook.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { newUserId, WebhookStage } from './webhook-stage.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let webhooks: Webhooks;
let stage: WebhookStage;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 8,
    statementTimeoutMs: 5000,
    applicationName: 'webhook-store-under-test',
    onError: () => undefined,
  });
  webhooks = createWebhookStore(pool);
  stage = new WebhookStage(database, pool);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

const ALL = { limit: 100, after: null };
const request = (userId = newUserId()) => ({
  userId,
  merchantId: userId,
  idempotencyKey: null as string | null,
  url: 'https://shop.example/a',
  events: ['order.created', 'order.paid'] as const,
});

/** Deliveries of a webhook, the newest last. */
async function deliver(
  webhookId: string,
  ...rows: { status: string; days?: number; leased?: boolean }[]
): Promise<readonly DeliveryId[]> {
  const inserted = await database.query<{ id: string }>(
    /* sql */ `
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, subject_id, place, body,
                                    status, tries, due_at, leased, created_at, updated_at)
    SELECT gen_random_uuid(), $1, gen_random_uuid(), 'order.paid', gen_random_uuid(), 1, '{}',
           status::delivery_status, 3,
           CASE status WHEN 'pending' THEN now() + interval '1 h' END, leased,
           now() - days * interval '1 day' + n * interval '1 ms', now() - days * interval '1 day'
      FROM unnest($2::text[], $3::numeric[], $4::boolean[]) WITH ORDINALITY
           AS d (status, days, leased, n)
     ORDER BY n
    RETURNING id`,
    [
      webhookId,
      rows.map(({ status }) => status),
      rows.map(({ days = 0 }) => days),
      rows.map(({ leased = false }) => leased),
    ],
  );
  return inserted.map(({ id }) => {
    const parsed = parseDeliveryId(id);
    if (parsed === undefined) throw new Error('not an id');
    return parsed;
  });
}

describe('a webhook', () => {
  test('is made with a secret of its own, which is told only then', async () => {
    const asked = request();
    const first = await webhooks.createWebhook(asked);
    const second = await webhooks.createWebhook(asked);
    if (first.type !== 'created' || second.type !== 'created') throw new Error('refused');
    expect(first.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(second.secret).not.toBe(first.secret);
    const { userId, merchantId, url, events } = asked;
    expect(first.webhook).toMatchObject({ userId, merchantId, url, events, active: true });
    const own = { userId, webhookId: first.webhook.id };
    expect(await webhooks.findWebhook(own)).toEqual(first.webhook);
    const { items } = await webhooks.listWebhooks(userId, ALL);
    expect(items).toEqual([second.webhook, first.webhook]);
    expect(JSON.stringify(items)).not.toContain('whsec_');
  });

  test('is made once per key, also by requests at the same moment (I3)', async () => {
    const asked = { ...request(), idempotencyKey: 'k-1' };
    const outcomes = await Promise.all(
      Array.from({ length: 4 }, () => webhooks.createWebhook(asked)),
    );
    const made = outcomes.map((outcome) =>
      outcome.type === 'created' ? outcome.secret : outcome.type,
    );
    expect(new Set(made).size).toBe(1);
    expect((await webhooks.listWebhooks(asked.userId, ALL)).items).toHaveLength(1);
    const sameEvents = { ...asked, events: asked.events.toReversed() };
    expect(await webhooks.createWebhook(sameEvents)).toMatchObject({ replayed: true });
    const other = await webhooks.createWebhook({ ...asked, url: 'https://other.example/' });
    expect(other).toEqual({ type: 'key-reused' });
  });

  test('is one of a bounded number, also when many are made at once (I9)', async () => {
    const asked = request();
    const outcomes = await Promise.all(
      Array.from({ length: WEBHOOKS_PER_USER_MAX + 5 }, () => webhooks.createWebhook(asked)),
    );
    const refused = outcomes.filter(({ type }) => type === 'refused');
    expect(refused).toEqual(Array(5).fill({ type: 'refused', code: 'too-many-webhooks' }));
    const { items } = await webhooks.listWebhooks(asked.userId, ALL);
    expect(items).toHaveLength(WEBHOOKS_PER_USER_MAX);
    const [one] = items;
    if (one === undefined) throw new Error('none');
    await webhooks.deleteWebhook({ userId: asked.userId, webhookId: one.id });
    expect(await webhooks.createWebhook(asked)).toMatchObject({ type: 'created' });
  });

  test('is changed in part', async () => {
    const own = await stage.webhook(newUserId(), ['order.created']);
    const before = await webhooks.findWebhook(own);
    const changed = await webhooks.changeWebhook(own, { active: false });
    expect(changed).toMatchObject({ active: false, url: before?.url, events: ['order.created'] });
    const url = 'https://other.example/';
    expect(await webhooks.changeWebhook(own, { url, events: ['order.paid'] })).toMatchObject({
      active: false,
      url,
      events: ['order.paid'],
    });
  });

  test('is none for anybody else', async () => {
    const { webhookId } = await stage.webhook(newUserId(), ['order.created']);
    const other = { userId: newUserId(), webhookId };
    const [deliveryId] = await deliver(webhookId, { status: 'dead' });
    if (deliveryId === undefined) throw new Error('none');
    expect(await webhooks.findWebhook(other)).toBeUndefined();
    expect(await webhooks.changeWebhook(other, { active: false })).toBeUndefined();
    expect(await webhooks.deleteWebhook(other)).toBe(false);
    expect(await webhooks.listDeliveries(other, null, ALL)).toBeUndefined();
    expect(await webhooks.replayDelivery(other, { deliveryId, idempotencyKey: null })).toEqual({
      type: 'refused',
      code: 'webhook-not-found',
    });
  });

  test('that was deleted is none any more, and goes with all of its deliveries in time', async () => {
    const own = await stage.webhook(newUserId(), ['order.created']);
    await deliver(
      own.webhookId,
      { status: 'pending' },
      { status: 'delivered' },
      { status: 'dead' },
    );
    expect(await webhooks.deleteWebhook(own)).toBe(true);
    expect(await webhooks.deleteWebhook(own)).toBe(false);
    expect(await webhooks.findWebhook(own)).toBeUndefined();
    expect((await webhooks.listWebhooks(own.userId, ALL)).items).toEqual([]);
    expect(await webhooks.changeWebhook(own, { active: true })).toBeUndefined();
    expect(await webhooks.listDeliveries(own, null, ALL)).toBeUndefined();
    expect(await createWebhookSweep(pool).sweep()).toBe(false);
    const left = await database.query('SELECT FROM webhooks WHERE id = $1', [own.webhookId]);
    expect(left).toEqual([]);
  });
});

describe('deliveries', () => {
  let own: WebhookOfUser;
  beforeAll(async () => {
    own = await stage.webhook(newUserId(), ['order.created']);
    const statuses = ['dead', 'delivered', 'pending', 'dead'];
    await deliver(own.webhookId, ...statuses.map((status) => ({ status })));
  });

  test('are listed newest first, page by page, by status', async () => {
    const all = await webhooks.listDeliveries(own, null, { limit: 3, after: null });
    expect(all?.items.map(({ status }) => status)).toEqual(['dead', 'pending', 'delivered']);
    const rest = await webhooks.listDeliveries(own, null, { limit: 3, after: all?.next ?? null });
    expect(rest?.items.map(({ status }) => status)).toEqual(['dead']);
    expect(rest?.next).toBeNull();
    const dead = await webhooks.listDeliveries(own, 'dead', ALL);
    expect(dead?.items).toEqual([all?.items[0], rest?.items[0]]);
  });

  test('of one status are found without reading the others', async () => {
    await deliver(own.webhookId, ...Array.from({ length: 5000 }, () => ({ status: 'delivered' })));
    await database.query('ANALYZE webhook_deliveries');
    const plan = await database.query(
      /* sql */ `
      EXPLAIN (FORMAT JSON) SELECT id FROM webhook_deliveries
       WHERE webhook_id = $1 AND status = 'dead' AND (created_at, id) < (now(), $1)
       ORDER BY created_at DESC, id DESC LIMIT 20`,
      [own.webhookId],
    );
    expect(JSON.stringify(plan)).toContain('webhook_deliveries_status_idx');
  });

  test.each(['dead', 'delivered', 'pending'])(
    'that are %s are due at once when they are replayed, with all their tries',
    async (status) => {
      const [deliveryId] = await deliver(own.webhookId, { status });
      if (deliveryId === undefined) throw new Error('none');
      const outcome = await webhooks.replayDelivery(own, { deliveryId, idempotencyKey: null });
      if (outcome.type !== 'due') throw new Error(outcome.type);
      expect(outcome.delivery).toMatchObject({ id: deliveryId, status: 'pending', tries: 0 });
      expect(outcome.delivery.nextTryAt).toBeLessThanOrEqual(Date.now() + 1000);
    },
  );

  test('are not sent twice side by side', async () => {
    const [deliveryId] = await deliver(own.webhookId, { status: 'pending', leased: true });
    if (deliveryId === undefined) throw new Error('none');
    const outcome = await webhooks.replayDelivery(own, { deliveryId, idempotencyKey: null });
    if (outcome.type !== 'due') throw new Error(outcome.type);
    expect(outcome.delivery.tries).toBe(3);
    expect(outcome.delivery.nextTryAt).toBeGreaterThan(Date.now() + 60_000);
  });

  test('are replayed once per key (I3)', async () => {
    const [deliveryId, other] = await deliver(
      own.webhookId,
      { status: 'dead' },
      { status: 'dead' },
    );
    if (deliveryId === undefined || other === undefined) throw new Error('none');
    const idempotencyKey = 'replay-1';
    const first = await webhooks.replayDelivery(own, { deliveryId, idempotencyKey });
    await database.query(
      "UPDATE webhook_deliveries SET status = 'delivered', due_at = NULL WHERE id = $1",
      [deliveryId],
    );
    const again = await webhooks.replayDelivery(own, { deliveryId, idempotencyKey });
    expect(again).toEqual({ ...first, replayed: true });
    const rows = await database.query('SELECT status FROM webhook_deliveries WHERE id = $1', [
      deliveryId,
    ]);
    expect(rows).toEqual([{ status: 'delivered' }]);
    const reused = await webhooks.replayDelivery(own, { deliveryId: other, idempotencyKey });
    expect(reused).toEqual({ type: 'key-reused' });
  });

  test('are refused a replay when there is none, or nothing is sent to the webhook', async () => {
    const [deliveryId] = await deliver(own.webhookId, { status: 'dead' });
    const [foreign] = await deliver(
      (await stage.webhook(newUserId(), ['order.created'])).webhookId,
      { status: 'dead' },
    );
    if (deliveryId === undefined || foreign === undefined) throw new Error('none');
    const asked = { deliveryId: foreign, idempotencyKey: null };
    expect(await webhooks.replayDelivery(own, asked)).toMatchObject({ code: 'delivery-not-found' });
    await webhooks.changeWebhook(own, { active: false });
    const inactive = { deliveryId, idempotencyKey: null };
    expect(await webhooks.replayDelivery(own, inactive)).toMatchObject({
      code: 'webhook-inactive',
    });
    await webhooks.changeWebhook(own, { active: true });
  });
});

describe('the sweep', () => {
  const statusesOf = async ({ webhookId }: WebhookOfUser): Promise<readonly string[]> => {
    const rows = await database.query<{ status: string }>(
      'SELECT status FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY created_at',
      [webhookId],
    );
    return rows.map(({ status }) => status);
  };

  test('deletes what was delivered a week ago, and dead letters after a month', async () => {
    const own = await stage.webhook(newUserId(), ['order.created']);
    await deliver(
      own.webhookId,
      { status: 'dead', days: 31 },
      { status: 'dead', days: 29 },
      { status: 'delivered', days: 8 },
      { status: 'delivered', days: 6 },
    );
    expect(await createWebhookSweep(pool).sweep()).toBe(false);
    expect(await statusesOf(own)).toEqual(['dead', 'delivered']);
  });

  test('gives up what nobody tried for days, though not what was just replayed', async () => {
    const own = await stage.webhook(newUserId(), ['order.created']);
    const [replayed] = await deliver(
      own.webhookId,
      { status: 'dead', days: 20 },
      { status: 'pending', days: 4 },
      { status: 'pending', days: 2 },
    );
    if (replayed === undefined) throw new Error('none');
    await webhooks.replayDelivery(own, { deliveryId: replayed, idempotencyKey: null });
    await createWebhookSweep(pool).sweep();
    expect(await statusesOf(own)).toEqual(['pending', 'dead', 'pending']);
  });

  test('gives up whatever a webhook that is not active has pending, in chunks (I9)', async () => {
    const own = await stage.webhook(newUserId(), ['order.created']);
    await deliver(own.webhookId, ...Array.from({ length: 1500 }, () => ({ status: 'pending' })));
    await webhooks.changeWebhook(own, { active: false });
    const dead = async () => (await statusesOf(own)).filter((status) => status === 'dead').length;
    expect([await createWebhookSweep(pool).sweep(), await dead()]).toEqual([true, 1000]);
    expect([await createWebhookSweep(pool).sweep(), await dead()]).toEqual([false, 1500]);
    const due = await database.query(
      'SELECT FROM webhook_deliveries WHERE webhook_id = $1 AND due_at IS NOT NULL',
      [own.webhookId],
    );
    expect(due).toEqual([]);
  });
});
