import type { DataPoint, MetricData } from '@opentelemetry/sdk-metrics';
import type { Labels } from './metric-catalogue.ts';
import { numberData, pointOf } from './metric-data.ts';
import type { NumberName } from './metric-data.ts';

/** What one scrape found. */
export class ScrapeSample {
  readonly #points = new Map<NumberName, DataPoint<number>[]>();

  /** Adds the value of a series, once per series. */
  put<Name extends NumberName>(name: Name, labels: Labels<Name>, value: number): void {
    const points = this.#points.get(name) ?? [];
    points.push(pointOf(labels, value));
    this.#points.set(name, points);
  }

  toMetrics(): MetricData[] {
    return [...this.#points].map(([name, points]) => numberData(name, points));
  }
}
