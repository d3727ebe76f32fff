/**
 * W3C Trace Context. A trace crosses a border, of the process or of a thread, as this one string.
 */
import { TraceFlags, createTraceState } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';

/** Version, trace, span and flags; the ids are not zero. A later version may have further parts. */
const SHAPE = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;
const VERSION_0 = '00';
const VERSION_0_CHARS = 55;

/** A header as Node gives it. */
type Header = string | string[] | undefined;

/**
 * The span that the headers name; null when they name none, or are malformed: those are ignored, as
 * the specification asks. By places, not by groups: it is done for every request that has one.
 */
export function readTraceContext(traceparent: Header, tracestate?: Header): SpanContext | null {
  if (typeof traceparent !== 'string' || !SHAPE.test(traceparent)) return null;
  if (traceparent.length > VERSION_0_CHARS && traceparent.startsWith(VERSION_0)) return null;
  const context: SpanContext = {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53, 55), 16) & TraceFlags.SAMPLED,
    isRemote: true,
  };
  if (typeof tracestate === 'string') context.traceState = createTraceState(tracestate);
  return context;
}

/** As a header would carry it. */
export function traceparentText({ traceId, spanId, traceFlags }: SpanContext): string {
  return `${VERSION_0}-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
