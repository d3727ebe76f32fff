import { describe, expect, test } from 'vitest';

import { WEBHOOK_EVENTS } from '../../src/domain/webhook.ts';
import type { Delivery, Webhook } from '../../src/domain/webhook.ts';
import { WEBHOOK_BYTES_MAX } from '../../src/http/webhook-schemas.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, CUSTOMER, MERCHANT, NOW, orderId, OTHER_MERCHANT, TestApp } from './fake-ports.ts';
import { deliveryId, webhookId } from './fake-webhooks.ts';
import { widestJson } from './widest-json.ts';

const URL = 'https://shop.example/hooks?key=1';
const SECRET = 'whsec_c2VjcmV0';
const WEBHOOK: Webhook = {
  id: webhookId(1),
  userId: MERCHANT,
  merchantId: MERCHANT,
  url: URL,
  events: ['order.paid'],
  active: true,
  createdAt: NOW,
  updatedAt: NOW + 1000,
};
const SHOWN = {
  id: webhookId(1),
  url: URL,
  events: ['order.paid'],
  active: true,
  merchant_id: MERCHANT,
  created_at: '2030-01-02T03:04:05.678Z',
  updated_at: '2030-01-02T03:04:06.678Z',
};
const DELIVERY: Delivery = {
  id: deliveryId(1),
  eventId: '00000000-0000-8000-8000-000000000001',
  event: 'order.paid',
  subjectId: orderId(1),
  status: 'dead',
  tries: 8,
  nextTryAt: null,
  httpStatus: null,
  failure: 'ECONNREFUSED',
  createdAt: NOW,
  updatedAt: NOW,
};
const SHOWN_DELIVERY = {
  id: deliveryId(1),
  event_id: DELIVERY.eventId,
  type: 'order.paid',
  subject_id: orderId(1),
  status: 'dead',
  tries: 8,
  next_try_at: null,
  http_status: null,
  failure: 'ECONNREFUSED',
  created_at: '2030-01-02T03:04:05.678Z',
  updated_at: '2030-01-02T03:04:05.678Z',
};
const ONE = `/webhooks/${webhookId(1)}`;
const REPLAY = `${ONE}/deliveries/${deliveryId(1)}/replay`;

function setUp() {
  const app = new TestApp();
  app.webhooks.rows.push(WEBHOOK);
  app.webhooks.createOutcome = {
    type: 'created',
    webhook: WEBHOOK,
    secret: SECRET,
    replayed: false,
  };
  app.webhooks.replayOutcome = { type: 'due', delivery: DELIVERY, replayed: false };
  return {
    app,
    merchant: app.bearer(MERCHANT, 'merchant'),
    other: app.bearer(OTHER_MERCHANT, 'merchant'),
    admin: app.bearer(ADMIN, 'admin'),
  };
}

describe('POST /webhooks', () => {
  const body = { url: URL, events: ['order.paid'] };

  test('shows the secret and where the webhook is', async () => {
    const { app, merchant } = setUp();
    const response = await app.post('/webhooks', body, merchant);
    expect(response.statusCode).toBe(201);
    expect(response.headers.location).toBe(ONE);
    expect(response.json()).toStrictEqual({ ...SHOWN, secret: SECRET });
    expect(JSON.stringify(app.log)).not.toContain(SECRET);
  });

  test('is for events of the merchant, and for everything of an admin, under the key', async () => {
    const { app, merchant, admin } = setUp();
    await app.post('/webhooks', body, { ...merchant, 'idempotency-key': 'k-1' });
    await app.post('/webhooks', body, admin);
    expect(app.webhooks.created).toEqual([
      { ...body, userId: MERCHANT, merchantId: MERCHANT, idempotencyKey: 'k-1' },
      { ...body, userId: ADMIN, merchantId: null, idempotencyKey: null },
    ]);
  });

  test('of a key that was used before shows what it made then (I3)', async () => {
    const { app, merchant } = setUp();
    const outcome = { type: 'created', webhook: WEBHOOK, secret: SECRET, replayed: true } as const;
    app.webhooks.createOutcome = outcome;
    const response = await app.post('/webhooks', body, merchant);
    expect(response.statusCode).toBe(201);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect(response.json()).toMatchObject({ secret: SECRET });
  });

  test('is refused with a key of another request, and beyond the bound (I9)', async () => {
    const { app, merchant } = setUp();
    app.webhooks.createOutcome = { type: 'key-reused' };
    expectProblem(await app.post('/webhooks', body, merchant), 'idempotency-key-reused');
    app.webhooks.createOutcome = { type: 'refused', code: 'too-many-webhooks' };
    expectProblem(await app.post('/webhooks', body, merchant), 'too-many-webhooks');
  });

  test.each([
    ['no events', { url: URL, events: [] }, 'events'],
    ['an event twice', { url: URL, events: ['order.paid', 'order.paid'] }, 'events'],
    ['an unknown event', { url: URL, events: ['order.lost'] }, 'events[0]'],
    ['no url', { events: ['order.paid'] }, 'url'],
    ['another protocol', { url: 'ftp://a.example', events: ['order.paid'] }, 'url'],
    ['a space', { url: 'https://a.example/ b', events: ['order.paid'] }, 'url'],
    ['a long url', { url: `https://a/${'x'.repeat(2048)}`, events: ['order.paid'] }, 'url'],
    ['an unknown field', { url: URL, events: ['order.paid'], secret: SECRET }, 'secret'],
  ])('is refused with %s', async (_, sent, path) => {
    const { app, merchant } = setUp();
    expect(expectInvalid(await app.post('/webhooks', sent, merchant))).toEqual([path]);
    expect(app.webhooks.created).toEqual([]);
  });

  test('is refused when nothing may be sent there, and so is a change of the url', async () => {
    const { app, merchant } = setUp();
    app.webhookTargets.refused = 'must not lead to a private or local address';
    const created = expectProblem(await app.post('/webhooks', body, merchant), 'validation');
    const errors = [{ path: 'url', message: 'must not lead to a private or local address' }];
    expect(created.errors).toEqual(errors);
    const changed = await app.send({
      method: 'PATCH',
      url: ONE,
      payload: { url: URL },
      headers: merchant,
    });
    expect(expectProblem(changed, 'validation').errors).toEqual(errors);
    expect([app.webhooks.created, app.webhooks.changes]).toEqual([[], []]);
  });

  test('accepts the widest spelling of the longest body', async () => {
    const { app, merchant } = setUp();
    const longest = { url: `https://a/${'x'.repeat(2038)}`, events: WEBHOOK_EVENTS };
    const payload = widestJson(longest);
    expect(payload.length).toBeLessThanOrEqual(WEBHOOK_BYTES_MAX);
    const headers = { ...merchant, 'content-type': 'application/json' };
    const response = await app.send({ method: 'POST', url: '/webhooks', payload, headers });
    expect(response.statusCode).toBe(201);
  });
});

describe('who may', () => {
  const routes = [
    ['POST', '/webhooks'],
    ['GET', '/webhooks'],
    ['GET', ONE],
    ['PATCH', ONE],
    ['DELETE', ONE],
    ['GET', `${ONE}/deliveries`],
    ['POST', REPLAY],
  ] as const;

  test.each(routes)('%s %s: no customer, and nobody without a token', async (method, url) => {
    const { app } = setUp();
    const payload =
      method === 'POST' && url === '/webhooks' ? { url: URL, events: ['order.paid'] } : {};
    const body = method === 'GET' || method === 'DELETE' ? {} : { payload };
    const customer = app.bearer(CUSTOMER, 'customer');
    expectProblem(await app.send({ method, url, headers: customer, ...body }), 'forbidden');
    expectProblem(await app.send({ method, url, ...body }), 'unauthenticated');
    expect([app.webhooks.created, app.webhooks.changes, app.webhooks.replays]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test("somebody else's webhook is none, not even for an admin", async () => {
    const { app, other, admin } = setUp();
    for (const headers of [other, admin]) {
      expectProblem(await app.get(ONE, headers), 'webhook-not-found');
      expectProblem(await app.get(`${ONE}/deliveries`, headers), 'webhook-not-found');
      const change = { method: 'PATCH', url: ONE, payload: { active: false }, headers } as const;
      expectProblem(await app.send(change), 'webhook-not-found');
      const removed = await app.send({ method: 'DELETE', url: ONE, headers });
      expectProblem(removed, 'webhook-not-found');
    }
  });
});

describe('a webhook', () => {
  test('is read, listed, changed and deleted without its secret', async () => {
    const { app, merchant } = setUp();
    expect((await app.get(ONE, merchant)).json()).toStrictEqual(SHOWN);
    const list = await app.get('/webhooks?limit=5', merchant);
    expect(list.json()).toStrictEqual({ items: [SHOWN], next_cursor: null });
    expect(app.webhooks.lists).toEqual([{ userId: MERCHANT, page: { limit: 5, after: null } }]);
    const payload = { active: false, events: ['order.created'] };
    const changed = await app.send({ method: 'PATCH', url: ONE, payload, headers: merchant });
    expect(changed.json()).toStrictEqual(SHOWN);
    expect(app.webhooks.changes).toEqual([payload]);
    const removed = await app.send({ method: 'DELETE', url: ONE, headers: merchant });
    expect([removed.statusCode, removed.body]).toEqual([204, '']);
  });

  test.each([
    [{ active: null }, 'active'],
    [{ events: [] }, 'events'],
    [{ merchant_id: OTHER_MERCHANT }, 'merchant_id'],
  ])('cannot be changed to %j', async (payload, path) => {
    const { app, merchant } = setUp();
    const response = await app.send({ method: 'PATCH', url: ONE, payload, headers: merchant });
    expect(expectInvalid(response)).toEqual([path]);
  });

  test('is looked for under a UUID only', async () => {
    const { app, merchant } = setUp();
    expect(expectInvalid(await app.get('/webhooks/1', merchant))).toEqual(['params.id']);
    expect(expectInvalid(await app.get('/webhooks?cursor=1', merchant))).toEqual(['query.cursor']);
  });
});

describe('deliveries', () => {
  test('are listed by status: dead ones are the letters that nobody took', async () => {
    const { app, merchant } = setUp();
    const next = { createdAtUs: '1', id: deliveryId(1) };
    app.webhooks.deliveries = { items: [DELIVERY], next };
    const response = await app.get(`${ONE}/deliveries?status=dead&limit=1`, merchant);
    const { items, next_cursor } = response.json<{ items: object[]; next_cursor: string }>();
    expect(items).toStrictEqual([SHOWN_DELIVERY]);
    await app.get(`${ONE}/deliveries?cursor=${next_cursor}`, merchant);
    expect(app.webhooks.deliveryLists).toEqual([
      { status: 'dead', page: { limit: 1, after: null } },
      { status: null, page: { limit: 20, after: next } },
    ]);
    const unknown = await app.get(`${ONE}/deliveries?status=lost`, merchant);
    expect(expectInvalid(unknown)).toEqual(['query.status']);
  });

  test('are sent again under a key (I3)', async () => {
    const { app, merchant } = setUp();
    const response = await app.post(REPLAY, {}, { ...merchant, 'idempotency-key': 'k-1' });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toStrictEqual(SHOWN_DELIVERY);
    expect(app.webhooks.replays).toEqual([
      {
        userId: MERCHANT,
        webhookId: webhookId(1),
        deliveryId: deliveryId(1),
        idempotencyKey: 'k-1',
      },
    ]);
    app.webhooks.replayOutcome = { type: 'due', delivery: DELIVERY, replayed: true };
    const again = await app.post(REPLAY, {}, merchant);
    expect([again.statusCode, again.headers['idempotency-replayed']]).toEqual([200, 'true']);
  });

  test.each(['webhook-not-found', 'delivery-not-found', 'webhook-inactive'] as const)(
    'are not sent again: %s',
    async (code) => {
      const { app, merchant } = setUp();
      app.webhooks.replayOutcome = { type: 'refused', code };
      expectProblem(await app.post(REPLAY, {}, merchant), code);
    },
  );

  test('are not sent again under a key of another request', async () => {
    const { app, merchant } = setUp();
    app.webhooks.replayOutcome = { type: 'key-reused' };
    expectProblem(await app.post(REPLAY, {}, merchant), 'idempotency-key-reused');
  });
});
