import { afterAll, beforeAll, test } from 'vitest';
import { redisLua } from '../../bench/contenders/redis-lua.ts';
import { expectSellsExactly } from '../bench/contender-crowd.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { productIds } from '../support/shop.ts';
import { RedisServer } from './redis-server.ts';

let database: TestDatabase;
let redis: RedisServer;

beforeAll(async () => {
  [database, redis] = await Promise.all([createTestDatabase(), RedisServer.start()]);
});
afterAll(async () => {
  await redis.stop();
  await database.close();
});

test('redis-lua sells exactly its stock to a crowd that asks twice, once a key (I1, I3)', async () => {
  // It reads the products when it opens: makeProducts comes first, in there.
  const [product = ''] = productIds(1);
  await expectSellsExactly(redisLua, { database, product, redisUrl: redis.url });
});
