/**
 * Entry of the thread that sends spans to the collector. The SDK's exporter is an HTTP client, and in
 * the thread of the HTTP server it made code that both run, of headers and streams, serve two kinds
 * of objects: V8 gave up and compiled anew 148 functions under load instead of 54.
 */
import {
  convertLegacyHttpOptions,
  createOtlpHttpExportDelegate,
} from '@opentelemetry/otlp-exporter-base/node-http';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { workerData } from 'piscina';
import type { ExportTarget } from './thread-exporter.ts';

const REASON_CHARS_MAX = 200;

const { url } = workerData as ExportTarget;
const headers = { 'Content-Type': 'application/x-protobuf' };
const delegate = createOtlpHttpExportDelegate<Uint8Array, unknown>(
  convertLegacyHttpOptions({ url }, 'TRACES', 'v1/traces', headers),
  {
    serializeRequest: (request) => request,
    deserializeResponse: (data) => ProtobufTraceSerializer.deserializeResponse(data),
  },
  'otlp_http_span_exporter',
  { name: 'span', countItems: () => 0 },
  undefined,
);

/**
 * Sends one export request as OTLP has it, with the SDK's own retries and time limits.
 *
 * @throws Error with the reason alone: of an error only its message crosses to another thread
 */
export function sendSpans(request: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    delegate.export(request, ({ error }) => {
      if (error === undefined) resolve();
      else reject(new Error(reasonOf(error)));
    });
  });
}

/** What is refused at two addresses at once has a code and no message. */
function reasonOf(error: Error): string {
  const { code } = error as Error & { code?: unknown };
  return [error.message, code].filter(Boolean).join(' ').slice(0, REASON_CHARS_MAX);
}
