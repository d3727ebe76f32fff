import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../src/db/pool.ts';
import { createWebhookOutbox } from '../../src/db/webhook-outbox.ts';
import { createWebhookStore } from '../../src/db/webhook-store.ts';
import type { OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import { WEBHOOK_EVENTS } from '../../src/domain/webhook.ts';
import type { WebhookOfUser, WebhookOutbox } from '../../src/domain/webhook.ts';
import { orderJson } from '../../src/http/order-json.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { newUserId, WebhookStage } from './webhook-stage.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let stage: WebhookStage;
let outbox: WebhookOutbox;
let merchant: UserId;
let other: UserId;
let product: ProductId;
let otherProduct: ProductId;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 4,
    statementTimeoutMs: 5000,
    applicationName: 'webhook-outbox-under-test',
    onError: () => undefined,
  });
  stage = new WebhookStage(database, pool);
  outbox = createWebhookOutbox(pool, { orderJson });
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

beforeEach(async () => {
  await database.query(
    'TRUNCATE webhooks, webhook_deliveries, commit_batches, orders, order_items',
  );
  merchant = newUserId();
  other = newUserId();
  product = await stage.product(merchant);
  otherProduct = await stage.product(other);
});

interface Body {
  readonly type: string;
  readonly timestamp: string;
  readonly data: {
    readonly id: string;
    readonly status: string;
    readonly items: { readonly product_id: string }[];
    readonly total: { readonly amount: number };
    readonly available: number;
  };
}

interface Row {
  readonly eventId: string;
  readonly type: string;
  readonly subjectId: string;
  readonly place: number;
  readonly body: Body;
}

async function expandAll(): Promise<void> {
  while ((await outbox.expand()) > 0);
}

/** What is to be sent to a webhook, by subject and place. */
function deliveriesOf({ webhookId }: WebhookOfUser): Promise<Row[]> {
  return database.query<Row & Record<string, unknown>>(
    /* sql */ `
    SELECT event_id AS "eventId", event_type AS type, subject_id AS "subjectId", place,
           body::json AS body
      FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY subject_id, place`,
    [webhookId],
  );
}

async function pendingBatches(): Promise<number> {
  const rows = await database.query<{ found: number }>(
    'SELECT count(*)::int AS found FROM outbox WHERE pending',
  );
  return rows[0]?.found ?? -1;
}

const known = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('there is none');
  return value;
};

describe('orders', () => {
  test('are told to who wants to hear of them, as they were then', async () => {
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    const paid = await stage.webhook(null, ['order.paid']);
    const ids = await stage.placed(3, [product]);
    await stage.changed(ids.slice(0, 2), 'PAID');
    await stage.changed(ids.slice(2), 'EXPIRED');
    await expandAll();
    const told = await deliveriesOf(all);
    const ofOrder = (id: OrderId | undefined) =>
      told.filter(({ subjectId }) => subjectId === id).map(({ type, place }) => [type, place]);
    expect(ofOrder(ids[0])).toEqual([
      ['order.created', 0],
      ['order.paid', 1],
    ]);
    expect(ofOrder(ids[2])).toEqual([
      ['order.created', 0],
      ['order.expired', 4],
    ]);
    const created = known(told.find(({ subjectId }) => subjectId === ids[0]));
    expect(created.body).toMatchObject({
      type: 'order.created',
      data: {
        id: ids[0],
        status: 'WAITING_PAYMENT',
        items: [{ product_id: product, quantity: 2, unit_price: { amount: 500 } }],
        total: { amount: 1000, currency: 'USD' },
        metadata: { k: 'v' },
        payments: [],
      },
    });
    expect(Date.parse(created.body.timestamp)).toBeGreaterThan(Date.now() - 60_000);
    const onlyPaid = await deliveriesOf(paid);
    expect(onlyPaid.map(({ type, body }) => [type, body.data.status])).toEqual([
      ['order.paid', 'PAID'],
      ['order.paid', 'PAID'],
    ]);
    expect(await pendingBatches()).toBe(0);
  });

  test('of an event have one id for every webhook, and another for every event', async () => {
    const webhooks = [await stage.webhook(null, WEBHOOK_EVENTS), await stage.webhook(merchant, WEBHOOK_EVENTS)]; // prettier-ignore
    const ids = await stage.placed(2, [product]);
    await stage.changed(ids, 'PAID');
    await expandAll();
    const [first = [], second = []] = await Promise.all(webhooks.map(deliveriesOf));
    const eventIds = first.map(({ eventId }) => eventId);
    expect(new Set(eventIds).size).toBe(4);
    expect(second.map(({ eventId }) => eventId)).toEqual(eventIds);
  });

  test('show a merchant its own lines and nothing of the others', async () => {
    const mine = await stage.webhook(merchant, WEBHOOK_EVENTS);
    const third = await stage.webhook(newUserId(), WEBHOOK_EVENTS);
    const [both] = await stage.placed(1, [product, otherProduct]);
    await stage.placed(1, [otherProduct]);
    await expandAll();
    const told = await deliveriesOf(mine);
    expect(told.map(({ subjectId }) => subjectId)).toEqual([both]);
    const { data } = known(told[0]).body;
    expect(data.items.map(({ product_id }) => product_id)).toEqual([product]);
    expect(data.total.amount).toBe(1000);
    expect(JSON.stringify(told)).not.toContain(otherProduct);
    expect(await deliveriesOf(third)).toEqual([]);
  });

  test('that are not there any more cost nobody the others', async () => {
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    const ids = await stage.placed(2, [product]);
    await database.query('DELETE FROM orders WHERE id = $1', [ids[0]]);
    await expandAll();
    expect((await deliveriesOf(all)).map(({ subjectId }) => subjectId)).toEqual([ids[1]]);
    expect(await pendingBatches()).toBe(0);
  });
});

describe('products', () => {
  test('that sold out and came back are told so, in the order of the batches', async () => {
    const mine = await stage.webhook(merchant, ['product.sold_out', 'product.restocked']);
    const theirs = await stage.webhook(other, ['product.sold_out', 'product.restocked']);
    await stage.stocked(product, 0, { soldOut: true });
    await stage.stocked(product, 7, { restocked: true });
    await expandAll();
    await stage.stocked(product, 0, { soldOut: true });
    await expandAll();
    const told = await deliveriesOf(mine);
    expect(told.map(({ type, place, body }) => [type, place, body.data.available])).toEqual([
      ['product.sold_out', 1, 0],
      ['product.restocked', 2, 7],
      ['product.sold_out', 3, 0],
    ]);
    expect(known(told[0]).body.data).toEqual({ id: product, name: 'A thing', available: 0 });
    expect(new Set(told.map(({ eventId }) => eventId)).size).toBe(3);
    expect(await deliveriesOf(theirs)).toEqual([]);
  });

  test('are told in the order of the ledger when batches overtook each other', async () => {
    const mine = await stage.webhook(merchant, ['product.sold_out', 'product.restocked']);
    await stage.stocked(product, 0, { soldOut: true });
    await stage.stocked(product, 7, { restocked: true });
    await database.query(
      "UPDATE outbox SET created_at = created_at - interval '1 s' WHERE restocked <> '{}'",
    );
    await expandAll();
    const told = (await deliveriesOf(mine)).map(({ type }) => type);
    expect(told).toEqual(['product.sold_out', 'product.restocked']);
  });

  test.each([
    [0, 'product.sold_out'],
    [3, 'product.restocked'],
  ])('that did both in one batch are told what was committed: %i left', async (stock, type) => {
    const mine = await stage.webhook(merchant, ['product.sold_out', 'product.restocked']);
    await stage.stocked(product, stock, { soldOut: true, restocked: true });
    await expandAll();
    const told = await deliveriesOf(mine);
    expect(told.map((row) => [row.type, row.body.data.available])).toEqual([[type, stock]]);
  });

  test('keep their place behind what is still to be sent, far beyond the largest', async () => {
    const mine = await stage.webhook(merchant, ['product.sold_out', 'product.restocked']);
    await stage.stocked(product, 0, { soldOut: true });
    await expandAll();
    await database.query('UPDATE webhook_deliveries SET place = 32766');
    await stage.stocked(product, 1, { restocked: true });
    await stage.stocked(product, 0, { soldOut: true });
    await expandAll();
    expect((await deliveriesOf(mine)).map(({ place }) => place)).toEqual([32766, 32767, 32767]);
  });
});

describe('a webhook', () => {
  test('that is not active, or was deleted, is told nothing', async () => {
    const webhooks = createWebhookStore(pool);
    const inactive = await stage.webhook(null, WEBHOOK_EVENTS);
    const deleted = await stage.webhook(null, WEBHOOK_EVENTS);
    await webhooks.changeWebhook(inactive, { active: false });
    await webhooks.deleteWebhook(deleted);
    await stage.placed(1, [product]);
    await expandAll();
    expect([await deliveriesOf(inactive), await deliveriesOf(deleted)]).toEqual([[], []]);
    expect(await pendingBatches()).toBe(0);
  });

  test('whose user lost the role is told nothing', async () => {
    const mine = await stage.webhook(merchant, WEBHOOK_EVENTS);
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    await database.query("INSERT INTO users VALUES ($1, 'ex', 'ex', '', 'merchant', now())", [
      all.userId,
    ]);
    await database.query("UPDATE users SET role = 'customer' WHERE id = $1", [merchant]);
    await stage.placed(1, [product]);
    await expandAll();
    expect([await deliveriesOf(mine), await deliveriesOf(all)]).toEqual([[], []]);
  });

  test('is told what committed after it was made', async () => {
    const before = await stage.placed(1, [product]);
    await database.query("UPDATE outbox SET created_at = created_at - interval '2 minutes'");
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    const after = await stage.placed(1, [product]);
    await expandAll();
    const told = (await deliveriesOf(all)).map(({ subjectId }) => subjectId);
    expect(told).toEqual(after);
    expect(told).not.toContain(before[0]);
  });
});

describe('the outbox', () => {
  test('is dealt with in bounded steps, however much one batch holds (I9)', async () => {
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    await stage.placed(1200, [product]);
    await stage.placed(700, [product]);
    await stage.placed(200, [product]);
    await stage.placed(400, [product]);
    expect(await outbox.expand()).toBe(1);
    expect(await outbox.expand()).toBe(2);
    expect(await outbox.expand()).toBe(1);
    expect(await outbox.expand()).toBe(0);
    expect(await deliveriesOf(all)).toHaveLength(2500);
  });

  test('goes on over a long list that interests nobody', async () => {
    const mine = await stage.webhook(merchant, ['order.created']);
    for (let n = 0; n < 250; n += 1) await stage.outbox({ orderIds: [], age: 600 });
    const ids = await stage.placed(1, [product]);
    expect(await outbox.expand()).toBe(200);
    await expandAll();
    expect((await deliveriesOf(mine)).map(({ subjectId }) => subjectId)).toEqual(ids);
  });

  test('writes the same deliveries once, whatever dies in between (I3)', async () => {
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    const ids = await stage.placed(3, [product]);
    await stage.changed(ids, 'CANCELLED');
    await stage.stocked(product, 9, { restocked: true });
    await expandAll();
    const first = await deliveriesOf(all);
    await database.query('UPDATE outbox SET pending = true');
    await expandAll();
    expect(await deliveriesOf(all)).toEqual(first);
    expect(first).toHaveLength(7);
  });

  test('stays pending when its transaction fails', async () => {
    const all = await stage.webhook(null, WEBHOOK_EVENTS);
    await stage.placed(1, [product]);
    const failing = createWebhookOutbox(pool, {
      orderJson: () => {
        throw new Error('half way');
      },
    });
    await expect(failing.expand()).rejects.toThrow('half way');
    expect([await pendingBatches(), await deliveriesOf(all)]).toEqual([1, []]);
    await expandAll();
    expect(await deliveriesOf(all)).toHaveLength(1);
  });

  test('is dealt with by one at a time', async () => {
    await stage.webhook(null, WEBHOOK_EVENTS);
    await stage.placed(500, [product]);
    const done = await Promise.all(Array.from({ length: 4 }, () => outbox.expand()));
    expect(done.reduce((sum, batches) => sum + batches, 0)).toBe(1);
  });
});
