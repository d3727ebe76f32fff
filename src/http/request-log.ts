/**
 * What the log says of requests. An error is told completely, up to a bound: a line for each answer
 * of an overload would only add to it. Of everything else there is a sample.
 *
 * Nothing of what the customer sent is in a line except the request id: the route is its pattern,
 * and no address, header, body or user is told.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import type { ErrorCode } from '../domain/errors.ts';
import { elapsedMs } from './observe-answers.ts';
import { traceFields } from './trace-context.ts';

declare module 'fastify' {
  interface FastifyInstance {
    requestLog: RequestLog;
  }
  interface FastifyRequest {
    /** It has its line already. */
    isLogged: boolean;
  }
}

export interface RequestLogOptions {
  readonly logger: Logger;
  /** Traced requests are the sample; without tracing it is one in SAMPLE_REQUESTS. */
  readonly tracing: boolean;
}

/** Lines about answers of 500 and above, per WINDOW_MS; the rest is counted. */
export const ERROR_LINES_MAX = 100;
/** Without tracing, one request in so many has a line. */
export const SAMPLE_REQUESTS = 1_000;
/** Lines of the sample, per WINDOW_MS: whoever sends a sampled trace asks for one. */
export const SAMPLE_LINES_MAX = 200;
const WINDOW_MS = 1_000;

export class RequestLog {
  readonly #logger: Logger;
  readonly #sampleSize: number;
  #requests = 0;
  /** Of the window that is open. */
  #errorLines = 0;
  #sampleLines = 0;
  readonly #leftOut = new Map<ErrorCode, number>();
  #window: NodeJS.Timeout | null = null;

  constructor({ logger, tracing }: RequestLogOptions) {
    this.#logger = logger;
    this.#sampleSize = tracing ? Number.POSITIVE_INFINITY : SAMPLE_REQUESTS;
  }

  /** A defect: always told. */
  failed(request: FastifyRequest, err: unknown): void {
    request.isLogged = true;
    this.#logger.error({ err, ...placeOf(request) }, 'request failed');
  }

  /** Something that we need was away. */
  notServed(request: FastifyRequest, { err, code }: { err: Error; code: ErrorCode }): void {
    request.isLogged = true;
    if (this.#mayTell(code)) {
      this.#logger.warn({ err, ...placeOf(request), code }, 'request not served');
    }
  }

  /** An observer of answers. */
  readonly answered = (request: FastifyRequest, reply: FastifyReply): void => {
    this.#requests += 1;
    if (request.isLogged) return;
    const { problemCode } = request;
    if (reply.statusCode >= 500) {
      const code = problemCode ?? 'internal';
      if (this.#mayTell(code)) this.#logger.warn(answerOf(request, reply), 'request');
    } else if (this.#isSample(request)) {
      this.#logger.info(answerOf(request, reply), 'request');
    } else if (this.#logger.isLevelEnabled('debug')) {
      this.#logger.debug(answerOf(request, reply), 'request');
    }
  };

  /** Tells what was left out so far. */
  close(): void {
    if (this.#window !== null) clearTimeout(this.#window);
    this.#closeWindow();
  }

  #isSample({ trace }: FastifyRequest): boolean {
    if (trace === null && this.#requests % this.#sampleSize !== 0) return false;
    this.#openWindow();
    this.#sampleLines += 1;
    return this.#sampleLines <= SAMPLE_LINES_MAX;
  }

  #mayTell(code: ErrorCode): boolean {
    this.#openWindow();
    this.#errorLines += 1;
    if (this.#errorLines <= ERROR_LINES_MAX) return true;
    this.#leftOut.set(code, (this.#leftOut.get(code) ?? 0) + 1);
    return false;
  }

  #openWindow(): void {
    this.#window ??= setTimeout(() => this.#closeWindow(), WINDOW_MS).unref();
  }

  #closeWindow(): void {
    if (this.#leftOut.size > 0) {
      const requests = Object.fromEntries(this.#leftOut);
      this.#logger.warn({ requests }, 'requests left out of the log');
    }
    this.#leftOut.clear();
    this.#errorLines = 0;
    this.#sampleLines = 0;
    this.#window = null;
  }
}

interface Place {
  readonly request_id: string;
  readonly method: string;
  /** Undefined where there is no such route. */
  readonly route: string | undefined;
}

function placeOf(request: FastifyRequest): Place {
  return {
    request_id: request.id,
    ...traceFields(request),
    method: request.method,
    route: request.routeOptions.url,
  };
}

function answerOf(
  request: FastifyRequest,
  reply: FastifyReply,
): Place & { readonly status: number; readonly code: ErrorCode | undefined; readonly ms: number } {
  return {
    ...placeOf(request),
    status: reply.statusCode,
    code: request.problemCode ?? undefined,
    ms: Math.round(elapsedMs(request) * 10) / 10,
  };
}
