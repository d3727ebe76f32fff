/** The requests of the page. Addresses are relative to it, so that a proxy may add a prefix. */
import type {
  ActionJson,
  ActorJson,
  BatchJson,
  PageJson,
  ProblemJson,
  SessionJson,
} from './admin-api.ts';
import type { FeedQuery } from './live-feed.ts';
import { problemText } from './problem-text.ts';

/** Longer than the server itself takes for an answer at its default of five seconds. */
const ANSWER_MS_MAX = 10_000;

export type Answer<Body> =
  | { readonly type: 'done'; readonly body: Body }
  | { readonly type: 'refused'; readonly status: number; readonly text: string }
  /** Nobody knows whether it was done; the same key settles it. */
  | { readonly type: 'no-answer' };

interface Sent {
  readonly method?: 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What an operator does. */
export type Deed =
  | { readonly kind: 'pause' | 'resume'; readonly productId: string }
  | { readonly kind: 'restart'; readonly shard: number }
  | { readonly kind: 'release'; readonly orderId: string };

export interface DeedRequest {
  readonly deed: Deed;
  readonly reason: string;
  /** The same one for each try. */
  readonly key: string;
}

export class AdminClient {
  readonly #token: () => string | null;
  /** Told when a token is refused, whatever was asked. */
  readonly #onUnauthenticated: () => void;

  constructor(token: () => string | null, onUnauthenticated: () => void) {
    this.#token = token;
    this.#onUnauthenticated = onUnauthenticated;
  }

  login(email: string, password: string): Promise<Answer<SessionJson>> {
    return ask('users/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
  }

  /** Rejects when there is no answer. */
  events({ sort, limit, productId }: FeedQuery, signal: AbortSignal): Promise<Response> {
    const query = new URLSearchParams({ sort, limit: String(limit) });
    if (productId !== null) query.set('product_id', productId);
    const headers = { ...this.#authorization(), accept: 'text/event-stream' };
    return fetch(`admin/events?${query}`, { headers, signal, cache: 'no-store' });
  }

  /** Also of a product that is not in memory. */
  actor(productId: string): Promise<Answer<ActorJson>> {
    return this.#ask(`admin/actors/${productId}`);
  }

  batches(limit: number): Promise<Answer<{ readonly items: readonly BatchJson[] }>> {
    return this.#ask(`admin/batches?limit=${limit}`);
  }

  actions(cursor: string | null): Promise<Answer<PageJson<ActionJson>>> {
    const query = new URLSearchParams({ limit: '50' });
    if (cursor !== null) query.set('cursor', cursor);
    return this.#ask(`admin/actions?${query}`);
  }

  act({ deed, reason, key }: DeedRequest): Promise<Answer<unknown>> {
    return this.#ask(pathOf(deed), {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ reason }),
    });
  }

  async #ask<Body>(path: string, init: Sent = {}): Promise<Answer<Body>> {
    const headers = { ...init.headers, ...this.#authorization() };
    const answer = await ask<Body>(path, { ...init, headers });
    if (answer.type === 'refused' && answer.status === 401) this.#onUnauthenticated();
    return answer;
  }

  #authorization(): Record<string, string> {
    const token = this.#token();
    return token === null ? {} : { authorization: `Bearer ${token}` };
  }
}

function pathOf(deed: Deed): string {
  switch (deed.kind) {
    case 'pause':
    case 'resume':
      return `admin/products/${deed.productId}/${deed.kind}`;
    case 'restart':
      return `admin/shards/${deed.shard}/restart`;
    case 'release':
      return `admin/orders/${deed.orderId}/release`;
  }
}

async function ask<Body>(path: string, init: Sent): Promise<Answer<Body>> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const response = await fetch(path, { ...init, signal, cache: 'no-store' });
    const text = await response.text();
    if (response.ok) return { type: 'done', body: (text === '' ? null : JSON.parse(text)) as Body };
    return { type: 'refused', status: response.status, text: refusalText(response.status, text) };
  } catch {
    return { type: 'no-answer' };
  }
}

function refusalText(status: number, text: string): string {
  try {
    return problemText(status, JSON.parse(text) as ProblemJson);
  } catch {
    return problemText(status, null);
  }
}

/** A fresh Idempotency-Key. Not `crypto.randomUUID`: browsers offer that over TLS only. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `admin-page-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
