/**
 * The span of a request that is traced. Our own hook instead of patching `node:http`: that would
 * start a span, and a context, for every request before anybody could say that it is not sampled.
 */
import { SpanStatusCode, context } from '@opentelemetry/api';
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_URL_PATH,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from '@opentelemetry/semantic-conventions';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { RequestTrace, Tracing } from '../telemetry/tracing.ts';

/** Of what a client may make as long as it likes. */
const TEXT_CHARS_MAX = 256;

/** Traces requests. Add it before any other hook, and only while tracing is on. */
export function addRequestSpans(
  app: FastifyInstance,
  tracing: Pick<Tracing, 'startRequest'>,
): void {
  app.addHook('onRequest', (request, reply, done) => {
    const trace = tracing.startRequest(request.raw.headers);
    if (trace === null || isProbe(request)) {
      done();
      return;
    }
    request.trace = trace;
    describe(request, trace);
    // Unlike `finish`, it also comes when the client hung up.
    reply.raw.once('close', () => endSpan(reply, trace));
    // Fastify binds to it what comes after the body, which arrives by events of the socket.
    context.with(trace.context, done);
  });
}

/** Health checks and scrapes, forever the same. Their span is never ended, and so never sent. */
function isProbe(request: FastifyRequest): boolean {
  return request.routeOptions.config?.doc?.tag === 'operation';
}

function describe(request: FastifyRequest, { span }: RequestTrace): void {
  const { method, raw } = request;
  const route = request.routeOptions.url;
  const userAgent = raw.headers['user-agent'];
  span.updateName(route === undefined ? method : `${method} ${route}`);
  span.setAttributes({
    [ATTR_HTTP_REQUEST_METHOD]: method,
    [ATTR_URL_PATH]: pathOf(request.url),
    [ATTR_URL_SCHEME]: request.protocol,
    [ATTR_NETWORK_PROTOCOL_VERSION]: raw.httpVersion,
    'hedonify.request.id': request.id,
  });
  if (route !== undefined) span.setAttribute(ATTR_HTTP_ROUTE, route);
  if (userAgent !== undefined) {
    span.setAttribute(ATTR_USER_AGENT_ORIGINAL, userAgent.slice(0, TEXT_CHARS_MAX));
  }
}

/** A query may hold what a trace must not. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  return (query === -1 ? url : url.slice(0, query)).slice(0, TEXT_CHARS_MAX);
}

function endSpan({ raw, request }: FastifyReply, { span }: RequestTrace): void {
  if (!raw.writableEnded) {
    // Nobody answered it, and the handler may still be at work.
    span.setAttribute(ATTR_ERROR_TYPE, 'client-gone');
  } else {
    span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, raw.statusCode);
    if (raw.statusCode >= 500) {
      span.setAttribute(ATTR_ERROR_TYPE, request.problemCode ?? String(raw.statusCode));
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
  }
  span.end();
}
