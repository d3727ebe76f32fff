import { expect, test } from 'vitest';

import type { ActorJson, BatchJson, ShardJson, StateJson } from '../../src/page/admin-api.ts';
import { ACTORS_SHOWN, BATCHES_SHOWN, LiveState } from '../../src/page/live-state.ts';

const START = Date.parse('2030-01-01T00:00:00Z');

function actor(product_id: string, s1 = 1): ActorJson {
  return {
    product_id,
    name: product_id,
    status: 'active',
    shard: 0,
    partition: 0,
    owner_id: 7,
    mailbox: { depth: 3, bound: 10, oldest_ms: 1 },
    decided: 0,
    committing: 0,
    stock: { available: 1, held: 0, sold: 0 },
    lapsing: null,
    orders_per_second: { s1, s10: s1, s60: s1 },
    refused: {},
    sequence: 1,
    sold_out_at: null,
  };
}

function batch(no: number, changes: Partial<BatchJson> = {}): BatchJson {
  return {
    owner_id: 7,
    no,
    shard: 0,
    sent_at: new Date(START + no).toISOString(),
    orders: 10,
    changes: 0,
    wait_ms: 0,
    copy_ms: 1,
    merge_ms: 1,
    commit_ms: 1,
    total_ms: no,
    outcome: 'committed',
    cause: null,
    ...changes,
  };
}

function shard(orders: number | null, owner_id = 7): ShardJson {
  const counts = { orders: orders ?? 0, units: 0, replayed: 0, lapsed: 0 };
  const inside = {
    proven: true,
    actors: 1,
    mailbox: { depth: 5, bound: 10, oldest_ms: null },
    decided: 0,
    in_flight: 0,
    attempts: 0,
    holds: 0,
    unpaid: 0,
    window: 0,
    totals: { ...counts, refused: { 'out-of-stock': (orders ?? 0) * 2 }, shed: {} },
    event_loop: { delay_ms: { p50: 0, p99: 0 }, utilization: 0 },
    heap_bytes: 0,
  };
  return {
    shard: 0,
    partitions: 256,
    state: 'serving',
    owner_id,
    restarts: 0,
    batches: null,
    inside: orders === null ? null : inside,
  };
}

function event(second: number, changes: Partial<StateJson> = {}): StateJson {
  const at = new Date(START + second * 1_000).toISOString();
  return { at, actors: [], shards: [], batches: [], actor: null, ...changes };
}

test('the rate of the engine is what its shards gained, taken over a few seconds', () => {
  const state = new LiveState();
  state.apply(event(0, { shards: [shard(1_000)] }), null);
  expect(state.rates.orders).toBeNull();
  state.apply(event(1, { shards: [shard(1_100)] }), null);
  expect(state.rates).toEqual({ orders: 100, refused: 200, shed: 0 });
  for (let second = 2; second <= 10; second += 1) {
    state.apply(event(second, { shards: [shard(1_100 + (second - 1) * 300)] }), null);
  }
  expect(state.rates.orders).toBe(300);
});

test('an owner that was silent or is new did not gain all it has in one second', () => {
  const state = new LiveState();
  state.apply(event(0, { shards: [shard(null)] }), null);
  state.apply(event(1, { shards: [shard(5_000_000)] }), null);
  expect(state.rates.orders).toBe(0);
  state.apply(event(2, { shards: [shard(40, 8)] }), null);
  expect(state.rates.orders).toBe(0);
});

test('after a gap the rate is of the time after it', () => {
  const state = new LiveState();
  state.apply(event(0, { shards: [shard(0)] }), null);
  state.apply(event(60, { shards: [shard(6_000)] }), null);
  expect(state.rates.orders).toBeNull();
  expect(state.engine.column('orders')).toEqual([null, null, null]);
});

test('batches are kept once each, newest first, and no more than are shown (I9)', () => {
  const state = new LiveState();
  state.addBatches([batch(2), batch(1)]);
  state.addBatches([batch(3), batch(2)]);
  expect(state.batches.map(({ no }) => no)).toEqual([3, 2, 1]);
  for (let no = 10; no < 1_000; no += 10) {
    state.addBatches(Array.from({ length: 10 }, (_, n) => batch(no + n)));
  }
  expect(state.batches).toHaveLength(BATCHES_SHOWN);
  expect(state.batches[0]?.no).toBe(999);
});

test('actors that are shown no more are forgotten, however many come and go (I9)', () => {
  const state = new LiveState();
  for (let second = 0; second < 100; second += 1) {
    const actors = Array.from({ length: ACTORS_SHOWN }, (_, n) => actor(`${second} ${n}`));
    state.apply(event(second, { actors }), null);
  }
  const kept = Array.from({ length: 100 * ACTORS_SHOWN }, (_, n) =>
    state.actorHistory(`${Math.floor(n / ACTORS_SHOWN)} ${n % ACTORS_SHOWN}`),
  );
  expect(kept.filter((history) => history !== undefined).length).toBeLessThanOrEqual(
    ACTORS_SHOWN + 1,
  );
});

test('the actor asked for is found, and its history grows once a second although it is hot too', () => {
  const state = new LiveState();
  state.apply(event(0, { actors: [actor('a'), actor('b')], actor: actor('a', 5) }), 'a');
  expect(state.actor('a')?.orders_per_second.s1).toBe(5);
  expect(state.actor('b')?.product_id).toBe('b');
  expect(state.actor('c')).toBeUndefined();
  expect(state.actorHistory('a')?.column('s1')).toEqual([5]);
});

test('a second of batches is drawn by its median and its largest, a failed one by size alone', () => {
  const state = new LiveState();
  const failed = batch(900, { outcome: 'aborted', orders: 500 });
  const batches = [batch(1), batch(2, { orders: 20 }), batch(3, { orders: 30 }), failed];
  state.apply(event(0, { shards: [shard(0)], batches }), null);
  state.apply(event(1, { shards: [shard(0)] }), null);
  const history = state.shardHistory(0);
  expect(history?.column('orders')).toEqual([30, null]);
  expect(history?.column('ordersMost')).toEqual([500, null]);
  expect(history?.column('total')).toEqual([2, null]);
  expect(history?.column('totalMost')).toEqual([3, null]);
  expect(history?.column('depth')).toEqual([5, 5]);
});

test('batches of before the stream are drawn when they were sent, not when it began', () => {
  const state = new LiveState();
  const sent = (no: number, second: number) =>
    batch(no, { sent_at: new Date(START + second * 1_000).toISOString(), total_ms: no });
  const batches = [sent(5, 399.5), sent(4, 390.2), sent(3, 390.1), sent(2, 200), sent(1, 50)];
  state.apply(event(400, { shards: [shard(0)], batches }), null);
  const history = state.shardHistory(0);
  const seconds = history?.times.map((time) => (time - START) / 1_000);
  expect(seconds).toEqual([200, 200.001, 391, 391.001, 400]);
  expect(history?.column('totalMost')).toEqual([2, null, 4, null, 5]);
  expect(history?.column('depth')).toEqual([null, null, null, null, 5]);
});

test('a stream opened anew draws no batch twice, and a slow commit is drawn when it ended', () => {
  const state = new LiveState();
  const slow = batch(2, { total_ms: 1_600 });
  state.apply(event(0, { shards: [shard(0)], batches: [batch(1)] }), null);
  state.apply(event(1, { shards: [shard(0)] }), null);
  state.apply(event(2, { shards: [shard(0)], batches: [slow, batch(1)] }), null);
  expect(state.shardHistory(0)?.column('totalMost')).toEqual([1, null, 1_600]);
});
