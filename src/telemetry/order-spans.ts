/**
 * The spans of orders and batches. Decisions and commits happen in shard threads, which know nothing
 * of OpenTelemetry: they carry the context of a request along as a string, tell afterwards when what
 * happened, and the spans are made here, in the main thread, of those times.
 *
 * An order's spans are in the trace of its request. Its batch has a trace of its own, since it
 * belongs to hundreds of requests; links lead from each to the other.
 */
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type {
  Attributes,
  Context,
  Link,
  SpanContext,
  SpanOptions,
  Tracer,
} from '@opentelemetry/api';
import {
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
} from '@opentelemetry/semantic-conventions';
import type { BatchRecord, TracedOrder } from '../domain/inspection.ts';
import { KEPT } from './sampling.ts';
import { readTraceContext } from './traceparent.ts';

/**
 * Orders of one batch that get spans of their own, and so links of its span. More are only traced
 * where everything is, and then they would only push each other out of the queue of the exporter.
 */
export const BATCH_ORDERS_MAX = 500;

/** A span that is over when it is told of. Times are milliseconds since the epoch. */
interface PastSpan {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly attributes: Attributes;
  readonly kind?: SpanKind;
  readonly links?: Link[];
  /** What went wrong, in one word; null when nothing did. */
  readonly failure: string | null;
}

/** Traces a batch that ended, when there are traced orders in it. */
export function traceBatch(tracer: Tracer, record: BatchRecord): void {
  if (record.traced.length === 0) return;
  const orders = record.traced.slice(0, BATCH_ORDERS_MAX).flatMap((order) => {
    const request = readTraceContext(order.traceparent);
    return request === null ? [] : [{ ...order, request }];
  });
  const batch = startPast(tracer, {
    parent: KEPT,
    span: {
      name: 'commit batch',
      start: record.sentAt,
      end: record.sentAt + record.totalMs,
      attributes: batchAttributes(record),
      links: orders.map(({ request }) => ({ context: request })),
      failure: failureOf(record),
    },
  });
  tracePhases(tracer, record, trace.setSpanContext(KEPT, batch));
  for (const order of orders) traceOrder(tracer, { record, order, batch });
}

/** A request's question to the engine, seen from outside: when it was asked and how it ended. */
export interface Question {
  readonly name: string;
  /** Of the request's span. */
  readonly traceparent: string;
  readonly start: number;
  readonly end: number;
  readonly outcome: string;
  /** The code of a refusal or a shed. */
  readonly code: string | null;
}

/** Traces a question of which no batch will tell, or not all. */
export function traceQuestion(tracer: Tracer, question: Question): void {
  const { traceparent, outcome, code, ...span } = question;
  const request = readTraceContext(traceparent);
  if (request === null) return;
  const isFailure = outcome === 'shed' || outcome === 'unknown';
  const attributes: Attributes = { 'hedonify.outcome': outcome };
  if (code !== null) attributes['hedonify.code'] = code;
  startPast(tracer, {
    parent: trace.setSpanContext(KEPT, request),
    span: { ...span, attributes, failure: isFailure ? (code ?? outcome) : null },
  });
}

interface OrderInBatch {
  readonly record: BatchRecord;
  readonly order: TracedOrder & { readonly request: SpanContext };
  readonly batch: SpanContext;
}

function traceOrder(tracer: Tracer, { record, order, batch }: OrderInBatch): void {
  const parent = trace.setSpanContext(KEPT, order.request);
  const attributes: Attributes = {
    'hedonify.order.id': order.orderId,
    'hedonify.shard': record.shard,
    'hedonify.outcome': record.outcome,
  };
  // Told once per order, also of one whose batch was aborted before another committed it; who got
  // no such batch is told at the edge.
  if (record.outcome === 'committed') {
    startPast(tracer, {
      parent,
      span: {
        name: 'decide order',
        start: order.receivedAt,
        end: order.decidedAt,
        attributes: { ...attributes, 'hedonify.outcome': 'accepted' },
        failure: null,
      },
    });
  }
  startPast(tracer, {
    parent,
    span: {
      name: 'commit order',
      start: order.decidedAt,
      end: record.sentAt + record.totalMs,
      attributes,
      links: [{ context: batch }],
      failure: failureOf(record),
    },
  });
}

/** The parts of the transaction, one after the other; their durations are PostgreSQL's. */
function tracePhases(tracer: Tracer, record: BatchRecord, parent: Context): void {
  const phases = { copy: record.copyMs, merge: record.mergeMs, commit: record.commitMs };
  let start = record.sentAt;
  for (const [name, duration] of Object.entries(phases)) {
    if (duration === null) continue;
    const end = start + duration;
    startPast(tracer, {
      parent,
      span: {
        name,
        kind: SpanKind.CLIENT,
        start,
        end,
        attributes: {
          [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_POSTGRESQL,
          [ATTR_DB_OPERATION_NAME]: name.toUpperCase(),
        },
        failure: null,
      },
    });
    start = end;
  }
}

function batchAttributes(record: BatchRecord): Attributes {
  return {
    'hedonify.shard': record.shard,
    'hedonify.owner.id': record.ownerId,
    'hedonify.batch.no': record.no,
    'hedonify.batch.orders': record.orders,
    'hedonify.batch.changes': record.changes,
    'hedonify.batch.traced': record.traced.length,
    'hedonify.batch.wait_ms': record.waitMs,
    'hedonify.outcome': record.outcome,
    ...(record.cause === null ? {} : { 'hedonify.cause': record.cause }),
  };
}

function failureOf({ outcome, cause }: BatchRecord): string | null {
  return outcome === 'committed' ? null : (cause ?? outcome);
}

function startPast(
  tracer: Tracer,
  { parent, span: past }: { readonly parent: Context; readonly span: PastSpan },
): SpanContext {
  const options: SpanOptions = { startTime: past.start, attributes: past.attributes };
  if (past.kind !== undefined) options.kind = past.kind;
  if (past.links !== undefined) options.links = past.links;
  const span = tracer.startSpan(past.name, options, parent);
  if (past.failure !== null) {
    span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute(ATTR_ERROR_TYPE, past.failure);
  }
  span.end(past.end);
  return span.spanContext();
}
