/**
 * The one builder of error answers: RFC 9457 problem details. Refusals are sent, not thrown, since
 * a sold-out flood is the busiest answer there is and an Error would capture a stack for each.
 */
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';

import { ERRORS } from '../domain/errors.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { OrderId } from '../domain/ids.ts';
import type { OrderStatus } from '../domain/order.ts';
import type { RefusedItem } from '../domain/outcome.ts';
import { PROBLEM_STATUS, retryAfterSeconds } from './problem-status.ts';
import { timeText } from './time-text.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Fastify itself gets no logger: one would cost a child and two listeners per request. */
    edgeLog: Logger;
  }
  interface FastifyRequest {
    /** Of the problem that it was answered with; null = of none. For who observes answers. */
    problemCode: ErrorCode | null;
  }
}

/** What is wrong with one part of the request. */
export interface Issue {
  /** Where: `items[0].quantity` in the body, `query.limit`, `params.id`, `headers.x`. */
  readonly path: string;
  readonly message: string;
}

/** What a problem says beyond its code. */
export interface ProblemExtras {
  readonly errors?: readonly Issue[];
  readonly items?: readonly RefusedItem[];
  /** Null leaves the member out. */
  readonly orderId?: OrderId | null;
  /** Shown as `order_status`: `status` is the HTTP status of every problem. */
  readonly orderStatus?: OrderStatus;
  /** Of what is not at the version asked for or read: the one that it has. */
  readonly version?: number;
  /** Milliseconds since the epoch. */
  readonly startsAt?: number;
  /** Why the service is not ready, for an operator. */
  readonly reason?: string;
  /** Seconds; overrides the code's own Retry-After. */
  readonly retryAfterSeconds?: number;
}

/** Where a problem happened. */
export interface ProblemPlace {
  readonly requestId: string;
  /** The request target; the query is cut off, since it may hold what a log must not. */
  readonly url: string;
}

/** Media type of every error answer. */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** A link to the page of codes that this service serves. */
function problemType(code: ErrorCode): string {
  return `/docs/errors#${code}`;
}

/** The body of an error answer, as JSON text. */
export function problem(code: ErrorCode, place: ProblemPlace, extras: ProblemExtras): string {
  const query = place.url.indexOf('?');
  return JSON.stringify({
    type: problemType(code),
    title: ERRORS[code].title,
    status: PROBLEM_STATUS[code],
    detail: ERRORS[code].detail,
    instance: query === -1 ? place.url : place.url.slice(0, query),
    code,
    request_id: place.requestId,
    errors: extras.errors,
    items: extras.items?.map(refusedItemJson),
    order_id: extras.orderId ?? undefined,
    order_status: extras.orderStatus,
    version: extras.version,
    starts_at: extras.startsAt === undefined ? undefined : timeText(extras.startsAt),
    reason: extras.reason,
  });
}

const NO_EXTRAS: ProblemExtras = {};

/** Answers with the problem of `code`, its status and its headers. */
export function sendProblem(
  reply: FastifyReply,
  code: ErrorCode,
  extras: ProblemExtras = NO_EXTRAS,
): FastifyReply {
  const { request } = reply;
  request.problemCode = code;
  const status = PROBLEM_STATUS[code];
  const retryAfter = extras.retryAfterSeconds ?? retryAfterSeconds(code);
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="hedonify"');
  return reply
    .code(status)
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .send(problem(code, { requestId: request.id, url: request.url }, extras));
}

function refusedItemJson(item: RefusedItem): object {
  return { product_id: item.productId, requested: item.requested, available: item.available };
}
