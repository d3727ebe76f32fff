/** Values of series as the data that the OpenTelemetry SDK collects from producers. */
import { ValueType } from '@opentelemetry/api';
import type { Attributes, HrTime } from '@opentelemetry/api';
import { emptyResource } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricData,
} from '@opentelemetry/sdk-metrics';
import { METRICS } from './metric-catalogue.ts';
import type { MetricName } from './metric-catalogue.ts';

type NamesOf<Kind extends string> = {
  [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];
export type HistogramName = NamesOf<'histogram'>;
export type CounterName = NamesOf<'counter'>;
/** Whose series have a number each. */
export type NumberName = NamesOf<'counter' | 'gauge'>;

/** The exposition has no times: Prometheus takes that of its scrape. */
const NO_TIME: HrTime = [0, 0];

/** The value of one series. */
export function pointOf<T>(attributes: Attributes, value: T): DataPoint<T> {
  return { startTime: NO_TIME, endTime: NO_TIME, attributes, value };
}

function frameOf(name: MetricName) {
  const { unit, help: description } = METRICS[name];
  return {
    descriptor: { name, unit, description, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
}

export function numberData(name: NumberName, dataPoints: DataPoint<number>[]): MetricData {
  const data = { ...frameOf(name), dataPoints };
  return METRICS[name].kind === 'counter'
    ? { ...data, dataPointType: DataPointType.SUM, isMonotonic: true }
    : { ...data, dataPointType: DataPointType.GAUGE };
}

export function histogramData(name: HistogramName, dataPoints: DataPoint<Histogram>[]): MetricData {
  return { ...frameOf(name), dataPointType: DataPointType.HISTOGRAM, dataPoints };
}

/** What a producer answers; the resource is that of the SDK. */
export function collected(metrics: MetricData[]): CollectionResult {
  const scopeMetrics = [{ scope: { name: 'hedonify' }, metrics }];
  return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
}
