import type { FastifyRequest } from 'fastify';

import type { RequestTrace } from '../telemetry/tracing.ts';
import { readTraceContext } from '../telemetry/traceparent.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null unless the request is traced. */
    trace: RequestTrace | null;
  }
}

/**
 * What crosses to other threads with the request: the W3C traceparent of its span, null unless it
 * is traced.
 */
export function traceparentOf(request: FastifyRequest): string | null {
  return request.trace === null ? null : request.trace.traceparent;
}

/** Fields of log lines. */
export interface TraceFields {
  readonly trace_id?: string;
  readonly span_id?: string;
}

/** The span of the request, or the one that its client named; empty when there is neither. */
export function traceFields(request: FastifyRequest): TraceFields {
  const own = request.trace?.span.spanContext();
  const context = own ?? readTraceContext(request.raw.headers.traceparent);
  return context === null ? {} : { trace_id: context.traceId, span_id: context.spanId };
}
