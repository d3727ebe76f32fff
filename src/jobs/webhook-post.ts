/**
 * One HTTP POST to somebody else's server, which is trusted with nothing: it may be slow, silent,
 * endless or elsewhere than it was yesterday. Every answer comes within a bound of time and memory,
 * redirects are not followed, and an address that is not public is never connected to.
 */
import { request as requestHttp } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { TryAnswer } from '../domain/webhook.ts';
import type { WebhookTarget } from './webhook-target.ts';

/** From the look-up of the name to the end of the answer. */
const TOTAL_MS_MAX = 10_000;
/** Of the answer's body, which nobody reads: enough for a polite sender to finish. */
const ANSWER_BYTES_MAX = 65_536;
const FAILURE_CHARS_MAX = 200;

export interface PostOptions {
  readonly target: WebhookTarget;
  readonly totalMsMax?: number;
}

export interface WebhookPost {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Never rejects: whatever happens is an answer. */
export type SendPost = (post: WebhookPost) => Promise<TryAnswer>;

/** A connection of its own for every post: one that idles may be dead when it is needed. */
export function createSendPost({ target, totalMsMax = TOTAL_MS_MAX }: PostOptions): SendPost {
  return async ({ url, headers, body }) => {
    const refusal = target.refusal(url);
    if (refusal !== undefined) return failed(`the address ${refusal}`);
    const signal = AbortSignal.timeout(totalMsMax);
    const options: RequestOptions = {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      agent: false,
      lookup: target.lookup,
      signal,
    };
    try {
      return { httpStatus: await statusOf(new URL(url), options, body), failure: null };
    } catch (error) {
      return failed(signal.aborted ? `no answer within ${totalMsMax} ms` : reasonOf(error));
    }
  };
}

/** Rejects when there is no answer; what becomes of the body of one does not matter. */
function statusOf(url: URL, options: RequestOptions, body: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const start = url.protocol === 'https:' ? requestHttps : requestHttp;
  const request = start(url, options);
  let status: number | undefined;
  let failure = new Error('the connection was closed without an answer');
  request.on('response', (response) => {
    status = response.statusCode;
    discard(response);
  });
  request.on('error', (error) => {
    failure = error;
  });
  request.on('close', () => {
    if (status === undefined) reject(failure);
    else resolve(status);
  });
  request.end(body);
  return promise;
}

function discard(response: IncomingMessage): void {
  let bytes = 0;
  response.on('error', () => undefined);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) response.destroy();
  });
}

function failed(failure: string): TryAnswer {
  return { httpStatus: null, failure: failure.slice(0, FAILURE_CHARS_MAX) };
}

/** The code where there is one, and of several addresses what the first one said. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return 'no answer';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
