import { createHash } from 'node:crypto';

import type { FastifyInstance } from 'fastify';

import { addressKey, createRateCounter } from './rate-counter.ts';
import type { RateCounter } from './rate-counter.ts';
import { loginBody } from './user-schemas.ts';

/** How often one may try. */
export interface LoginLimitOptions {
  /** Attempts per account and per address; 0 = any number. */
  readonly attemptsPerMinute: number;
  /** As `RateCounterOptions.redis`. */
  readonly redis: object | null;
}

/**
 * Counts attempts to log in, whatever comes of them: guessing one password of many accounts is seen
 * by its address, guessing from many addresses by its account. The address comes first, so that one
 * that is over its limit cannot use up those of the accounts as well.
 */
export async function createLoginLimit(
  app: FastifyInstance,
  { attemptsPerMinute: max, redis }: LoginLimitOptions,
): Promise<RateCounter> {
  if (max === 0) return () => Promise.resolve(null);
  const byAddress = await createRateCounter(app, {
    name: 'login-address',
    max,
    keyOf: addressKey,
    redis,
  });
  const byAccount = await createRateCounter(app, {
    name: 'login-account',
    max,
    keyOf: ({ body }) => accountKey(loginBody.parse(body).email),
    redis,
  });
  return async (request) => (await byAddress(request)) ?? (await byAccount(request));
}

/** An email address is nobody's business in Redis, and this is short whatever was sent. */
function accountKey(email: string): string {
  return createHash('sha256').update(email.toLowerCase()).digest('base64url');
}
