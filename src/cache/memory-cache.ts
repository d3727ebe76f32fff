/**
 * The cache of a shop without Redis: in this process, gone with it.
 *
 * I9: bounded in entries and in bytes; what was used longest ago leaves first.
 */
import { LRUCache } from 'lru-cache';
import type { Cache } from '../domain/cache.ts';

/** How much a cache in this process may hold. */
export interface MemoryCacheBounds {
  readonly entriesMax: number;
  /** Of keys and values, as they lie in memory; no entry takes more than a sixteenth. */
  readonly bytesMax: number;
}

const BOUNDS: MemoryCacheBounds = { entriesMax: 50_000, bytesMax: 64 * 1024 * 1024 };
/** A character takes at most two; the rest is what Map and list need for an entry. */
const CHAR_BYTES = 2;
const ENTRY_BYTES = 200;
const ENTRY_SHARE = 1 / 16;

/** An empty cache. Too large a value is not kept, and what it should have replaced is dropped. */
export function createMemoryCache(bounds = BOUNDS): Cache {
  const entries = new LRUCache<string, string>({
    max: bounds.entriesMax,
    maxSize: bounds.bytesMax,
    maxEntrySize: Math.floor(bounds.bytesMax * ENTRY_SHARE),
    sizeCalculation: (value, key) => ENTRY_BYTES + CHAR_BYTES * (key.length + value.length),
  });

  return {
    async get(key) {
      return entries.get(key);
    },

    async set(key, value, ttlMs) {
      entries.set(key, value, { ttl: ttlMs });
    },

    async add(key, value, ttlMs) {
      if (!entries.has(key)) entries.set(key, value, { ttl: ttlMs });
    },
  };
}
