/**
 * The popular answer: stock and keys in Redis, decided by one Lua script, answered at once;
 * PostgreSQL is written afterwards, in batches. What was answered and not yet written dies with the
 * process, so it is **not durable** and stands apart from the others; what it loses is counted.
 */
import { Redis } from 'ioredis';
import type { Result } from 'ioredis';
import type { Pool } from 'pg';
import { queryRows } from '../../src/db/pool.ts';
import type { ProductId } from '../../src/domain/ids.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { accepted, askedOrder, boundTo, refused } from './asked-order.ts';
import type { AskedOrder } from './asked-order.ts';
import { openContenderPool } from './contender-pool.ts';
import type { Contender, OpenContender } from './contender.ts';
import { insertAll } from './order-rows.ts';
import type { DecidedOrder } from './order-rows.ts';
import { PRODUCT_COLUMNS } from './order-sql.ts';
import type { ProductRow } from './order-sql.ts';

/** Answered orders that are not written yet; past it, orders are shed. */
const UNWRITTEN_MAX = 100_000;
const WRITE_ROWS_MAX = 1_000;
const PRODUCTS_MAX = 10_000;
const KEY_SECONDS = 86_400;

/**
 * KEYS: stock, sequence, order. ARGV: units, hash, seconds. Answers what came of it and a number.
 */
const BUY = `
  local hash, sequence = unpack(redis.call('HMGET', KEYS[3], 'hash', 'sequence'))
  if hash == ARGV[2] then return {'repeat', tonumber(sequence)} end
  if hash then return {'reused', 0} end
  local stock = tonumber(redis.call('GET', KEYS[1]) or '0')
  if stock < tonumber(ARGV[1]) then return {'sold-out', stock} end
  redis.call('DECRBY', KEYS[1], ARGV[1])
  sequence = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[3], 'hash', ARGV[2], 'sequence', sequence)
  redis.call('EXPIRE', KEYS[3], ARGV[3])
  return {'sold', sequence}`;

const PRODUCTS = /* sql */ `
  SELECT p.id, p.sequence, ${PRODUCT_COLUMNS} FROM products p LIMIT ${PRODUCTS_MAX}`;

type StoredRow = ProductRow & { readonly id: ProductId; readonly sequence: number };
type Bought = readonly [result: 'repeat' | 'reused' | 'sold-out' | 'sold', number: number];

declare module 'ioredis' {
  interface RedisCommander<Context> {
    buy(...args: readonly (string | number)[]): Result<Bought, Context>;
  }
}

interface ShopParts {
  readonly pool: Pool;
  readonly redis: Redis;
  /** Of this database's keys: several may share a Redis. */
  readonly prefix: string;
}

async function openShop({ pool, redis, prefix }: ShopParts): Promise<OpenContender> {
  const unwritten: DecidedOrder[] = [];
  let writing: Promise<void> | null = null;
  const keysOf = (id: ProductId) => [`${prefix}stock:${id}`, `${prefix}sequence:${id}`] as const;

  /** A write that fails ends the process: what it would lose is what this design loses. */
  async function write(): Promise<void> {
    while (unwritten.length > 0) {
      await queryRows(pool, insertAll(unwritten.splice(0, WRITE_ROWS_MAX)));
    }
    writing = null;
  }

  async function place(asked: AskedOrder): Promise<PlaceOrderOutcome> {
    const { productId, quantity } = asked.line;
    const product = products.get(productId);
    if (product?.status !== 'active') return refused(asked, product);
    if (unwritten.length >= UNWRITTEN_MAX) return { type: 'shed', code: 'overloaded' };
    const keys = [...keysOf(productId), `${prefix}order:${asked.id}`];
    const [result, number] = await redis.buy(...keys, quantity, asked.hash, KEY_SECONDS);
    if (result === 'reused') return { type: 'key-reused' };
    if (result === 'sold-out') return refused(asked, { ...product, stock: number });
    const outcome = accepted(asked, { ...product, sequence: number });
    // As first answered, unless that answer is not written yet.
    const known = result === 'repeat' ? await boundTo(pool, asked) : null;
    if (result === 'repeat') return known ?? { ...outcome, replayed: true };
    unwritten.push({ asked, order: outcome.order });
    writing ??= write();
    return outcome;
  }

  async function stop(): Promise<void> {
    await writing;
    await pool.end();
    redis.disconnect();
  }

  const rows = await queryRows<StoredRow>(pool, { text: PRODUCTS });
  const products = new Map(rows.map((row) => [row.id, row]));
  for (const row of rows) {
    const [stock, sequence] = keysOf(row.id);
    await redis.mset({ [stock]: row.stock, [sequence]: row.sequence });
  }
  const placeOrder: OpenContender['placeOrder'] = (request) => place(askedOrder(request));
  return { placeOrder, unwritten: () => unwritten.length, stop };
}

export const redisLua: Contender = {
  name: 'redis-lua',
  kind: 'redis',
  summary: 'Lua in Redis decides and is answered; PostgreSQL is written afterwards: not durable',
  open: async (options) => {
    const { databaseUrl, redisUrl } = options;
    if (redisUrl === null) throw new Error('redis-lua needs a Redis');
    const redis = new Redis(redisUrl, { enableAutoPipelining: true });
    redis.defineCommand('buy', { numberOfKeys: 3, lua: BUY });
    const pool = await openContenderPool({ ...options, poolMax: 2 });
    return await openShop({ pool, redis, prefix: `${new URL(databaseUrl).pathname}:` });
  },
};
