/**
 * Orders, and what became of each: accepted, replayed, refused and shed are counted apart, and so is
 * an answer that did not come or that says itself that it does not know.
 */
import http from 'k6/http';
import type { RefinedResponse } from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { SERVER_URL } from './plan.ts';

// Globals of k6 that @types/k6 leaves to the types of a browser, which clash with its own.
declare const console: { error(message: string): void };
declare const crypto: { randomUUID(): string };

export type Answer = 'accepted' | 'replayed' | 'refused' | 'shed' | 'unknown' | 'unexpected';
type TextResponse = RefinedResponse<'text'>;

/** Longer than REQUEST_TIMEOUT_MS of the server: it is the one that ends what takes too long. */
const TIMEOUT = '10s';
const UUID = /[0-9a-f-]{36}/;

const sent = new Counter('orders_sent');
const counters: Readonly<Record<Answer, Counter>> = {
  accepted: new Counter('orders_accepted'),
  replayed: new Counter('orders_replayed'),
  refused: new Counter('orders_refused'),
  shed: new Counter('orders_shed'),
  unknown: new Counter('orders_unknown'),
  unexpected: new Counter('answers_unexpected'),
};
const acceptedMs = new Trend('accepted_ms', true);
const declinedMs = new Trend('declined_ms', true);
/** Steps of a shopper other than the order: shed, or without an answer. */
const stepsDeclined = new Counter('steps_declined');

export interface OrderRequest {
  readonly token: string;
  readonly productIds: readonly string[];
}

/** What became of one request. */
export interface Placed {
  readonly answer: Answer;
  /** The path of the order, where the answer names one. */
  readonly order: string | undefined;
}

/** One unit of each product, under a key of its own. */
export function placeOrder(request: OrderRequest): Placed {
  const { url, body, params } = prepared(request);
  sent.add(1);
  return counted(http.post(url, body, params));
}

/** The same order twice at the same moment, under one key. */
export function placeOrderTwice(request: OrderRequest): readonly Placed[] {
  const { url, body, params } = prepared(request);
  const post = { method: 'POST', url, body, params } as const;
  sent.add(2);
  return http.batch([post, post]).map(counted);
}

/** Makes an order of a cart. */
export function checkOut(token: string, cartPath: string): Placed {
  sent.add(1);
  return counted(
    http.post(`${SERVER_URL}${cartPath}/checkout`, '{}', paramsOf(token, '/carts/:id/checkout')),
  );
}

/** A step of a shopper other than the order; undefined unless it was answered as it must be. */
export function step(
  method: 'GET' | 'POST',
  path: string,
  more: { readonly status: number; readonly token: string; readonly body?: object },
): TextResponse | undefined {
  const body = more.body === undefined ? null : JSON.stringify(more.body);
  const response = http.request(method, `${SERVER_URL}${path}`, body, {
    ...paramsOf(more.token, path.replace(UUID, ':id')),
    responseType: 'text',
  });
  if (response.status === more.status) return response;
  const declined = [0, 429, 503].includes(response.status);
  (declined ? stepsDeclined : counters.unexpected).add(1);
  if (!declined) complain(response);
  return undefined;
}

function prepared({ token, productIds }: OrderRequest) {
  const items = productIds.map((id) => ({ product_id: id, quantity: 1 }));
  return {
    url: `${SERVER_URL}/orders`,
    body: JSON.stringify({ items }),
    params: paramsOf(token, '/orders'),
  };
}

/** @param name - Of the metrics: one series a route, not one a cart. */
function paramsOf(token: string, name: string) {
  return {
    tags: { name },
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': crypto.randomUUID(),
    },
    timeout: TIMEOUT,
    responseType: 'text',
  } as const;
}

function counted(response: TextResponse): Placed {
  const answer = answerOf(response);
  counters[answer].add(1);
  const { duration } = response.timings;
  if (answer === 'accepted' || answer === 'replayed') acceptedMs.add(duration);
  else if (answer === 'refused' || answer === 'shed') declinedMs.add(duration);
  if (answer === 'unexpected') complain(response);
  return { answer, order: response.headers['Location'] };
}

function answerOf({ status, headers, body }: TextResponse): Answer {
  switch (status) {
    case 201:
      return headers['Idempotency-Replayed'] === 'true' ? 'replayed' : 'accepted';
    case 409:
      return says(body, 'out-of-stock') ? 'refused' : 'unexpected';
    case 429:
      return 'shed';
    case 503:
      return says(body, 'outcome-unknown') ? 'unknown' : 'shed';
    case 0:
      return 'unknown';
    default:
      return 'unexpected';
  }
}

function says(body: string | null, code: string): boolean {
  return body?.includes(`"code":"${code}"`) ?? false;
}

function complain({ status, url, body }: TextResponse): void {
  console.error(`${url} answered ${status}: ${body ?? ''}`);
}
