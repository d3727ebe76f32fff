/**
 * The live state of the engine, once a second, for whoever listens. One ticker serves all who ask the
 * same, so that looking costs the shards no more for ten open pages than for one.
 *
 * I9: at most `LISTENERS_MAX` streams, and of each at most one event that was not read yet: who has
 * not taken the last one is not given the next.
 */
import { Readable } from 'node:stream';

import type { ProductId } from '../domain/ids.ts';
import type { ActorSort, BatchRecord, Inspector } from '../domain/inspection.ts';
import { actorJson, batchJson, shardJson } from './admin-json.ts';
import { timeText } from './time-text.ts';

/** Streams at a time. */
export const LISTENERS_MAX = 20;
/** From the end of one look to the next. */
const TICK_MS = 1_000;
/** Of one event. */
const BATCHES_MAX = 50;

/** What somebody wants to see. */
export interface FeedQuestion {
  readonly sort: ActorSort;
  /** Actors at most. */
  readonly limit: number;
  /** Whose actor is shown wherever it stands. */
  readonly productId: ProductId | null;
}

/** Who listens. */
export interface FeedListener {
  /** The end of the stream, milliseconds since the epoch. */
  readonly expiresAt: number;
  /** What the stream is written to. */
  readonly response: { readonly writableLength: number };
}

/** What the feed needs. */
export interface FeedOptions {
  readonly inspector: Inspector;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** A defect, which ended some streams. */
  readonly onError: (error: unknown) => void;
}

/** What is the same for all who ask the same. */
interface State {
  /** Of the event's JSON everything but `batches`. */
  readonly head: string;
  /** JSON texts by the name of the batch, newest first. */
  readonly batches: ReadonlyMap<string, string>;
}

/** Streams of server-sent events. */
export class AdminFeed {
  readonly #options: FeedOptions;
  readonly #tickers = new Map<string, Ticker>();
  #listeners = 0;
  #closed = false;

  /** Does nothing until somebody listens. */
  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /**
   * The text of the events, the first one at once. It ends when `expiresAt` has passed or the feed is
   * closed; whoever leaves destroys it. Undefined = too many listen, or it is closed.
   */
  listen(question: FeedQuestion, listener: FeedListener): Readable | undefined {
    if (this.#closed || this.#listeners >= LISTENERS_MAX) return undefined;
    this.#listeners += 1;
    const name = JSON.stringify(question);
    const ticker = this.#tickers.get(name) ?? this.#start(name, question);
    const stream = new EventStream(listener, () => {
      this.#listeners -= 1;
      ticker.remove(stream);
    });
    ticker.add(stream);
    return stream;
  }

  /** Ends all streams, without waiting for slow readers. */
  close(): void {
    this.#closed = true;
    for (const ticker of this.#tickers.values()) ticker.stop();
  }

  #start(name: string, question: FeedQuestion): Ticker {
    const onStop = (): void => void this.#tickers.delete(name);
    const ticker = new Ticker(question, this.#options, onStop);
    this.#tickers.set(name, ticker);
    return ticker;
  }
}

/** Looks once a second for as long as somebody listens. */
class Ticker {
  readonly #question: FeedQuestion;
  readonly #options: FeedOptions;
  readonly #onStop: () => void;
  readonly #streams = new Set<EventStream>();
  #state: State | null = null;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(question: FeedQuestion, options: FeedOptions, onStop: () => void) {
    this.#question = question;
    this.#options = options;
    this.#onStop = onStop;
    void this.#tick();
  }

  add(stream: EventStream): void {
    this.#streams.add(stream);
    if (this.#state !== null) stream.offer(this.#state, this.#options.clock());
  }

  remove(stream: EventStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) this.stop();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#onStop();
    for (const stream of this.#streams) stream.finish();
  }

  async #tick(): Promise<void> {
    const { clock, onError } = this.#options;
    try {
      this.#state = await this.#look();
    } catch (error) {
      onError(error);
      this.stop();
    }
    const state = this.#state;
    if (this.#stopped || state === null) return;
    this.#timer = setTimeout(() => void this.#tick(), TICK_MS);
    for (const stream of this.#streams) stream.offer(state, clock());
  }

  async #look(): Promise<State> {
    const { inspector, clock } = this.#options;
    const { sort, limit, productId } = this.#question;
    const [actors, shards, actor] = await Promise.all([
      inspector.actors({ sort, limit }),
      inspector.shards(),
      productId === null ? undefined : inspector.actor(productId),
    ]);
    const head = JSON.stringify({
      at: timeText(clock()),
      actors: actors.map(actorJson),
      shards: shards.map(shardJson),
      actor: actor === undefined ? null : actorJson(actor),
    });
    const records = inspector.batches(BATCHES_MAX);
    const batches = records.map((it) => [nameOf(it), JSON.stringify(batchJson(it))] as const);
    return { head: head.slice(1, -1), batches: new Map(batches) };
  }
}

function nameOf({ ownerId, no }: BatchRecord): string {
  return `${ownerId} ${no}`;
}

/** Events that a listener may miss in a row; one each second. */
const MISSED_MAX = 30;

/** The events of one listener. */
class EventStream extends Readable {
  readonly #listener: FeedListener;
  readonly #onLeave: () => void;
  /** Batches that the last event knew of. */
  #told: State['batches'] = new Map();
  #finished = false;
  /** Events in a row that it was too slow for. */
  #missed = 0;

  constructor(listener: FeedListener, onLeave: () => void) {
    super();
    this.#listener = listener;
    this.#onLeave = onLeave;
  }

  offer({ head, batches }: State, now: number): void {
    if (now >= this.#listener.expiresAt) {
      this.finish();
      return;
    }
    if (this.#finished) return;
    if (this.#isBehind) {
      // It takes the place of one who would look.
      this.#missed += 1;
      if (this.#missed > MISSED_MAX) this.finish();
      return;
    }
    this.#missed = 0;
    const news = [...batches].filter(([name]) => !this.#told.has(name)).map(([, text]) => text);
    this.#told = batches;
    this.push(`event: state\ndata: {${head},"batches":[${news.join()}]}\n\n`);
  }

  /** What a slow reader has not taken yet is dropped: nobody waits for it. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    if (this.#isBehind) this.destroy();
    else this.push(null);
  }

  /** Events come when there are some. */
  override _read(): void {}

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#onLeave();
    done(error);
  }

  get #isBehind(): boolean {
    return this.readableLength > 0 || this.#listener.response.writableLength > 0;
  }
}
