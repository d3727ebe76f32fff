import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { StateJson } from '../../src/page/admin-api.ts';
import { LiveFeed, RETRY_MS_MAX, retryDelayMs, SILENCE_MS_MAX } from '../../src/page/live-feed.ts';
import type { Connection, FeedQuery } from '../../src/page/live-feed.ts';

const QUERY: FeedQuery = { sort: 'rate', limit: 10, productId: null };
const EVENT: StateJson = {
  at: '2030-01-01T00:00:00.000Z',
  actors: [],
  shards: [],
  batches: [],
  actor: null,
};

/** A server whose every stream the test writes. */
class Stage {
  readonly said: Connection[] = [];
  readonly events: FeedQuery[] = [];
  readonly streams: { write: (text?: string) => void; end: () => void; signal: AbortSignal }[] = [];
  /** What the next connections get instead of a stream. */
  answer: ((signal: AbortSignal) => Response | Promise<Response>) | null = null;
  readonly feed = new LiveFeed({
    open: async (_query, signal) => this.answer?.(signal) ?? this.#stream(signal),
    onEvent: (_event, query) => this.events.push(query),
    onConnection: (connection) => this.said.push(connection),
  });

  get phases(): string[] {
    return this.said.map(({ phase }) => phase);
  }

  get last(): Connection | undefined {
    return this.said.at(-1);
  }

  #stream(signal: AbortSignal): Response {
    const pipe = new TransformStream<string, string>();
    const writer = pipe.writable.getWriter();
    signal.addEventListener('abort', () => void writer.abort(signal.reason).catch(() => undefined));
    const event = `event: state\ndata: ${JSON.stringify(EVENT)}\n\n`;
    this.streams.push({
      write: (text = event) => void writer.write(text).catch(() => undefined),
      end: () => void writer.close().catch(() => undefined),
      signal,
    });
    return new Response(pipe.readable.pipeThrough(new TextEncoderStream()));
  }
}

let stage: Stage;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  vi.spyOn(Math, 'random').mockReturnValue(1);
  stage = new Stage();
});

afterEach(() => {
  stage.feed.close();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Streams move on by themselves, without a timer. */
async function settled(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns += 1) {
    if (turns > 200) throw new Error(`not settled: ${JSON.stringify(stage.said)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function live(): Promise<Stage['streams'][number]> {
  const before = stage.streams.length;
  stage.feed.follow(QUERY);
  await settled(() => stage.streams.length > before);
  const stream = stage.streams.at(-1);
  if (stream === undefined) throw new Error('no stream');
  stream.write();
  await settled(() => stage.last?.phase === 'live');
  return stream;
}

test('is live with the first event, not with the answer', async () => {
  stage.feed.follow(QUERY);
  await settled(() => stage.streams.length === 1);
  expect(stage.phases).toEqual(['connecting']);
  stage.streams[0]?.write();
  await settled(() => stage.events.length === 1);
  expect(stage.phases).toEqual(['connecting', 'live']);
});

test('a stream that ends is lost at once, and opened again after a pause', async () => {
  const stream = await live();
  stream.end();
  await settled(() => stage.last?.phase === 'lost');
  expect(stage.last).toMatchObject({ retryAt: Date.now() + 500 });
  await vi.advanceTimersByTimeAsync(499);
  expect(stage.streams).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  await settled(() => stage.streams.length === 2);
  expect(stage.last).toEqual({ phase: 'connecting', again: true });
  stage.streams[1]?.write();
  await settled(() => stage.last?.phase === 'live');
});

test('a server that says nothing more is lost too, and its connection dropped', async () => {
  const stream = await live();
  await vi.advanceTimersByTimeAsync(SILENCE_MS_MAX - 1);
  expect(stage.last?.phase).toBe('live');
  await vi.advanceTimersByTimeAsync(1);
  await settled(() => stage.last?.phase === 'lost');
  expect(stage.last).toMatchObject({ reason: 'The server has gone silent.' });
  expect(stream.signal.aborted).toBe(true);
});

test('so is one that takes the connection and never answers', async () => {
  stage.answer = (signal) =>
    new Promise<Response>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    });
  stage.feed.follow(QUERY);
  await vi.advanceTimersByTimeAsync(SILENCE_MS_MAX);
  await settled(() => stage.last?.phase === 'lost');
  expect(stage.last).toMatchObject({ reason: 'The server has gone silent.' });
});

test('the pauses between tries grow to a bound, and an event begins them anew (I9)', async () => {
  stage.answer = () => Promise.reject(new TypeError('refused'));
  stage.feed.follow(QUERY);
  const pauses: number[] = [];
  for (let tries = 1; tries <= 8; tries += 1) {
    await settled(() => stage.phases.filter((phase) => phase === 'lost').length === tries);
    const lost = stage.last;
    if (lost?.phase !== 'lost') throw new Error('not lost');
    expect(lost.reason).toBe('The server cannot be reached.');
    pauses.push(lost.retryAt - Date.now());
    if (tries === 8) stage.answer = null;
    await vi.advanceTimersByTimeAsync(lost.retryAt - Date.now());
  }
  expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, RETRY_MS_MAX, RETRY_MS_MAX, RETRY_MS_MAX]); // prettier-ignore
  await settled(() => stage.streams.length === 1);
  stage.streams[0]?.write();
  await settled(() => stage.last?.phase === 'live');
  stage.streams[0]?.end();
  await settled(() => stage.last?.phase === 'lost');
  expect(stage.last).toMatchObject({ retryAt: Date.now() + 500 });
});

test('pages that lost the same server do not come back in the same moment', () => {
  expect(retryDelayMs(3, 0)).toBe(3_000);
  expect(retryDelayMs(3, 1)).toBe(4_000);
  expect(retryDelayMs(10_000, 1)).toBe(RETRY_MS_MAX);
});

test.each([
  ['overloaded', 'Too many pages are looking at this server.'],
  ['database-unavailable', 'The words of the API.'],
])('a stream refused as %s says %j, and its Retry-After is kept', async (code, reason) => {
  const problem = JSON.stringify({ code, detail: 'The words of the API.' });
  stage.answer = () => new Response(problem, { status: 503, headers: { 'retry-after': '7' } });
  stage.feed.follow(QUERY);
  await settled(() => stage.last?.phase === 'lost');
  const retryAt = Date.now() + 7_000;
  expect(stage.last).toEqual({ phase: 'lost', reason, retryAt });
});

test.each([
  [401, 'unauthenticated'],
  [403, 'forbidden'],
])('after %i it is over until somebody logs in again', async (status, code) => {
  stage.answer = () => new Response('', { status });
  stage.feed.follow(QUERY);
  await settled(() => stage.last?.phase === 'refused');
  expect(stage.last).toEqual({ phase: 'refused', code });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(stage.last?.phase).toBe('refused');
  stage.answer = null;
  await live();
});

test('nobody looks: the stream ends, and nothing is tried until somebody does', async () => {
  const stream = await live();
  stage.feed.pause();
  expect(stream.signal.aborted).toBe(true);
  expect(stage.last?.phase).toBe('paused');
  await vi.advanceTimersByTimeAsync(600_000);
  expect(stage.streams).toHaveLength(1);
  stage.feed.follow({ ...QUERY, sort: 'depth' });
  expect(stage.streams).toHaveLength(1);
  stage.feed.resume();
  await settled(() => stage.streams.length === 2);
  stage.streams[1]?.write();
  await settled(() => stage.events.length === 2);
  expect(stage.events[1]?.sort).toBe('depth');
});

test('another query takes the place of the one before, which is heard no more', async () => {
  const first = await live();
  stage.feed.follow({ ...QUERY, productId: 'p' });
  expect(first.signal.aborted).toBe(true);
  first.write();
  await settled(() => stage.streams.length === 2);
  stage.streams[1]?.write();
  await settled(() => stage.events.length === 2);
  expect(stage.events.map(({ productId }) => productId)).toEqual([null, 'p']);
  stage.feed.follow({ ...QUERY, productId: 'p' });
  expect(stage.streams).toHaveLength(2);
});

test('waiting can be cut short', async () => {
  stage.answer = () => Promise.reject(new TypeError('refused'));
  stage.feed.follow(QUERY);
  await settled(() => stage.last?.phase === 'lost');
  stage.answer = null;
  stage.feed.retryNow();
  await settled(() => stage.streams.length === 1);
  expect(stage.last).toEqual({ phase: 'connecting', again: true });
});
