import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RedisCache } from '../../src/cache/redis-cache.ts';
import { RedisServer } from './redis-server.ts';

const TTL_MS = 60_000;
/** Generous on a machine that is busy: the bound itself is 100 ms. */
const COMMAND_MS_MAX = 400;
/** For many commands that end at once. */
const AT_ONCE_MS_MAX = 200;

let redis: RedisServer;
let changes: (string | null)[];
let cache: RedisCache;

function open(options: { url?: string; readMsMax?: number } = {}): RedisCache {
  const { url = redis.url, readMsMax = 0 } = options;
  return new RedisCache({ url, readMsMax, onChange: (reason) => changes.push(reason) });
}

/** Connected, and its drop done. */
async function usable(): Promise<void> {
  await expect.poll(() => changes.at(-1), { timeout: 8_000 }).toBeNull();
}

async function lost(): Promise<void> {
  await expect.poll(() => changes.at(-1), { timeout: 8_000 }).toEqual(expect.any(String));
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

beforeEach(async () => {
  redis = await RedisServer.start();
  changes = [];
  cache = open();
  await usable();
});

afterEach(async () => {
  cache.close();
  await redis.stop();
});

describe('the cache in Redis', () => {
  test('gives what was set, lets a writer replace and a reader only add', async () => {
    expect(await cache.get('a')).toBeUndefined();
    await cache.add('a', 'read', TTL_MS);
    expect(await cache.get('a')).toBe('read');
    await cache.set('a', 'written', TTL_MS);
    await cache.add('a', 'read before it was written', TTL_MS);
    expect(await cache.get('a')).toBe('written');
  });

  test('forgets after the time to live, of whatever fraction of a millisecond', async () => {
    await cache.set('a', '1', 0.5);
    await cache.add('b', '1', 20.5);
    await expect.poll(() => cache.get('a')).toBeUndefined();
    await expect.poll(() => cache.get('b')).toBeUndefined();
  });

  test('leaves what others keep in the same Redis alone', async () => {
    await redis.client.set('cart:1', 'of another program');
    cache.close();
    cache = open();
    changes = [];
    await usable();
    expect(await redis.client.get('cart:1')).toBe('of another program');
  });
});

describe('a Redis that is killed mid-flight', () => {
  test('costs answers, never an error or a wait, and is used again when it is back', async () => {
    await cache.set('a', '1', TTL_MS);
    // Nothing of what follows is answered before the end.
    redis.signal('SIGSTOP');
    const flood = Array.from({ length: 500 }, (_, n) =>
      msOf(() => (n % 2 === 0 ? cache.get('a') : cache.set(`k${n}`, 'x', TTL_MS))),
    );
    await redis.kill();
    expect(Math.max(...(await Promise.all(flood)))).toBeLessThan(COMMAND_MS_MAX);
    await lost();
    const away = await msOf(async () => {
      for (let n = 0; n < 1_000; n += 1) {
        expect(await cache.get('a')).toBeUndefined();
        await cache.set('a', '2', TTL_MS);
        await cache.add('b', '2', TTL_MS);
      }
    });
    expect(away).toBeLessThan(AT_ONCE_MS_MAX);
    await redis.run();
    await usable();
    expect(await cache.get('a')).toBeUndefined();
    await cache.set('a', '3', TTL_MS);
    expect(await cache.get('a')).toBe('3');
  });

  test('is told of once when it goes and once when it returns, however often', async () => {
    for (let round = 1; round <= 3; round += 1) {
      await redis.kill();
      await lost();
      await Promise.all(Array.from({ length: 100 }, () => cache.get('a')));
      await redis.run();
      await usable();
      expect(changes).toHaveLength(1 + 2 * round);
    }
    expect(changes.filter((it) => it === null)).toHaveLength(4);
  });

  test('and brings back what it had saved long ago is not believed', async () => {
    await cache.set('a', 'saved', TTL_MS);
    await redis.client.save();
    await cache.set('a', 'written later', TTL_MS);
    await redis.kill();
    await lost();
    await redis.run();
    expect(await redis.client.dbsize()).toBe(1);
    await usable();
    expect(await cache.get('a')).toBeUndefined();
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('a Redis that hangs', () => {
  test('is waited for a bounded time, then given up, and is used again (I9)', async () => {
    redis.signal('SIGSTOP');
    const waits = Array.from({ length: 200 }, () => msOf(() => cache.get('a')));
    expect(Math.max(...(await Promise.all(waits)))).toBeLessThan(COMMAND_MS_MAX);
    await lost();
    const away = await msOf(async () => {
      for (let n = 0; n < 1_000; n += 1) await cache.get('a');
    });
    expect(away).toBeLessThan(AT_ONCE_MS_MAX);
    redis.signal('SIGCONT');
    await usable();
    await cache.set('a', '1', TTL_MS);
    expect(await cache.get('a')).toBe('1');
  });

  test('for a moment only does not bring an old value back', async () => {
    await cache.set('a', 'old', TTL_MS);
    redis.signal('SIGSTOP');
    await cache.set('a', 'new', TTL_MS);
    redis.signal('SIGCONT');
    const seen = new Set<string | undefined>();
    await expect
      .poll(async () => {
        const value = await cache.get('a');
        seen.add(value);
        return value;
      })
      .toBe('new');
    expect(seen).not.toContain('old');
  });

  test('and misses a write meanwhile does not bring the value before it back', async () => {
    await cache.set('a', 'old', TTL_MS);
    redis.signal('SIGSTOP');
    await cache.get('b');
    await lost();
    await cache.set('a', 'new', TTL_MS);
    redis.signal('SIGCONT');
    await usable();
    expect(await cache.get('a')).toBeUndefined();
  });
});

describe('a reader', () => {
  test('that asked before the connection was made cannot add what it read then', async () => {
    cache.close();
    changes = [];
    cache = open({ readMsMax: 60_000 });
    await usable();
    await cache.add('a', 'read long ago', TTL_MS);
    expect(await cache.get('a')).toBeUndefined();
    await cache.set('a', 'written', TTL_MS);
    expect(await cache.get('a')).toBe('written');
  });
});

describe('a Redis that denies', () => {
  test('writes is not asked either, since it may still hold what should have been replaced', async () => {
    await cache.set('a', 'old', TTL_MS);
    await redis.client.config('SET', 'maxmemory', '1');
    await cache.set('a', 'new', TTL_MS);
    expect(await cache.get('a')).toBeUndefined();
    await expect.poll(() => changes).toContain('OOM');
    await redis.client.config('SET', 'maxmemory', '0');
    await usable();
    await expect
      .poll(async () => {
        await cache.set('a', 'newer', TTL_MS);
        return await cache.get('a');
      })
      .toBe('newer');
  });

  test('everything is told of once, and without the password', async () => {
    const guarded = await RedisServer.start({ password: 'right' });
    const url = guarded.url.replace('right', 'wr0ng-secret');
    changes = [];
    const denied = open({ url });
    await lost();
    expect(await denied.get('a')).toBeUndefined();
    expect(changes).toEqual(['WRONGPASS']);
    denied.close();
    await guarded.stop();
  });
});
