/**
 * Counts requests per minute under keys, by @fastify/rate-limit. Its own hook is not used: it would
 * answer in its own words, and only from where a route has it.
 *
 * With Redis all processes count together. While Redis is away each counts for itself, so that a
 * dead Redis neither lets everything pass nor keeps anybody out.
 */
import { isIP } from 'node:net';

import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { RateLimitPluginOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';

const WINDOW_MS = 60_000;
const KEYS_MAX = 50_000;

/** What is counted, and where. */
export interface RateCounterOptions {
  /** Of this counter among those in one Redis. */
  readonly name: string;
  /** Requests under one key in a minute. */
  readonly max: number;
  readonly keyOf: (request: FastifyRequest) => string;
  /** An ioredis client, whose commands fail at once while Redis is away; null = this process. */
  readonly redis: object | null;
  /** Held in this process at most (I9), the ones seen last; KEYS_MAX unless a test says otherwise. */
  readonly keysMax?: number;
}

/** Counts a request. Seconds until its key may be used again, or null = it is within the limit. */
export type RateCounter = (request: FastifyRequest) => Promise<number | null>;

/** A counter of its own, whatever else is counted. */
export async function createRateCounter(
  app: FastifyInstance,
  options: RateCounterOptions,
): Promise<RateCounter> {
  const common: RateLimitPluginOptions = {
    global: false,
    max: options.max,
    timeWindow: WINDOW_MS,
    keyGenerator: options.keyOf,
    cache: options.keysMax ?? KEYS_MAX,
  };
  const alone = await register(app, common);
  if (options.redis === null) return alone;
  const nameSpace = `hedonify:limit:${options.name}:`;
  const together = await register(app, { ...common, redis: options.redis, nameSpace });
  return async (request) => {
    try {
      return await together(request);
    } catch {
      // Told by whoever owns the connection, once; a line per request would only add to it.
      return alone(request);
    }
  };
}

/** In a scope of its own: what the plugin decorates an app with, it does once. */
async function register(
  app: FastifyInstance,
  options: RateLimitPluginOptions,
): Promise<RateCounter> {
  const { promise, resolve } = Promise.withResolvers<RateCounter>();
  await app.register(async (scope) => {
    await scope.register(rateLimit, options);
    const count = scope.createRateLimit();
    resolve(async (request) => {
      const counted = await count(request);
      if (counted.isAllowed || !counted.isExceeded) return null;
      return Math.max(1, counted.ttlInSeconds);
    });
  });
  return promise;
}

/**
 * The address that a request is counted under: of an IPv6 address the /64, which is the least that
 * one customer has. What a proxy names that is no address counts as one, all of it.
 */
export function addressKey(request: FastifyRequest): string {
  return isIP(request.ip) === 0 ? 'unknown' : normalizeIP(request.ip);
}
