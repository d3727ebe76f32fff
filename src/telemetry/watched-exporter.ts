import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';

type Done = Parameters<SpanExporter['export']>[1];
type Result = Parameters<Done>[0];

/**
 * An exporter whose failures are one line in the log, and its recovery another: a collector that is
 * away for a night must not fill the log, nor be forgotten.
 */
export class WatchedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #logger: Logger;
  /** Since the first export that failed; null while they succeed. */
  #spansLost: number | null = null;

  constructor(exporter: SpanExporter, logger: Logger) {
    this.#exporter = exporter;
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: Done): void {
    this.#exporter.export(spans, (result) => {
      this.#note(result, spans.length);
      done(result);
    });
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  #note({ error }: Result, spans: number): void {
    if (error !== undefined) {
      if (this.#spansLost === null) {
        this.#logger.warn({ reason: error.message }, 'traces are not delivered');
      }
      this.#spansLost = (this.#spansLost ?? 0) + spans;
    } else if (this.#spansLost !== null) {
      this.#logger.info({ spans_lost: this.#spansLost }, 'traces are delivered again');
      this.#spansLost = null;
    }
  }
}
