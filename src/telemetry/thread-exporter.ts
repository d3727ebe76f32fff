import { fileURLToPath } from 'node:url';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { Piscina } from 'piscina';
import type { ExportTarget } from './export-thread.ts';

type Done = Parameters<SpanExporter['export']>[1];

/** ExportResultCode of @opentelemetry/core. */
const SUCCESS = 0;
const FAILED = 1;

const THREAD_URL = new URL('./export-thread.ts', import.meta.url);

/** An exporter that sends from a thread of its own; see export-thread.ts for why. */
export class ThreadExporter implements SpanExporter {
  readonly #thread: Piscina<Uint8Array, void>;

  constructor(target: ExportTarget) {
    this.#thread = new Piscina({
      filename: fileURLToPath(THREAD_URL),
      name: 'sendSpans',
      workerData: target,
      minThreads: 1,
      maxThreads: 1,
      atomics: 'disabled',
    });
  }

  export(spans: ReadableSpan[], done: Done): void {
    const request = ProtobufTraceSerializer.serializeRequest(spans) ?? new Uint8Array();
    this.#thread.run(request).then(
      () => done({ code: SUCCESS }),
      (error: unknown) => {
        done({ code: FAILED, error: error instanceof Error ? error : new Error('unknown') });
      },
    );
  }

  /** What is on its way is not waited for: the SDK has waited already, or gave up. */
  async shutdown(): Promise<void> {
    await this.#thread.destroy();
  }
}
