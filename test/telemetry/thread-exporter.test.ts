import type { Worker } from 'node:worker_threads';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ThreadExporter } from '../../src/telemetry/thread-exporter.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';

let receiver: OtlpReceiver;
let exporter: ThreadExporter;
const threads: Worker[] = [];
const keep = (thread: Worker): void => void threads.push(thread);

beforeEach(async () => {
  receiver = await OtlpReceiver.start();
  process.on('worker', keep);
  exporter = new ThreadExporter({ url: `${receiver.url}/v1/traces` });
});
afterEach(async () => {
  await exporter.destroy();
  await receiver.stop();
  process.off('worker', keep);
  threads.length = 0;
});

/** A span that ended, of an SDK that sends nothing itself. */
function span(): ReadableSpan {
  const ended: ReadableSpan[] = [];
  const keep = {
    export: (spans: ReadableSpan[]) => void ended.push(...spans),
    shutdown: () => Promise.resolve(),
  };
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(keep)] });
  provider.getTracer('test').startSpan('asked').end();
  const [first] = ended;
  if (first === undefined) throw new Error('no span ended');
  return first;
}

/** What the SDK is told of an export. */
function send(): Promise<string> {
  return new Promise((resolve) => {
    exporter.export([span()], ({ error }) => resolve(error?.message ?? 'sent'));
  });
}

test('spans arrive, and a thread that was ended meanwhile is replaced', async () => {
  expect(await send()).toBe('sent');
  await threads[0]?.terminate();
  expect(await send()).toBe('sent');
  expect(threads).toHaveLength(2);
  expect(receiver.spans.map(({ name }) => name)).toEqual(['asked', 'asked']);
});

test('a collector that hangs costs what is more than the exports that may be under way (I9)', async () => {
  receiver.mode = 'hang';
  const first = Array.from({ length: 4 }, send);
  expect(await send()).toBe('4 exports are under way');
  await exporter.destroy();
  expect(await Promise.all(first)).not.toContain('sent');
});

test('the end waits for what is being sent', async () => {
  const sent = send();
  await exporter.shutdown();
  expect(await sent).toBe('sent');
  expect(receiver.spans).toHaveLength(1);
});
