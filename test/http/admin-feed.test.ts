import type { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { BatchRecord } from '../../src/domain/inspection.ts';
import { AdminFeed, LISTENERS_MAX } from '../../src/http/admin-feed.ts';
import type { FeedQuestion } from '../../src/http/admin-feed.ts';
import { FakeInspector, makeActor, makeBatch } from './fake-engine.ts';
import { NOW, productId } from './fake-ports.ts';

const QUESTION: FeedQuestion = { sort: 'rate', limit: 20, productId: null };
const LATER = NOW + 3_600_000;

interface Event {
  readonly at: string;
  readonly actors: readonly { readonly product_id: string }[];
  readonly shards: readonly object[];
  readonly actor: { readonly product_id: string } | null;
  readonly batches: readonly { readonly no: number }[];
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A second of the feed's own time. */
const second = () => vi.advanceTimersByTimeAsync(1_000);

/** Batches `last` to `first`, as the inspector has them. */
function batches(last: number, first = 1): BatchRecord[] {
  return Array.from({ length: last - first + 1 }, (_, i) => makeBatch(last - i));
}

function setUp() {
  const inspector = new FakeInspector();
  const errors: unknown[] = [];
  const time = { now: NOW };
  const feed = new AdminFeed({
    inspector,
    clock: () => time.now,
    onError: (error) => errors.push(error),
  });
  const listen = (question: Partial<FeedQuestion> = {}, expiresAt = LATER) => {
    const response = { writableLength: 0 };
    const stream = feed.listen({ ...QUESTION, ...question }, { expiresAt, response });
    return stream === undefined ? undefined : new Listener(stream, response);
  };
  const listener = (...asked: Parameters<typeof listen>): Listener => {
    const found = listen(...asked);
    if (found === undefined) throw new Error('too many');
    return found;
  };
  return { inspector, errors, time, feed, listen, listener };
}

class Listener {
  readonly stream: Readable;
  readonly response: { writableLength: number };
  readonly events: Event[] = [];
  ended = false;
  closed = false;

  constructor(stream: Readable, response: { writableLength: number }) {
    this.stream = stream;
    this.response = response;
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const [, json = ''] = /^event: state\ndata: (.*)\n\n$/.exec(text) ?? [];
      this.events.push(JSON.parse(json));
    });
    stream.on('end', () => (this.ended = true));
    stream.on('close', () => (this.closed = true));
  }

  get told(): number[][] {
    return this.events.map((event) => event.batches.map(({ no }) => no));
  }
}

const settled = () => vi.advanceTimersByTimeAsync(0);

describe('a listener', () => {
  test('gets the state at once and then every second, with the actor that it asks for', async () => {
    const { inspector, time, listener } = setUp();
    inspector.actorRows.push(makeActor(productId(1)), makeActor(productId(2)));
    const { events } = listener({ limit: 1, productId: productId(2) });
    const { events: others } = listener({ productId: productId(9) });
    await settled();
    expect(events).toEqual([
      {
        at: '2030-01-02T03:04:05.678Z',
        actors: [expect.objectContaining({ product_id: productId(1) })],
        shards: [expect.objectContaining({ shard: 0 }), expect.objectContaining({ shard: 1 })],
        actor: expect.objectContaining({ product_id: productId(2) }),
        batches: [],
      },
    ]);
    expect(others).toMatchObject([{ actor: null }]);
    time.now += 1_000;
    await second();
    await second();
    expect(events.map(({ at }) => at)).toEqual([
      '2030-01-02T03:04:05.678Z',
      '2030-01-02T03:04:06.678Z',
      '2030-01-02T03:04:06.678Z',
    ]);
  });

  test('is told of each batch once, newest first, of 50 at most', async () => {
    const { inspector, listener } = setUp();
    inspector.batchRows.push(...batches(60));
    const all = listener();
    await settled();
    inspector.batchRows.unshift(...batches(62, 61));
    await second();
    await second();
    expect(all.told[0]).toHaveLength(50);
    expect(all.told[0]?.[0]).toBe(60);
    expect(all.told.slice(1)).toEqual([[62, 61], []]);
  });

  test('who comes later sees the last state at once, with batches that others know', async () => {
    const { inspector, listener } = setUp();
    inspector.batchRows.push(makeBatch(1));
    listener();
    await settled();
    await second();
    const late = listener();
    await settled();
    expect(late.told).toEqual([[1]]);
    expect(inspector.asked).toHaveLength(2);
  });

  test('who does not read is skipped, and told what was missed (I9)', async () => {
    const { inspector, listener } = setUp();
    const slow = listener();
    const quick = listener();
    await settled();
    slow.response.writableLength = 1;
    for (const no of [1, 2, 3]) {
      inspector.batchRows.unshift(makeBatch(no));
      await second();
    }
    expect(slow.told).toEqual([[]]);
    slow.response.writableLength = 0;
    await second();
    expect(slow.told).toEqual([[], [3, 2, 1]]);
    expect(quick.told).toEqual([[], [1], [2], [3], []]);
  });

  test('who has not read for half a minute gives its place to others (I9)', async () => {
    const { listener } = setUp();
    const slow = listener();
    await settled();
    slow.response.writableLength = 1;
    for (let n = 0; n < 30; n += 1) await second();
    expect(slow.closed).toBe(false);
    await second();
    expect(slow).toMatchObject({ ended: false, closed: true });
  });

  test('who never takes an event holds one, and no second (I9)', async () => {
    const { feed } = setUp();
    const response = { writableLength: 0 };
    const stream = feed.listen(QUESTION, { expiresAt: LATER, response });
    await settled();
    const held = stream?.readableLength ?? 0;
    expect(held).toBeGreaterThan(0);
    await second();
    await second();
    expect(stream?.readableLength).toBe(held);
    feed.close();
    expect(stream?.destroyed).toBe(true);
  });

  test('gets nothing any more when the token has expired', async () => {
    const { time, listener } = setUp();
    const short = listener({}, NOW + 1);
    const long = listener();
    await settled();
    time.now += 1;
    await second();
    expect(short).toMatchObject({ ended: true, closed: true });
    expect(short.events).toHaveLength(1);
    expect(long.events).toHaveLength(2);
    expect(long.ended).toBe(false);
  });
});

describe('the shards are asked', () => {
  test('once a second for all who ask the same', async () => {
    const { inspector, listener } = setUp();
    for (let n = 0; n < 5; n += 1) listener();
    listener({ sort: 'depth' });
    await settled();
    await second();
    expect(inspector.asked.map(({ sort }) => sort)).toEqual(['rate', 'depth', 'rate', 'depth']);
  });

  test('not again before they have answered, however long that takes', async () => {
    const { inspector, listener } = setUp();
    const gate = Promise.withResolvers<void>();
    inspector.gate = () => gate.promise;
    const { events } = listener();
    await second();
    await second();
    expect(inspector.asked).toHaveLength(1);
    expect(events).toEqual([]);
    gate.resolve();
    await settled();
    expect(events).toHaveLength(1);
  });

  test('no more when the last listener has left, whether it has seen anything or not', async () => {
    const { inspector, listener } = setUp();
    const gate = Promise.withResolvers<void>();
    inspector.gate = () => gate.promise;
    listener().stream.destroy();
    const { stream } = listener();
    gate.resolve();
    await settled();
    await second();
    const asked = inspector.asked.length;
    expect(asked).toBe(3);
    stream.destroy();
    await settled();
    expect(vi.getTimerCount()).toBe(0);
    expect(inspector.asked).toHaveLength(asked);
  });
});

describe('the feed', () => {
  test('has a bounded number of listeners, and room again when one leaves (I9)', () => {
    const { listen } = setUp();
    const all = Array.from({ length: LISTENERS_MAX }, (_, n) => listen({ limit: n + 1 }));
    expect(all).not.toContain(undefined);
    expect(listen()).toBeUndefined();
    all[3]?.stream.destroy();
    expect(listen()).toBeDefined();
    expect(listen()).toBeUndefined();
  });

  test('that closes ends all streams at once, those of slow readers by force', async () => {
    const { feed, listen, listener } = setUp();
    const slow = listener();
    const quick = listener({ sort: 'depth' });
    await settled();
    slow.response.writableLength = 1;
    feed.close();
    expect(vi.getTimerCount()).toBe(0);
    await settled();
    expect(quick).toMatchObject({ ended: true, closed: true });
    expect(slow).toMatchObject({ ended: false, closed: true });
    expect(listen()).toBeUndefined();
  });

  test('that closes while it looks tells nobody what it saw', async () => {
    const { inspector, feed, listener } = setUp();
    const gate = Promise.withResolvers<void>();
    inspector.gate = () => gate.promise;
    const { events } = listener();
    feed.close();
    gate.resolve();
    await settled();
    expect(events).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that meets a defect ends the streams that it was met by, and begins anew', async () => {
    const { inspector, errors, listener } = setUp();
    const defect = new Error('a defect');
    inspector.gate = () => Promise.reject(defect);
    const { stream } = listener();
    await settled();
    expect(stream.destroyed).toBe(true);
    expect(errors).toEqual([defect]);
    inspector.gate = async () => {};
    const { events } = listener();
    await settled();
    expect(events).toHaveLength(1);
  });
});
