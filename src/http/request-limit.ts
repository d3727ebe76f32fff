import type { FastifyInstance } from 'fastify';

import type { AccessTokens } from './access-tokens.ts';
import { sendProblem } from './problem.ts';
import { addressKey, createRateCounter } from './rate-counter.ts';

/** How many requests one may send. */
export interface RequestLimitOptions {
  /** Per customer, or per address without a token that is valid; above 0. */
  readonly requestsPerMinute: number;
  readonly tokens: AccessTokens;
  /** As `RateCounterOptions.redis`. */
  readonly redis: object | null;
}

/**
 * Refuses what is over the limit before anything else looks at it, addresses that lead nowhere
 * included. Add it only where there is a limit: the hot route must not pay for none.
 */
export async function addRequestLimit(
  app: FastifyInstance,
  { requestsPerMinute: max, tokens, redis }: RequestLimitOptions,
): Promise<void> {
  const count = await createRateCounter(app, {
    name: 'request',
    max,
    keyOf: (request) => {
      const { authorization } = request.raw.headers;
      const identity = authorization === undefined ? undefined : tokens.identify(authorization);
      return identity?.userId ?? addressKey(request);
    },
    redis,
  });
  app.addHook('onRequest', async (request, reply) => {
    const { config } = request.routeOptions;
    if (config?.uncounted === true || config?.doc?.uncounted === true) return;
    const retryAfterSeconds = await count(request);
    if (retryAfterSeconds !== null) await sendProblem(reply, 'rate-limited', { retryAfterSeconds });
  });
}
