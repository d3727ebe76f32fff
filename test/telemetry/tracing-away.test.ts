import { context, diag, trace } from '@opentelemetry/api';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { startTracing } from '../../src/telemetry/tracing.ts';
import type { Tracing } from '../../src/telemetry/tracing.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { until } from '../support/until.ts';

/** Two seconds are what stopping may take; a busy machine gets some slack. */
const STOP_MS_MAX = 3_500;
const lines: string[] = [];

function start(endpoint: string): Promise<Tracing> {
  lines.length = 0;
  return startTracing({
    endpoint,
    sampler: 'always_on',
    ratio: 0,
    serviceVersion: '1.2.3',
    logger: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
  });
}

function makeSpan(tracing: Tracing): void {
  tracing.startRequest({})?.span.end();
}

async function stopMs(tracing: Tracing): Promise<number> {
  const begin = performance.now();
  await tracing.stop();
  return performance.now() - begin;
}

// The API keeps what was registered for the whole process.
afterEach(() => {
  trace.disable();
  context.disable();
  diag.disable();
  delete process.env['OTEL_SDK_DISABLED'];
});

test('a collector that refuses connections costs its spans, one line, and no time at the end (I9)', async () => {
  const gone = await OtlpReceiver.start();
  const { url } = gone;
  await gone.stop();
  const tracing = await start(url);
  makeSpan(tracing);
  expect(await stopMs(tracing)).toBeLessThan(STOP_MS_MAX);
  makeSpan(tracing);
  expect(await stopMs(tracing)).toBeLessThan(STOP_MS_MAX);
  expect(lines.filter((line) => line.includes('traces are not delivered')).length).toBeLessThan(2);
});

test('a collector that never answers cannot hold up the end of the process (I9)', async () => {
  const receiver = await OtlpReceiver.start();
  receiver.mode = 'hang';
  const tracing = await start(receiver.url);
  makeSpan(tracing);
  expect(await stopMs(tracing)).toBeLessThan(STOP_MS_MAX);
  expect(receiver.requests).toHaveLength(1);
  await receiver.stop();
});

test('what is still queued at the end is sent, with the last spans of the process', async () => {
  const receiver = await OtlpReceiver.start();
  const tracing = await start(`${receiver.url}/`);
  makeSpan(tracing);
  await tracing.stop();
  await until('the span', () => receiver.spans.length === 1);
  expect(receiver.requests[0]?.url).toBe('/v1/traces');
  await receiver.stop();
});

test('with OTEL_SDK_DISABLED nothing is recorded', async () => {
  process.env['OTEL_SDK_DISABLED'] = 'true';
  const tracing = await start('http://127.0.0.1:1');
  expect(tracing.startRequest({})).toBeNull();
  await tracing.stop();
});
