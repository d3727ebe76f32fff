/**
 * Series whose labels are looked up once and not with every measurement, for what happens with each
 * request. An instrument of the SDK sorts, joins and hashes its labels each time: telling two of them
 * of a request took 1.1 us in a loop and more in a server, telling two of these nothing measurable.
 *
 * I9: a series lives as long as the process; who makes them bounds their labels.
 */
import type { CollectionResult, Histogram, MetricProducer } from '@opentelemetry/sdk-metrics';
import type { Labels } from './metric-catalogue.ts';
import { collected, histogramData, numberData, pointOf } from './metric-data.ts';
import type { CounterName, HistogramName } from './metric-data.ts';

export class BoundCounter {
  value = 0;

  increment(): void {
    this.value += 1;
  }
}

export class BoundHistogram {
  readonly #bounds: readonly number[];
  /** By bucket; the last one is of what is above all bounds. */
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds - Upper ones, inclusive, ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  record(value: number): void {
    let bucket = 0;
    // Nearly everything is fast and found at once; a search by halves would take longer.
    while (value > (this.#bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  get value(): Histogram {
    const counts = [...this.#counts];
    const count = counts.reduce((sum, it) => sum + it, 0);
    return { buckets: { boundaries: [...this.#bounds], counts }, sum: this.#sum, count };
  }
}

interface Series<Name extends CounterName | HistogramName, Bound> {
  readonly labels: Labels<Name>;
  readonly bound: Bound;
}

/** The series of one counter. */
export class BoundCounters<Name extends CounterName> implements MetricProducer {
  readonly #name: Name;
  readonly #series: Series<Name, BoundCounter>[] = [];

  constructor(name: Name) {
    this.#name = name;
  }

  /** A series that begins at 0 now; once for each combination of labels. */
  bind(labels: Labels<Name>): BoundCounter {
    const bound = new BoundCounter();
    this.#series.push({ labels, bound });
    return bound;
  }

  async collect(): Promise<CollectionResult> {
    const points = this.#series.map(({ labels, bound }) => pointOf(labels, bound.value));
    return collected([numberData(this.#name, points)]);
  }
}

/** The series of one histogram. */
export class BoundHistograms<Name extends HistogramName> implements MetricProducer {
  readonly #name: Name;
  readonly #bounds: readonly number[];
  readonly #series: Series<Name, BoundHistogram>[] = [];

  constructor(name: Name, bounds: readonly number[]) {
    this.#name = name;
    this.#bounds = bounds;
  }

  /** As of a counter. */
  bind(labels: Labels<Name>): BoundHistogram {
    const bound = new BoundHistogram(this.#bounds);
    this.#series.push({ labels, bound });
    return bound;
  }

  async collect(): Promise<CollectionResult> {
    const points = this.#series.map(({ labels, bound }) => pointOf(labels, bound.value));
    return collected([histogramData(this.#name, points)]);
  }
}
