/**
 * OpenTelemetry's SDK, set up: spans are queued in a bounded queue and sent to a collector over OTLP.
 * Loaded only while tracing is on, since that alone takes half a second; and before pg and ioredis,
 * which are patched as they are loaded.
 *
 * The SDK reads what else the environment says of OTEL_*; docs/operations.md lists what it heeds.
 */
import { createRequire } from 'node:module';
import { DiagLogLevel, SamplingDecision, diag } from '@opentelemetry/api';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { Sampler } from '@opentelemetry/sdk-trace-base';
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from '@opentelemetry/semantic-conventions';
import type { Logger } from 'pino';
import { BATCH_ORDERS_MAX } from './order-spans.ts';
import { isRecorded } from './sampling.ts';
import { ThreadExporter } from './thread-exporter.ts';
import { WatchedExporter } from './watched-exporter.ts';

export interface SdkOptions {
  /** Of the collector: `http://host:4318`. May hold a password: never logged. */
  readonly endpoint: string;
  readonly serviceVersion: string;
  readonly logger: Logger;
}

/** Of an attribute: a header that a client made up may be 16 KB long. */
const ATTRIBUTE_CHARS_MAX = 4_096;

const sampler: Sampler = {
  shouldSample: (context) => ({
    decision: isRecorded(context)
      ? SamplingDecision.RECORD_AND_SAMPLED
      : SamplingDecision.NOT_RECORD,
  }),
  toString: () => 'what requests decided',
};

export interface TraceSdk {
  /** Sends what is queued; takes as long as the collector lets it. */
  shutdown(): Promise<void>;
  /** Ends what is still being sent. */
  destroy(): Promise<void>;
}

/** Registers the SDK with the API of OpenTelemetry. One per process. */
export function startSdk({ endpoint, serviceVersion, logger }: SdkOptions): TraceSdk {
  const exporter = new ThreadExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
  const sdk = new NodeSDK({
    resource: resourceFromAttributes({
      [ATTR_SERVICE_NAME]: 'hedonify',
      [ATTR_SERVICE_VERSION]: serviceVersion,
      [ATTR_SERVICE_INSTANCE_ID]: crypto.randomUUID(),
    }),
    resourceDetectors: [envDetector],
    traceExporter: new WatchedExporter(exporter, logger),
    sampler,
    spanLimits: {
      linkCountLimit: BATCH_ORDERS_MAX,
      attributeValueLengthLimit: ATTRIBUTE_CHARS_MAX,
    },
    // Contexts come in by our own hook and go out nowhere.
    textMapPropagator: null,
    // Metrics are read at /metrics, and the log is the log.
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [
      new PgInstrumentation({ requireParentSpan: true }),
      new IORedisInstrumentation({
        requireParentSpan: true,
        // Keys hold ids and addresses of customers, values anything.
        dbStatementSerializer: (command) => command,
      }),
    ],
  });
  diag.setLogger(
    {
      error: (text) => logger.debug({ text }, 'OpenTelemetry'),
      warn: (text) => logger.debug({ text }, 'OpenTelemetry'),
      info: () => undefined,
      debug: () => undefined,
      verbose: () => undefined,
    },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  sdk.start();
  // What `import` loads of a CommonJS package passes by the hook that patches it, and `require` does
  // not. (Of pg, the files inside are patched, and those it requires itself.)
  createRequire(import.meta.url)('ioredis');
  return { shutdown: () => sdk.shutdown(), destroy: () => exporter.destroy() };
}
