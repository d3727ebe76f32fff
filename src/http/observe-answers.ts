import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * Looks at an answer after its last byte was handed to the operating system. It must not throw, and
 * `request.problemCode` says what went wrong. Nobody sees a client that hung up before, nor a request
 * without a readable address.
 */
export type AnswerObserver = (request: FastifyRequest, reply: FastifyReply) => void;

/**
 * Has every answer looked at, by all observers in one hook: each hook costs every request again.
 * Without observers there is none. Call it before the routes are added, which take the hooks that
 * there are.
 */
export function addAnswerObservers(
  app: FastifyInstance,
  observers: readonly AnswerObserver[],
): void {
  if (observers.length === 0) return;
  app.addHook('onResponse', (request, reply, done) => {
    for (const observe of observers) observe(request, reply);
    done();
  });
}
