import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { describe, expect, test, vi } from 'vitest';
import { KEPT, createSampling, isRecorded } from '../../src/telemetry/sampling.ts';
import type { TraceSampler } from '../../src/telemetry/sampling.ts';
import { readTraceContext, traceparentText } from '../../src/telemetry/traceparent.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

function parent(flags: string, traceId = TRACE_ID) {
  return readTraceContext(`00-${traceId}-${SPAN_ID}-${flags}`);
}

describe('whether a request is traced', () => {
  test.each<[sampler: TraceSampler, alone: boolean, unsampled: boolean, sampled: boolean]>([
    ['always_on', true, true, true],
    ['always_off', false, false, false],
    ['parentbased_always_on', true, false, true],
    ['parentbased_always_off', false, false, true],
    ['parentbased_traceidratio', false, false, true],
  ])(
    '%s: %s alone, %s under an unsampled caller, %s under a sampled one',
    (sampler, ...expected) => {
      const isSampled = createSampling({ sampler, ratio: 0 });
      expect([null, parent('00'), parent('01')].map(isSampled)).toEqual(expected);
    },
  );

  test('a ratio is the share of the requests that name no trace', () => {
    const random = vi.spyOn(Math, 'random');
    const isSampled = createSampling({ sampler: 'parentbased_traceidratio', ratio: 0.25 });
    const decisions = [0, 0.249, 0.25, 0.999].map((value) => {
      random.mockReturnValueOnce(value);
      return isSampled(null);
    });
    random.mockRestore();
    expect(decisions).toEqual([true, true, false, false]);
  });

  test('a ratio that does not heed the parent decides by the id of the trace, always alike', () => {
    const isSampled = createSampling({ sampler: 'traceidratio', ratio: 0.5 });
    const low = `${'f'.repeat(24)}7fffffff`;
    const high = `${'f'.repeat(24)}80000000`;
    expect(isSampled(parent('00', low))).toBe(true);
    expect(isSampled(parent('01', high))).toBe(false);
  });

  test.each([
    [0, false],
    [1, true],
  ])('a ratio of %d is %s', (ratio, expected) => {
    for (const sampler of ['traceidratio', 'parentbased_traceidratio'] as const) {
      expect(createSampling({ sampler, ratio })(null)).toBe(expected);
    }
    const last = parent('00', 'f'.repeat(32));
    expect(createSampling({ sampler: 'traceidratio', ratio })(last)).toBe(expected);
  });
});

describe('whether a span is recorded', () => {
  test('of ours it is, and under a context without a span it is not', () => {
    expect(isRecorded(KEPT)).toBe(true);
    expect(isRecorded(ROOT_CONTEXT)).toBe(false);
  });

  test('under a span that has ended, or was never recorded, it is not', () => {
    const context = { traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: 1 };
    const under = trace.setSpan(ROOT_CONTEXT, trace.wrapSpanContext(context));
    expect(isRecorded(under)).toBe(false);
  });
});

describe('a traceparent', () => {
  test.each([
    ['of version 00', `00-${TRACE_ID}-${SPAN_ID}-01`, 1],
    ['with flags that we do not know', `00-${TRACE_ID}-${SPAN_ID}-ff`, 1],
    ['that is not sampled', `00-${TRACE_ID}-${SPAN_ID}-02`, 0],
    ['of a later version', `01-${TRACE_ID}-${SPAN_ID}-01`, 1],
    ['of a later version with more parts', `01-${TRACE_ID}-${SPAN_ID}-01-what-else`, 1],
  ])('%s is read', (_what, header, traceFlags) => {
    const context = readTraceContext(header);
    expect(context).toMatchObject({
      traceId: TRACE_ID,
      spanId: SPAN_ID,
      traceFlags,
      isRemote: true,
    });
  });

  test.each([
    ['absent', undefined],
    ['sent twice', [`00-${TRACE_ID}-${SPAN_ID}-01`]],
    ['empty', ''],
    ['without flags', `00-${TRACE_ID}-${SPAN_ID}`],
    ['in capitals', `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`],
    ['with more parts in version 00', `00-${TRACE_ID}-${SPAN_ID}-01-x`],
    ['longer in a later version', `01-${TRACE_ID}-${SPAN_ID}-010`],
    ['of version ff', `ff-${TRACE_ID}-${SPAN_ID}-01`],
    ['of zeros for a trace', `00-${'0'.repeat(32)}-${SPAN_ID}-01`],
    ['of zeros for a span', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['with a line break', `00-${TRACE_ID}-${SPAN_ID}-01\n`],
  ])('that is %s is ignored', (_what, header) => {
    expect(readTraceContext(header)).toBeNull();
  });

  test('is written as it is read, and the state of the trace comes with it', () => {
    const header = `00-${TRACE_ID}-${SPAN_ID}-01`;
    const context = readTraceContext(header, 'shop=1,till=2');
    expect(context).not.toBeNull();
    if (context === null) return;
    expect(traceparentText(context)).toBe(header);
    expect(context.traceState?.get('till')).toBe('2');
  });
});
