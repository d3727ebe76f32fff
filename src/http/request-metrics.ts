/**
 * Counts answers by route and orders by outcome. On the hot route that is a few look-ups in small
 * maps and a few additions.
 *
 * I9: there are as many series as routes, known methods and statuses that they answer with; whatever
 * leads nowhere is one route.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

import type { ErrorCode } from '../domain/errors.ts';
import { REFUSAL_CODES } from '../domain/outcome.ts';
import type { BoundCounter, BoundHistogram } from '../telemetry/bound-series.ts';
import type { Labels } from '../telemetry/metric-catalogue.ts';
import type { RequestMetrics } from '../telemetry/metrics.ts';
import { elapsedMs } from './observe-answers.ts';
import type { AnswerObserver } from './observe-answers.ts';
import { PROBLEM_STATUS } from './problem-status.ts';

const ROUTE_UNMATCHED = 'unmatched';
/** Node reads 35 methods; semantic conventions call what is not usual `_OTHER`. */
const METHODS: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE'.split(' '),
);
const METHOD_OTHER = '_OTHER';

const ORDER_ROUTES: ReadonlySet<string> = new Set(['/orders', '/carts/:id/checkout']);
const REFUSALS: ReadonlySet<ErrorCode> = new Set(REFUSAL_CODES);
/** Series that are there before their first order, so that the first one is seen to be counted. */
const CODES_EXPECTED: readonly ErrorCode[] = [
  ...REFUSAL_CODES,
  'overloaded',
  'database-unavailable',
  'shutting-down',
  'outcome-unknown',
  'internal',
];

/** Counts every answer in `metrics`. */
export function createRequestObserver(metrics: RequestMetrics): AnswerObserver {
  const requests = new RequestSeries(metrics);
  const orders = new OrderSeries(metrics);
  return (request, reply) => {
    const { method } = request;
    const route = request.routeOptions.url ?? ROUTE_UNMATCHED;
    requests.of(route, method, reply.statusCode).record(elapsedMs(request) / 1000);
    if (method === 'POST' && ORDER_ROUTES.has(route)) orders.of(request, reply).increment();
  };
}

class OrderSeries {
  readonly #metrics: RequestMetrics;
  readonly #accepted: BoundCounter;
  readonly #replayed: BoundCounter;
  readonly #problems: Map<ErrorCode, BoundCounter>;

  constructor(metrics: RequestMetrics) {
    this.#metrics = metrics;
    this.#accepted = metrics.orders({ outcome: 'accepted', code: '' });
    this.#replayed = metrics.orders({ outcome: 'replayed', code: '' });
    this.#problems = new Map(CODES_EXPECTED.map((code) => [code, metrics.orders(labelsOf(code))]));
  }

  of({ problemCode: code }: FastifyRequest, reply: FastifyReply): BoundCounter {
    if (code === null) {
      return reply.hasHeader('idempotency-replayed') ? this.#replayed : this.#accepted;
    }
    const known = this.#problems.get(code);
    if (known !== undefined) return known;
    const series = this.#metrics.orders(labelsOf(code));
    this.#problems.set(code, series);
    return series;
  }
}

/** What an order that was answered with this problem has come to. */
function labelsOf(code: ErrorCode): Labels<'hedonify_orders_total'> {
  if (REFUSALS.has(code)) return { outcome: 'refused', code };
  if (PROBLEM_STATUS[code] < 500) return { outcome: 'rejected', code };
  // After a defect nobody can say whether it took effect.
  const isOpen = code === 'outcome-unknown' || code === 'internal';
  return { outcome: isOpen ? 'unknown' : 'shed', code };
}

class RequestSeries {
  readonly #metrics: RequestMetrics;
  readonly #routes = new Map<string, Map<string, Map<number, BoundHistogram>>>();

  constructor(metrics: RequestMetrics) {
    this.#metrics = metrics;
  }

  of(route: string, sent: string, status: number): BoundHistogram {
    const method = METHODS.has(sent) ? sent : METHOD_OTHER;
    const methods = this.#routes.get(route) ?? new Map<string, Map<number, BoundHistogram>>();
    const statuses = methods.get(method) ?? new Map<number, BoundHistogram>();
    const known = statuses.get(status);
    if (known !== undefined) return known;
    const series = this.#metrics.requests({
      http_request_method: method,
      http_route: route,
      http_response_status_code: status,
    });
    this.#routes.set(route, methods.set(method, statuses.set(status, series)));
    return series;
  }
}
