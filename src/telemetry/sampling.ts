/**
 * Which requests are traced. Decided before anything else is done for one: most are not, and asking
 * OpenTelemetry to start a span that is then thrown away took 1.8 us, 6 us with a header, where
 * this takes a random number or a look at a flag.
 */
import { ROOT_CONTEXT, TraceFlags, createContextKey, trace } from '@opentelemetry/api';
import type { Context, Span, SpanContext } from '@opentelemetry/api';

/** What OTEL_TRACES_SAMPLER may say, by the names of the specification. */
export const TRACE_SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type TraceSampler = (typeof TRACE_SAMPLERS)[number];

export interface Sampling {
  readonly sampler: TraceSampler;
  /** Share of the traces, 0 to 1; only of the samplers with a ratio. */
  readonly ratio: number;
}

/** Trace ids are 128 random bits; the last 32 of them decide as well as all. */
const ID_DIGITS = 8;
const IDS = 2 ** 32;

/** Whether a request is traced; its parent is null when it names none. */
export function createSampling({
  sampler,
  ratio,
}: Sampling): (parent: SpanContext | null) => boolean {
  const heedsParent = sampler.startsWith('parentbased_');
  const kind = heedsParent ? sampler.slice('parentbased_'.length) : sampler;
  const share = { always_on: 1, always_off: 0 }[kind] ?? ratio;
  return (parent) => {
    if (parent === null) return Math.random() < share;
    if (heedsParent) return (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
    // By its id, so that all requests of one trace are decided alike.
    return Number.parseInt(parent.traceId.slice(-ID_DIGITS), 16) < share * IDS;
  };
}

const KEPT_KEY = createContextKey('hedonify kept');

/** A span started in this context, or under a span in it, is recorded whatever else holds. */
export const KEPT: Context = ROOT_CONTEXT.setValue(KEPT_KEY, true);

/**
 * Whether a span is recorded: one of ours, or one under a span that is being recorded. Work that a
 * request left behind (a connection, a queue) keeps its context for ever, and would otherwise hang
 * whatever it does later onto that trace.
 */
export function isRecorded(context: Context): boolean {
  if (context.getValue(KEPT_KEY) === true) return true;
  const parent: Span | undefined = trace.getSpan(context);
  return parent?.isRecording() ?? false;
}
