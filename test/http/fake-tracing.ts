/** Traces each request that names a trace, as one span without a backend. */
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';

import { readTraceContext, traceparentText } from '../../src/telemetry/traceparent.ts';
import type { Tracing } from '../../src/telemetry/tracing.ts';

/** A caller's. */
export const CALLER_TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
/** Of the span of its request. */
export const REQUEST_TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01';

export const fakeTracing: Pick<Tracing, 'startRequest'> = {
  startRequest: (headers) => {
    const caller = readTraceContext(headers.traceparent);
    if (caller === null) return null;
    const span = trace.wrapSpanContext({ ...caller, spanId: '1'.repeat(16), isRemote: false });
    return { span, context: ROOT_CONTEXT, traceparent: traceparentText(span.spanContext()) };
  },
};
