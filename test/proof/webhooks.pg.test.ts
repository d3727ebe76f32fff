/**
 * The whole server and a receiver that is away, while orders are placed and the server is killed:
 * every event arrives at least once, signed, and those of one order in their order.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import {
  Customer,
  expectCleanAudit,
  makeProducts,
  MERCHANT_ID,
  productIds,
  restock,
} from '../support/shop.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import type { Received } from '../support/webhook-receiver.ts';

const ORDERS = 500;
const CUSTOMERS = 32;
const CANCELLED = 60;
/** Leased at most: 32 deliveries side by side, and as many that wait (job-runner.ts). */
const LEASED_MAX = 64;
/** After a receiver was away: the pause before the next probe, and what was tried meanwhile. */
const RETURN_MS_MAX = 45_000;
const OTHER_MERCHANT_ID = '00000000-0000-7000-8000-00000000cafe';
const ADMIN_ID = randomUUID();

/** The first two are one merchant's, the third the other's; the last one is about to sell out. */
const [first = '', second = '', foreign = '', scarce = ''] = productIds(4);
const SCARCE_UNITS = 3;
const PATHS = { admin: '/admin', merchant: '/merchant', other: '/other' } as const;

let database: TestDatabase;
let server: ServerProcess;
let receiver: WebhookReceiver;

const startServer = (): Promise<ServerProcess> =>
  ServerProcess.start({ databaseUrl: database.url, env: { WEBHOOK_ALLOW_PRIVATE: 'true' } });

beforeAll(async () => {
  database = await createTestDatabase();
  receiver = await WebhookReceiver.start();
  await makeProducts(database, { ids: [first, second, foreign], stock: 100_000 });
  await makeProducts(database, { ids: [scarce], stock: SCARCE_UNITS });
  await database.query(
    /* sql */ `
    INSERT INTO users (id, username, email, password_hash, role, created_at)
    VALUES ($1, 'other', 'other@test', '', 'merchant', now())`,
    [OTHER_MERCHANT_ID],
  );
  await database.query('UPDATE products SET merchant_id = $1 WHERE id = $2', [
    OTHER_MERCHANT_ID,
    foreign,
  ]);
  server = await startServer();
});

afterAll(async () => {
  await server.kill();
  await receiver.goAway();
  await database.close();
});

async function subscribe(path: string, token: string, events: readonly string[]): Promise<void> {
  const response = await fetch(`${server.url}/webhooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: receiver.urlOf(path), events }),
  });
  expect(response.status).toBe(201);
  const { secret } = (await response.json()) as { secret: string };
  receiver.trust(path, secret);
}

/** Two in three are of one merchant alone, every third also of the other. */
async function placeOrders(count: number): Promise<void> {
  const left = Array.from({ length: count }, (_, n) => n).values();
  await Promise.all(
    Array.from({ length: CUSTOMERS }, async () => {
      const customer = new Customer();
      for (const n of left) {
        const items = [
          [first, 1],
          [n % 3 === 0 ? foreign : second, 2],
        ] as const;
        const { status, body } = await customer.order(server.url, { items });
        expect(status).toBe(201);
        if (n % 8 !== 0) continue;
        const cancelled = await customer.cancel(server.url, String(body['id']));
        expect(cancelled).toMatchObject({ status: 200 });
      }
    }),
  );
}

const countOf = async (text: string): Promise<number> => {
  const [row] = await database.query<{ found: number }>(text);
  return row?.found ?? -1;
};
const leased = () =>
  countOf('SELECT count(*)::int AS found FROM webhook_deliveries WHERE leased AND due_at > now()');
const undelivered = () =>
  countOf(/* sql */ `
    SELECT ((SELECT count(*) FROM webhook_deliveries WHERE status = 'pending')
          + (SELECT count(*) FROM outbox WHERE pending))::int AS found`);

/** Of each subject the types in the order in which they arrived first. */
function storiesOf(events: readonly Received[]): Map<string, string[]> {
  const stories = new Map<string, string[]>();
  const seen = new Set<string>();
  for (const { id, type, data } of events) {
    if (seen.has(id)) continue;
    seen.add(id);
    const subject = String(data['id']);
    stories.set(subject, [...(stories.get(subject) ?? []), type]);
  }
  return stories;
}

/** What every order came to, by the rows. */
async function expectedStories(productId: string | null): Promise<Map<string, string[]>> {
  const rows = await database.query<{ id: string; status: string }>(
    /* sql */ `
    SELECT id, status FROM orders o
     WHERE $1::uuid IS NULL
        OR EXISTS (SELECT FROM order_items WHERE order_id = o.id AND product_id = $1)`,
    [productId],
  );
  return new Map(
    rows.map(({ id, status }) => [
      id,
      status === 'CANCELLED' ? ['order.created', 'order.cancelled'] : ['order.created'],
    ]),
  );
}

const productsIn = ({ data }: Received): string[] =>
  (data['items'] as { product_id: string }[]).map(({ product_id }) => product_id);

it(
  `delivers the events of ${ORDERS} orders that were placed while the receiver was away and the server killed`,
  { timeout: 120_000 },
  async () => {
    const orderEvents = ['order.created', 'order.cancelled'];
    await subscribe(PATHS.admin, tokenOf(ADMIN_ID, 'admin'), orderEvents);
    await subscribe(PATHS.merchant, tokenOf(MERCHANT_ID, 'merchant'), [
      ...orderEvents,
      'product.sold_out',
      'product.restocked',
    ]);
    await subscribe(PATHS.other, tokenOf(OTHER_MERCHANT_ID, 'merchant'), [
      ...orderEvents,
      'product.sold_out',
    ]);
    await placeOrders(1);
    await until('the first order is told', () => receiver.received.length >= 6);

    await receiver.goAway();
    await placeOrders(ORDERS / 2);
    await until('a try has failed', async () => {
      const tried = await countOf(
        "SELECT count(*)::int AS found FROM webhook_deliveries WHERE tries > 0 AND status = 'pending'",
      );
      return tried > 0;
    });
    await server.kill();
    server = await startServer();
    await placeOrders(ORDERS / 2);
    expect(await undelivered()).toBeGreaterThan(0);
    expect(await leased()).toBeLessThanOrEqual(LEASED_MAX);
    const before = receiver.received.length;
    await receiver.comeBack();

    await until(
      'deliveries have begun again',
      () => receiver.received.length > before + 100,
      RETURN_MS_MAX,
    );
    await server.kill();
    server = await startServer();
    await until(
      'everything is delivered',
      async () => {
        expect(await leased()).toBeLessThanOrEqual(LEASED_MAX);
        return (await undelivered()) === 0;
      },
      RETURN_MS_MAX,
    );

    expect(receiver.forged).toEqual([]);
    expect(storiesOf(receiver.at(PATHS.admin))).toEqual(await expectedStories(null));
    const mine = receiver.at(PATHS.merchant);
    expect(storiesOf(mine)).toEqual(await expectedStories(first));
    expect(new Set(mine.flatMap(productsIn))).toEqual(new Set([first, second]));
    const theirs = receiver.at(PATHS.other);
    expect(storiesOf(theirs)).toEqual(await expectedStories(foreign));
    expect(new Set(theirs.flatMap(productsIn))).toEqual(new Set([foreign]));
    const dead = await countOf(
      "SELECT count(*)::int AS found FROM webhook_deliveries WHERE status = 'dead'",
    );
    expect(dead).toBe(0);
    const cancelled = [...storiesOf(receiver.at(PATHS.admin)).values()].filter(
      (story) => story.length === 2,
    );
    expect(cancelled.length).toBeGreaterThanOrEqual(CANCELLED);
    const again = receiver.received.length - new Set(receiver.received.map(({ path, id }) => path + id)).size; // prettier-ignore
    process.stdout.write(`${receiver.received.length} deliveries, ${again} of them again\n`);
  },
);

it('tells a merchant when a product sold out and when it is back', async () => {
  const customer = new Customer();
  const order = { items: [[scarce, SCARCE_UNITS]] } as const;
  expect((await customer.order(server.url, order)).status).toBe(201);
  expect(await restock(server.url, { productId: scarce, delta: 5 })).toBe(200);
  const ofProduct = () =>
    receiver.at(PATHS.merchant).filter(({ type }) => type.startsWith('product.'));
  await until('both are told', () => ofProduct().length >= 2);
  expect(ofProduct().map(({ type, data }) => [type, data['id'], data['available']])).toEqual([
    ['product.sold_out', scarce, 0],
    ['product.restocked', scarce, 5],
  ]);
  expect(receiver.at(PATHS.other).filter(({ type }) => type.startsWith('product.'))).toEqual([]);
  expect(receiver.forged).toEqual([]);
  expect(await server.stop()).toBe(0);
  await expectCleanAudit(database);
});
