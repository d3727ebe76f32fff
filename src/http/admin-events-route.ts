import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

import { PAGE_LIMIT_DEFAULT } from '../domain/bounds.ts';
import { parseProductId } from '../domain/ids.ts';
import type { Inspector } from '../domain/inspection.ts';
import type { AccessTokens } from './access-tokens.ts';
import { AdminFeed } from './admin-feed.ts';
import { eventsQuery } from './admin-schemas.ts';
import type { EventsQuery } from './admin-schemas.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';

/** What the route needs. */
export interface AdminEventsDeps {
  readonly inspector: Inspector;
  readonly tokens: AccessTokens;
  readonly logger: Pick<Logger, 'error'>;
  /** Lets admins through. */
  readonly authenticate: AuthenticateHook;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const OPTIONS = documented({
  operationId: 'watchEngine',
  summary: 'The live state of the engine, once a second',
  tag: 'admin',
  auth: 'required',
  query: eventsQuery,
  success: {
    status: 200,
    description:
      'Server-sent events `state`, until the token expires or the service stops: `{at, actors, shards, actor, batches}`, in which `batches` are those since the last event.',
    schema: { type: 'string' },
    mediaType: 'text/event-stream',
    headers: { 'X-Accel-Buffering': '`no`.' },
  },
  errors: ['forbidden', 'overloaded'],
});

/** Adds GET /admin/events. */
export function addAdminEventsRoute(app: FastifyInstance, deps: AdminEventsDeps): void {
  const { inspector, tokens, logger, authenticate, clock } = deps;
  const onError = (err: unknown): void => logger.error({ err }, 'live events ended');
  const feed = new AdminFeed({ inspector, clock, onError });
  // A stream is a request in flight: the app would wait for it.
  app.addHook('preClose', (done) => {
    feed.close();
    done();
  });

  app.get<{ Querystring: EventsQuery }>(
    '/admin/events',
    // The answer to HEAD would be a stream that nobody reads.
    { ...OPTIONS, exposeHeadRoute: false, onRequest: authenticate },
    (request, reply) => {
      const token = tokens.verify(request.raw.headers.authorization ?? '');
      if (token === undefined) return sendProblem(reply, 'unauthenticated');
      const { sort = 'rate', limit = PAGE_LIMIT_DEFAULT, product_id = '' } = request.query;
      const question = { sort, limit, productId: parseProductId(product_id) ?? null };
      const { expiresAt } = token;
      const stream = feed.listen(question, { expiresAt, response: reply.raw });
      if (stream === undefined) return sendProblem(reply, 'overloaded');
      return reply
        .header('content-type', 'text/event-stream; charset=utf-8')
        .header('x-accel-buffering', 'no')
        .send(stream);
    },
  );
}
