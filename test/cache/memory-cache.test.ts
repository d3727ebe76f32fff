import { describe, expect, test } from 'vitest';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';

const TTL_MS = 60_000;

describe('the cache of this process', () => {
  test('gives what was set, and undefined for what was not', async () => {
    const cache = createMemoryCache();
    await cache.set('a', '1', TTL_MS);
    expect(await cache.get('a')).toBe('1');
    expect(await cache.get('b')).toBeUndefined();
  });

  test('lets a writer replace and a reader only add', async () => {
    const cache = createMemoryCache();
    await cache.add('a', 'read', TTL_MS);
    await cache.set('a', 'written', TTL_MS);
    await cache.add('a', 'read before it was written', TTL_MS);
    expect(await cache.get('a')).toBe('written');
  });

  test('forgets after the time to live, and then takes what a reader adds', async () => {
    const cache = createMemoryCache();
    await cache.set('a', '1', 5);
    await expect.poll(() => cache.get('a')).toBeUndefined();
    await cache.add('a', '2', TTL_MS);
    expect(await cache.get('a')).toBe('2');
  });

  test('never holds more entries than its bound, and keeps what is in use (I9)', async () => {
    const cache = createMemoryCache({ entriesMax: 10, bytesMax: 1_000_000 });
    await cache.set('in use', 'x', TTL_MS);
    for (let n = 0; n < 100; n += 1) {
      await cache.set(`${n}`, 'x', TTL_MS);
      expect(await cache.get('in use')).toBe('x');
    }
    const kept = await Promise.all(Array.from({ length: 100 }, (_, n) => cache.get(`${n}`)));
    expect(kept.filter((value) => value !== undefined)).toHaveLength(9);
  });

  test('never holds more bytes than its bound (I9)', async () => {
    const bytesMax = 100_000;
    const cache = createMemoryCache({ entriesMax: 10_000, bytesMax });
    const value = 'x'.repeat(1_000);
    for (let n = 0; n < 500; n += 1) await cache.set(`${n}`, value, TTL_MS);
    const kept = await Promise.all(Array.from({ length: 500 }, (_, n) => cache.get(`${n}`)));
    const count = kept.filter((it) => it !== undefined).length;
    expect(count * value.length * 2).toBeLessThanOrEqual(bytesMax);
    expect(count).toBeGreaterThan(30);
  });

  test('keeps no huge value, and not the one before it either', async () => {
    const cache = createMemoryCache({ entriesMax: 10, bytesMax: 16_000 });
    await cache.set('a', 'small', TTL_MS);
    await cache.set('b', 'small', TTL_MS);
    await cache.set('a', 'x'.repeat(2_000), TTL_MS);
    expect(await cache.get('a')).toBeUndefined();
    expect(await cache.get('b')).toBe('small');
  });
});
