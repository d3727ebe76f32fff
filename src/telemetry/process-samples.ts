/** What the process and its main thread cost; shard threads tell of themselves. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { ScrapeSample } from './scrape-sample.ts';

/** Between two looks of the delay's sampler. It measures the whole interval, so this is taken off. */
const RESOLUTION_MS = 10;
const NS_PER_SECOND = 1e9;
const US_PER_SECOND = 1e6;
const MAIN = { thread: 'main' } as const;

export class ProcessSamples {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #loop = performance.eventLoopUtilization();

  /** Measures from now on. */
  constructor() {
    this.#delay.enable();
  }

  put(sample: ScrapeSample): void {
    this.#putEventLoop(sample);
    sample.put('v8js_memory_heap_used_bytes', MAIN, getHeapStatistics().used_heap_size);
    const { user, system } = process.cpuUsage();
    sample.put('process_cpu_time_seconds_total', { cpu_mode: 'user' }, user / US_PER_SECOND);
    sample.put('process_cpu_time_seconds_total', { cpu_mode: 'system' }, system / US_PER_SECOND);
    sample.put('process_memory_usage_bytes', {}, process.memoryUsage.rss());
  }

  #putEventLoop(sample: ScrapeSample): void {
    // Nothing was measured since the scrape a moment ago.
    if (this.#delay.count > 0) {
      sample.put('nodejs_eventloop_delay_p50_seconds', MAIN, this.#delaySeconds(50));
      sample.put('nodejs_eventloop_delay_p99_seconds', MAIN, this.#delaySeconds(99));
      this.#delay.reset();
    }
    const loop = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(loop, this.#loop);
    this.#loop = loop;
    // Two looks within a turn of the loop have nothing between them: 0 / 0.
    if (!Number.isNaN(utilization)) {
      sample.put('nodejs_eventloop_utilization_ratio', MAIN, utilization);
    }
  }

  #delaySeconds(percentile: number): number {
    const seconds = this.#delay.percentile(percentile) / NS_PER_SECOND;
    return Math.max(0, seconds - RESOLUTION_MS / 1000);
  }
}
