/**
 * GET /admin/events, kept open: one connection at a time, opened again with growing pauses when it
 * is lost, falls silent or ends. No DOM in here; the page shows what `onConnection` says.
 *
 * It ends for good only when the server refuses the token: who follows must log in again then.
 */
import type { StateJson } from './admin-api.ts';
import type { ActorSort, ProblemJson } from './admin-api.ts';
import { EventStreamParser } from './event-stream.ts';
import { problemText } from './problem-text.ts';

/** An event comes every second; after this long without one the connection counts as lost. */
export const SILENCE_MS_MAX = 4_500;
const RETRY_MS_MIN = 500;
export const RETRY_MS_MAX = 15_000;

export interface FeedQuery {
  readonly sort: ActorSort;
  readonly limit: number;
  /** The product whose actor is sent along. */
  readonly productId: string | null;
}

export type Connection =
  /** `again`: what is shown is of before. */
  | { readonly phase: 'connecting'; readonly again: boolean }
  | { readonly phase: 'live' }
  /** Next try at `retryAt`, milliseconds since the epoch by this machine's clock. */
  | { readonly phase: 'lost'; readonly reason: string; readonly retryAt: number }
  /** Nobody looks. */
  | { readonly phase: 'paused' }
  | { readonly phase: 'refused'; readonly code: 'unauthenticated' | 'forbidden' };

export interface FeedDeps {
  /** Rejects when there is no answer. */
  readonly open: (query: FeedQuery, signal: AbortSignal) => Promise<Response>;
  readonly onEvent: (event: StateJson, query: FeedQuery) => void;
  readonly onConnection: (connection: Connection) => void;
}

/** How one connection ended. */
type Ending =
  | { readonly type: 'refused'; readonly code: 'unauthenticated' | 'forbidden' }
  | { readonly type: 'lost'; readonly reason: string; readonly retryAfterMs: number };

/** Doubles from half a second; `random` (0 to 1) spreads pages that all lost the same server. */
export function retryDelayMs(failures: number, random: number): number {
  const delay = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures);
  return Math.round(delay * (0.75 + random / 4));
}

export class LiveFeed {
  readonly #deps: FeedDeps;
  #query: FeedQuery | null = null;
  #paused = false;
  #run: AbortController | null = null;
  /** Ends the pause before the next try. */
  #wake: (() => void) | null = null;

  constructor(deps: FeedDeps) {
    this.#deps = deps;
  }

  /** Opens the stream of this query in place of the one before. */
  follow(query: FeedQuery): void {
    const same = JSON.stringify(query) === JSON.stringify(this.#query);
    this.#query = query;
    if (this.#paused || (same && this.#run !== null)) return;
    this.#restart(query);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#stop();
    if (this.#query !== null) this.#deps.onConnection({ phase: 'paused' });
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#query !== null) this.#restart(this.#query);
  }

  /** Tries now instead of after the pause. */
  retryNow(): void {
    this.#wake?.();
  }

  /** Until `follow` is called again. */
  close(): void {
    this.#query = null;
    this.#stop();
  }

  #stop(): void {
    this.#run?.abort();
    this.#run = null;
  }

  #restart(query: FeedQuery): void {
    this.#stop();
    const run = new AbortController();
    this.#run = run;
    void this.#keepOpen(query, run);
  }

  async #keepOpen(query: FeedQuery, run: AbortController): Promise<void> {
    const { signal } = run;
    const say = (connection: Connection) => {
      if (!signal.aborted) this.#deps.onConnection(connection);
    };
    let failures = 0;
    const onLive = () => {
      failures = 0;
      say({ phase: 'live' });
    };
    say({ phase: 'connecting', again: false });
    while (!signal.aborted) {
      const ending = await this.#readOnce(query, { signal, onLive });
      if (signal.aborted) return;
      if (ending.type === 'refused') {
        say({ phase: 'refused', code: ending.code });
        this.#run = null;
        return;
      }
      const waitMs = Math.max(ending.retryAfterMs, retryDelayMs(failures, Math.random()));
      failures += 1;
      say({ phase: 'lost', reason: ending.reason, retryAt: Date.now() + waitMs });
      await this.#sleep(waitMs, signal);
      say({ phase: 'connecting', again: true });
    }
  }

  async #readOnce(
    query: FeedQuery,
    { signal, onLive }: { readonly signal: AbortSignal; readonly onLive: () => void },
  ): Promise<Ending> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
    try {
      const response = await this.#deps.open(query, AbortSignal.any([signal, silence.signal]));
      if (response.status !== 200 || response.body === null) return await refusal(response);
      const parser = new EventStreamParser();
      let live = false;
      for await (const piece of textOf(response.body)) {
        for (const { name, data } of parser.push(piece)) {
          if (signal.aborted) break;
          if (name !== 'state') continue;
          clearTimeout(timer);
          timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
          this.#deps.onEvent(JSON.parse(data) as StateJson, query);
          if (!live) onLive();
          live = true;
        }
      }
      return lost('The server ended the stream.');
    } catch (error) {
      if (silence.signal.aborted) return lost('The server has gone silent.');
      // What a browser calls a failed fetch differs and says nothing; anything else is a fault of
      // the page, and the next event may be one that it can show.
      const known = error instanceof TypeError || signal.aborted;
      return lost(known ? 'The server cannot be reached.' : `The stream broke: ${String(error)}`);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
      this.#wake = end;
    });
  }
}

const CROWDED = 'Too many pages are looking at this server.';

function lost(reason: string, retryAfterMs = 0): Ending {
  return { type: 'lost', reason, retryAfterMs };
}

async function* textOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  // Not `for await` over the body: not every browser can iterate a stream.
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

async function refusal(response: Response): Promise<Ending> {
  if (response.status === 401) return { type: 'refused', code: 'unauthenticated' };
  if (response.status === 403) return { type: 'refused', code: 'forbidden' };
  const problem = (await response.json().catch(() => null)) as ProblemJson | null;
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  const retryAfterMs = Math.min(RETRY_MS_MAX, (Number.isFinite(seconds) ? seconds : 0) * 1000);
  // A stream is refused so when too many are open, however little else there is to do.
  const crowded = problem?.code === 'overloaded';
  return lost(crowded ? CROWDED : problemText(response.status, problem), retryAfterMs);
}
