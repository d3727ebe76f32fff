import fastifyCors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Seconds a browser may remember the answer to a preflight: the longest that all of them honour. */
const PREFLIGHT_SECONDS = 7_200;

/** Lets pages of these origins call the API from a browser, with tokens and without cookies. */
export async function addCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  await app.register(fastifyCors, {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'X-Request-Id',
      'traceparent',
      'tracestate',
    ],
    exposedHeaders: ['Idempotency-Replayed', 'ETag', 'Location', 'Retry-After', 'X-Request-Id'],
    maxAge: PREFLIGHT_SECONDS,
    // What the plugin says to an OPTIONS that is no preflight is no problem document.
    strictPreflight: false,
  });
}
