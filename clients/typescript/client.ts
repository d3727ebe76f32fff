/**
 * A client of Hedonify's HTTP API: openapi-fetch over the generated types, and a fetch that sends a
 * request again under the same Idempotency-Key until it has a final answer.
 */
import createClient from 'openapi-fetch';
import type { Client } from 'openapi-fetch';
import type { paths } from './schema.ts';

export type HedonifyClient = Client<paths>;

export interface ClientOptions {
  /** Of the shop, such as `http://127.0.0.1:3000`. */
  readonly baseUrl: string;
  /** The access token to send; called for each request. */
  readonly token?: () => string | undefined;
  /** Sends one request; the global fetch unless given. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Times that a request is sent at most, the first one included. */
  readonly tries?: number;
}

const TRIES = 6;
/** Milliseconds before the second try; doubled from then on. Half of it is random. */
const PAUSE_MS = 200;
const PAUSE_MS_MAX = 5_000;
/** One try; the server itself answers within its REQUEST_TIMEOUT_MS (5 s unless set). */
const TRY_MS_MAX = 15_000;
/** Answers that say "come back": nothing was decided, or the outcome is not known yet. */
const PASSING: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
/** They have no effect that a key would bind. */
const WITHOUT_KEY = /\/users\/(register|login)$/;

/**
 * Every POST carries an Idempotency-Key, its own or a new one, so that sending it again can never
 * make a second order: whatever got lost, the same key finds it.
 */
export function createHedonifyClient(options: ClientOptions): HedonifyClient {
  const { baseUrl, token, tries = TRIES } = options;
  const send = options.fetch ?? ((request: Request) => fetch(request));
  const client = createClient<paths>({
    baseUrl,
    fetch: (request) => sendAgain(request, { send, tries }),
  });
  client.use({
    onRequest: ({ request }) => {
      const bearer = token?.();
      if (bearer !== undefined) request.headers.set('authorization', `Bearer ${bearer}`);
      const { pathname } = new URL(request.url);
      const keyed = request.method === 'POST' && !WITHOUT_KEY.test(pathname);
      if (keyed && !request.headers.has('idempotency-key')) {
        request.headers.set('idempotency-key', crypto.randomUUID());
      }
      return request;
    },
  });
  return client;
}

interface Sending {
  readonly send: (request: Request) => Promise<Response>;
  readonly tries: number;
}

/** The last answer, or the last error when there was none. */
async function sendAgain(request: Request, { send, tries }: Sending): Promise<Response> {
  // Whether something that was lost has happened is not known without a key.
  const repeatable = request.method !== 'POST' || request.headers.has('idempotency-key');
  for (let n = 1; ; n += 1) {
    const last = !repeatable || n >= tries;
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(TRY_MS_MAX)]);
    let pauseMs = pauseBefore(n);
    try {
      const response = await send(new Request(request.clone(), { signal }));
      if (last || !PASSING.has(response.status)) return response;
      await response.body?.cancel();
      pauseMs = Math.max(pauseMs, retryAfterMs(response));
    } catch (error) {
      if (last || request.signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function pauseBefore(n: number): number {
  const most = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (n - 1));
  return most * (0.5 + Math.random() / 2);
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after'));
  return Number.isFinite(seconds) ? Math.min(PAUSE_MS_MAX, seconds * 1000) : 0;
}
