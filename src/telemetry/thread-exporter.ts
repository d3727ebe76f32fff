import { fileURLToPath } from 'node:url';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { Piscina } from 'piscina';
import { EXPORT_THREAD_URL } from './worker-urls.ts';

type Done = Parameters<SpanExporter['export']>[1];

/** ExportResultCode of @opentelemetry/core. */
const SUCCESS = 0;
const FAILED = 1;

/** What the thread is started with. */
export interface ExportTarget {
  /** With its path. May hold a password. */
  readonly url: string;
}

/** Under way at once; what comes on top is lost, and said to be (I9). */
const EXPORTS_MAX = 4;
/** Above the SDK's own 10 s of an export and its retries: only a thread that hangs takes longer. */
const EXPORT_MS_MAX = 60_000;

/**
 * An exporter that sends from a thread of its own; see export-thread.ts for why. However the thread
 * ends, that costs the spans that it had, and the next ones get another thread.
 */
export class ThreadExporter implements SpanExporter {
  readonly #thread: Piscina<Uint8Array, void>;
  readonly #underWay = new Set<Promise<void>>();

  constructor(target: ExportTarget) {
    this.#thread = new Piscina({
      filename: fileURLToPath(EXPORT_THREAD_URL),
      name: 'sendSpans',
      workerData: target,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: EXPORTS_MAX,
      atomics: 'disabled',
    });
    // The end of a thread that had nothing to do would else be the end of the process.
    this.#thread.on('error', () => undefined);
  }

  export(spans: ReadableSpan[], done: Done): void {
    if (this.#underWay.size >= EXPORTS_MAX) {
      done({ code: FAILED, error: new Error(`${EXPORTS_MAX} exports are under way`) });
      return;
    }
    const sent = this.#send(spans, done);
    this.#underWay.add(sent);
    void sent.finally(() => this.#underWay.delete(sent));
  }

  async forceFlush(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async shutdown(): Promise<void> {
    await this.forceFlush();
    await this.destroy();
  }

  /** Ends the thread, whatever it is at. */
  async destroy(): Promise<void> {
    await this.#thread.destroy();
  }

  /** Never rejects. */
  async #send(spans: ReadableSpan[], done: Done): Promise<void> {
    try {
      const request = ProtobufTraceSerializer.serializeRequest(spans) ?? new Uint8Array();
      await this.#thread.run(request, { signal: AbortSignal.timeout(EXPORT_MS_MAX) });
    } catch (error) {
      done({ code: FAILED, error: error instanceof Error ? error : new Error('unknown') });
      return;
    }
    done({ code: SUCCESS });
  }
}
