/**
 * Answers what the supervisor asks a shard thread: the core knows about its orders, this file about
 * the thread. Nothing is gathered while nobody asks, but for the histogram of the event loop's delay,
 * which Node keeps.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { ShardInspection } from '../actors/inspection.ts';
import { unreachable } from '../domain/errors.ts';
import type { Inspections, ShardPart } from '../domain/inspection.ts';
import type { Ask, Question } from './shard-task.ts';

/** Milliseconds between two samples of the event loop's delay. */
const SAMPLE_MS = 20;
const NS_PER_MS = 1e6;

export type CoreInspection = Pick<ShardInspection, keyof ShardInspection>;

export class ThreadInspection {
  readonly #core: CoreInspection;
  readonly #delay = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  constructor(core: CoreInspection) {
    this.#core = core;
    this.#delay.enable();
  }

  /** @throws whatever the core throws: a look that failed is no reason to end the shard */
  answer(question: Question): Inspections[Ask]['reply'] {
    const now = Date.now();
    switch (question.ask) {
      case 'shard':
        return { ...this.#core.part(now), ...this.#thread() };
      case 'actors':
        return this.#core.actors(question.query, now);
      case 'actor':
        return this.#core.actor(question.query, now);
      case 'held':
        return this.#core.held(question.query, now);
      case 'refusal':
        return this.#core.refusal(question.query, now);
      default:
        return unreachable(question);
    }
  }

  /** The shard has ended; its thread may run the next one. */
  close(): void {
    this.#delay.disable();
  }

  #thread(): Pick<ShardPart, 'eventLoop' | 'heapBytes'> {
    const delayMs = { p50: this.#delayMs(50), p99: this.#delayMs(99) };
    this.#delay.reset();
    const before = this.#utilization;
    this.#utilization = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(this.#utilization, before);
    return {
      // Two looks within a turn of the loop have nothing between them: 0 / 0.
      eventLoop: { delayMs, utilization: Number.isNaN(utilization) ? 0 : utilization },
      heapBytes: getHeapStatistics().used_heap_size,
    };
  }

  /** The histogram has the time from one sample to the next, which is its pace and the delay. */
  #delayMs(percentile: number): number {
    return Math.max(0, this.#delay.percentile(percentile) / NS_PER_MS - SAMPLE_MS);
  }
}
