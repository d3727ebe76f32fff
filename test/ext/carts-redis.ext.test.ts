/** Carts of the whole server while the Redis beside it dies, hangs and returns: slower, never wrong. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { Shopper } from '../support/shopper.ts';
import { until } from '../support/until.ts';
import { RedisServer } from './redis-server.ts';

const SHOPPERS = 8;
/** Changes of one shopper between two accidents of Redis. */
const CHANGES = 40;
/** The server's bound on a command to Redis is 100 ms, and a change needs one. */
const ANSWER_MS_MAX = 2_000;
const IDS = productIds(4);
const [A = '', B = ''] = IDS;

let database: TestDatabase;
let redis: RedisServer;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: 1_000_000 });
  redis = await RedisServer.start();
  const env = { REDIS_URL: redis.url };
  server = await ServerProcess.start({ databaseUrl: database.url, env });
});

afterAll(async () => {
  await server.kill();
  await redis.stop();
  await database.close();
});

const newShopper = () => new Shopper(() => server.url);

const cachedCarts = async (): Promise<number> =>
  (await redis.client.keys('hedonify:cache:cart:*')).length;

/** A cart is in Redis again, which it is only when the server trusts Redis again. */
async function untilCached(): Promise<void> {
  await until('carts are cached again', async () => {
    await newShopper().fill([A, 1]);
    return (await cachedCarts()) > 0;
  });
}

/** Adds and reads: every answer is the newest, whatever Redis does meanwhile. */
class Browsing {
  readonly shopper = newShopper();
  cart = '';
  units = 0;
  slowestMs = 0;

  async begin(): Promise<void> {
    this.cart = await this.shopper.fill([A, 1]);
    this.units = 1;
  }

  async go(): Promise<void> {
    for (let n = 0; n < CHANGES; n += 1) {
      const start = performance.now();
      const added = await this.shopper.add(this.cart, [A, 1]);
      this.units += 1;
      const expected = { version: this.units, items: [{ product_id: A, quantity: this.units }] };
      expect(added).toMatchObject({ status: 200, body: expected });
      const read = await this.shopper.cart(this.cart);
      expect(read).toMatchObject({ status: 200, body: expected });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
    }
  }
}

test('a cart that is in Redis is read from there', async () => {
  const shopper = newShopper();
  await untilCached();
  const cart = await shopper.fill([A, 1]);
  const client = await database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE carts IN ACCESS EXCLUSIVE MODE');
    expect((await shopper.cart(cart)).status).toBe(200);
    // The copy is looked at like the original.
    expect((await newShopper().cart(cart)).status).toBe(404);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
});

test(
  'kill -9, a hang and a return of Redis cost no change, no error and no stale cart',
  { timeout: 60_000 },
  async () => {
    const all = Array.from({ length: SHOPPERS }, () => new Browsing());
    await Promise.all(all.map((it) => it.begin()));
    const accidents = [
      async () => {},
      () => redis.kill(),
      () => redis.run(),
      async () => redis.signal('SIGSTOP'),
      async () => redis.signal('SIGCONT'),
      async () => {
        await redis.kill();
        await redis.run();
      },
    ];
    for (const accident of accidents) {
      const browsing = Promise.all(all.map((it) => it.go()));
      await accident();
      await browsing;
    }
    const slowestMs = Math.round(Math.max(...all.map((it) => it.slowestMs)));
    expect(slowestMs).toBeLessThan(ANSWER_MS_MAX);
    await untilCached();
    process.stdout.write(
      `${SHOPPERS * accidents.length * CHANGES} changes beside a dying Redis, the slowest ${slowestMs} ms\n`,
    );
  },
);

test('a checkout while Redis is away orders what is committed, and once', async () => {
  const shopper = newShopper();
  const cart = await shopper.fill([A, 1]);
  await shopper.cart(cart);
  await redis.kill();
  await shopper.add(cart, [B, 2]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => shopper.checkOut(cart)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
  expect(answers[0]?.body['items']).toMatchObject([
    { product_id: A, quantity: 1 },
    { product_id: B, quantity: 2 },
  ]);
  await redis.run();
  await untilCached();
  expect((await shopper.cart(cart)).body).toMatchObject({ status: 'ordered' });
});
