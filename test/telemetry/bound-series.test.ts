import { expect, test } from 'vitest';
import { BoundCounters, BoundHistogram } from '../../src/telemetry/bound-series.ts';

test('a histogram counts each value in the first bucket whose upper bound it does not exceed', () => {
  const histogram = new BoundHistogram([1, 2, 5]);
  for (const value of [0, 1, 1.01, 2, 5, 5.5, 1e9]) histogram.record(value);
  expect(histogram.value).toEqual({
    buckets: { boundaries: [1, 2, 5], counts: [2, 2, 1, 2] },
    sum: 1e9 + 14.51,
    count: 7,
  });
});

test('what is collected does not change with what is recorded later', async () => {
  const histogram = new BoundHistogram([1]);
  const before = histogram.value;
  histogram.record(0.5);
  expect(before.count).toBe(0);
  expect(before.buckets.counts).toEqual([0, 0]);
});

test('a counter is there with 0 from the moment it is bound, and series do not mix', async () => {
  const orders = new BoundCounters('hedonify_orders_total');
  const accepted = orders.bind({ outcome: 'accepted', code: '' });
  orders.bind({ outcome: 'replayed', code: '' });
  accepted.increment();
  accepted.increment();
  const { resourceMetrics } = await orders.collect();
  const points = resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
    metrics.flatMap(({ dataPoints }) => dataPoints.map((it) => [it.attributes, it.value])),
  );
  expect(points).toEqual([
    [{ outcome: 'accepted', code: '' }, 2],
    [{ outcome: 'replayed', code: '' }, 0],
  ]);
});
