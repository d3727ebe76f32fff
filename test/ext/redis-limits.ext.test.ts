import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RedisCache } from '../../src/cache/redis-cache.ts';
import { TestApp } from '../http/fake-ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import { Customer, makeProducts, MERCHANT_ID, productIds } from '../support/shop.ts';
import { RedisServer } from './redis-server.ts';

const LIMIT = 10;
/** Generous on a machine that is busy: the bound itself is 100 ms for each of two counters. */
const LOGIN_MS_MAX = 600;
const [product = ''] = productIds(1);
const CREDENTIALS = { email: 'ann@example.test', password: 'correct horse' };

let redis: RedisServer;

beforeEach(async () => {
  redis = await RedisServer.start();
});
afterEach(async () => {
  await redis.stop();
});

describe('attempts counted in Redis', () => {
  const open: RedisCache[] = [];
  afterEach(() => {
    for (const cache of open.splice(0)) cache.close();
  });

  /** The app of a process of its own, and its attempts. */
  async function edge() {
    let isUsable = false;
    const onChange = (impediment: string | null) => void (isUsable = impediment === null);
    const cache = new RedisCache({ url: redis.url, readMsMax: 0, onChange });
    open.push(cache);
    await expect.poll(() => isUsable).toBe(true);
    const app = new TestApp({ redis: cache.client });
    await app.post('/users/register', { ...CREDENTIALS, username: 'ann' });
    const attempt = async () => (await app.post('/users/login', CREDENTIALS)).statusCode;
    const usable = async (state: boolean) => {
      await expect.poll(() => isUsable, { timeout: 8_000 }).toBe(state);
    };
    return { attempt, usable };
  }

  async function times(count: number, attempt: () => Promise<number>): Promise<number[]> {
    const statuses: number[] = [];
    for (let n = 0; n < count; n += 1) statuses.push(await attempt());
    return statuses;
  }

  test('are counted over all processes, under names that tell nobody who it was', async () => {
    const [one, other] = [await edge(), await edge()];
    expect(await times(LIMIT / 2, one.attempt)).not.toContain(429);
    expect(await times(LIMIT / 2, other.attempt)).not.toContain(429);
    expect([await one.attempt(), await other.attempt()]).toEqual([429, 429]);
    const keys = await redis.client.keys('*');
    expect(keys.filter((key) => key.startsWith('hedonify:limit:login-'))).toHaveLength(2);
    expect(keys.join()).not.toContain('ann');
    for (const key of keys) {
      const ttlMs = await redis.client.pttl(key);
      expect(ttlMs).toBeGreaterThan(0);
      expect(ttlMs).toBeLessThanOrEqual(60_000);
    }
  });

  test('are counted by each process while Redis is dead, and together again when it is back', async () => {
    const { attempt, usable } = await edge();
    await redis.kill();
    await usable(false);
    const start = performance.now();
    expect(await times(LIMIT + 1, attempt)).toEqual([
      ...Array.from({ length: LIMIT }, () => 200),
      429,
    ]);
    expect(performance.now() - start).toBeLessThan(LOGIN_MS_MAX);
    await redis.run();
    await usable(true);
    expect(await attempt()).toBe(200);
    expect(await redis.client.keys('hedonify:limit:*')).toHaveLength(2);
  });

  test('keep nobody waiting for a Redis that hangs', async () => {
    const { attempt, usable } = await edge();
    redis.signal('SIGSTOP');
    const start = performance.now();
    expect(await attempt()).toBe(200);
    expect(performance.now() - start).toBeLessThan(LOGIN_MS_MAX);
    await usable(false);
    redis.signal('SIGCONT');
    await usable(true);
    expect(await attempt()).toBe(200);
  });
});

describe('the server', () => {
  let database: TestDatabase;
  let server: ServerProcess;
  let log: string[];

  beforeAll(async () => {
    database = await createTestDatabase();
    await makeProducts(database, { ids: [product], stock: 1_000 });
  });
  afterAll(async () => {
    await database.close();
  });

  /** What was told last; a busy machine may lose and find a silent Redis on its own. */
  const usable = () => {
    const last = log.findLast((line) => /Redis is (?:away|in use)/.test(line));
    return last?.includes('Redis is in use');
  };

  test('sells, lists and lets people in while Redis is killed and started again', async () => {
    log = [];
    const env = { REDIS_URL: redis.url, LOGIN_ATTEMPTS_PER_MINUTE: '1000' };
    const onLine = (line: string) => log.push(line);
    server = await ServerProcess.start({ databaseUrl: database.url, env, onLine });
    const json = { 'content-type': 'application/json' };
    const body = JSON.stringify({ ...CREDENTIALS, username: 'ann' });
    const account = { method: 'POST', headers: json, body };
    expect((await fetch(`${server.url}/users/register`, account)).status).toBe(201);
    const merchant = { authorization: `Bearer ${tokenOf(MERCHANT_ID, 'merchant')}` };
    const use = async (): Promise<number[]> => {
      const login = { method: 'POST', headers: json, body: JSON.stringify(CREDENTIALS) };
      const ordered = new Customer().order(server.url, { items: [[product, 1]] });
      const answers = await Promise.all([
        fetch(`${server.url}/users/login`, login),
        fetch(`${server.url}/products?merchant_id=${MERCHANT_ID}`, { headers: merchant }),
      ]);
      return [(await ordered).status, ...answers.map(({ status }) => status)];
    };
    const fine = [201, 200, 200];
    await expect.poll(usable, { timeout: 8_000 }).toBe(true);
    for (let round = 1; round <= 2; round += 1) {
      expect(await use()).toEqual(fine);
      const under = Array.from({ length: 10 }, use);
      await redis.kill();
      for (const statuses of await Promise.all(under)) expect(statuses).toEqual(fine);
      expect(await use()).toEqual(fine);
      await expect.poll(usable, { timeout: 8_000 }).toBe(false);
      await redis.run();
      await expect.poll(usable, { timeout: 8_000 }).toBe(true);
    }
    expect(await use()).toEqual(fine);
    expect(await server.stop()).toBe(0);
  });
});
