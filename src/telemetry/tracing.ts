/**
 * Tracing: which requests are traced, their spans, and those of their orders and batches. Off, and
 * nothing of the SDK loaded, unless there is a collector to send them to. A collector that is away
 * costs spans, never a request.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Context, Span } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { BatchRecord } from '../domain/inspection.ts';
import type { OrderGateway } from '../domain/ports.ts';
import { traceBatch } from './order-spans.ts';
import { KEPT, createSampling } from './sampling.ts';
import type { Sampling } from './sampling.ts';
import { TracedGateway } from './traced-gateway.ts';
import { readTraceContext, traceparentText } from './traceparent.ts';

export interface TracingOptions extends Sampling {
  /** Of the collector: `http://host:4318`. May hold a password: never logged. */
  readonly endpoint: string;
  readonly serviceVersion: string;
  readonly logger: Logger;
}

/** The span of a request that is traced. */
export interface RequestTrace {
  readonly span: Span;
  /** Whatever runs in it and starts a span starts a child of this one. */
  readonly context: Context;
  /** What crosses the border to other threads. */
  readonly traceparent: string;
}

export interface Tracing {
  /** Null for a request that is not traced; costs it next to nothing. */
  startRequest(headers: IncomingHttpHeaders): RequestTrace | null;
  /** `gateway` with spans for what traced requests ask. */
  watch(gateway: OrderGateway): OrderGateway;
  /** Told of each batch that ended. */
  batch(record: BatchRecord): void;
  /** Sends what is queued if that is possible within STOP_MS_MAX. Never rejects. */
  stop(): Promise<void>;
}

/** For the last spans to leave; a collector that hangs must not hold up the process. */
const STOP_MS_MAX = 2_000;

/** Call before pg and ioredis are imported, and once. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { startSdk } = await import('./trace-sdk.ts');
  const sdk = startSdk(options);
  const tracer = trace.getTracer('hedonify', options.serviceVersion);
  const isSampled = createSampling(options);

  return {
    startRequest(headers) {
      const parent = readTraceContext(headers.traceparent, headers.tracestate);
      if (!isSampled(parent)) return null;
      const under = parent === null ? KEPT : trace.setSpanContext(KEPT, parent);
      const span = tracer.startSpan('request', { kind: SpanKind.SERVER }, under);
      // With OTEL_SDK_DISABLED nothing is.
      if (!span.isRecording()) return null;
      return {
        span,
        context: trace.setSpan(ROOT_CONTEXT, span),
        traceparent: traceparentText(span.spanContext()),
      };
    },
    watch: (gateway) => new TracedGateway(gateway, tracer),
    batch: (record) => traceBatch(tracer, record),
    stop: async () => {
      await within(STOP_MS_MAX, sdk.shutdown());
      await sdk.destroy();
    },
  };
}

/** Resolves when `work` ends, however, or after that time. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const timeUp = Promise.withResolvers<void>();
  const timer = setTimeout(timeUp.resolve, ms);
  await Promise.race([work.catch(() => undefined), timeUp.promise]);
  clearTimeout(timer);
}
