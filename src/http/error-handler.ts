import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

import { AppError } from '../domain/errors.ts';
import type { ErrorCode } from '../domain/errors.ts';
import { sendProblem } from './problem.ts';
import type { Issue, ProblemExtras } from './problem.ts';
import { validationIssues } from './validation-issues.ts';

interface Known {
  readonly code: ErrorCode;
  readonly errors?: readonly Issue[];
}

function invalid(path: string, message: string): Known {
  return { code: 'validation', errors: [{ path, message }] };
}

/** Fastify's own errors that a client can cause. */
const FASTIFY_ERRORS: ReadonlyMap<string, Known> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', { code: 'body-too-large' }],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', { code: 'unsupported-media-type' }],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', invalid('body', 'must not be empty')],
  ['FST_ERR_CTP_INVALID_JSON_BODY', invalid('body', 'must be JSON')],
  [
    'FST_ERR_CTP_INVALID_CONTENT_LENGTH',
    invalid('headers.content-length', 'must be the length of the body'),
  ],
  ['FST_ERR_BAD_URL', invalid('url', 'must be a valid address')],
  ['FST_ERR_MAX_PARAM_LENGTH', invalid('params', 'must be shorter')],
]);

/**
 * Every thrown error becomes a problem: operational errors their code, what a client caused a 4xx,
 * and anything else `internal`, with the error in the log and nothing of it in the answer.
 */
export function handleError(
  error: FastifyError | Error,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { request } = reply;
  const { requestLog } = request.server;
  const known = knownError(error);
  if (known === undefined) {
    requestLog.failed(request, error);
    sendProblem(reply, 'internal');
    return;
  }
  // Something that we need is away. What has no cause is overload, of which the code says all.
  if (error instanceof AppError && error.cause !== undefined) {
    requestLog.notServed(request, { err: error, code: error.code });
  }
  const extras: ProblemExtras = known.errors === undefined ? {} : { errors: known.errors };
  sendProblem(reply, known.code, extras);
}

function knownError(error: FastifyError | Error): Known | undefined {
  if (error instanceof AppError) return { code: error.code };
  if (!('code' in error)) return undefined;
  if (error.validation !== undefined) {
    return {
      code: 'validation',
      errors: validationIssues(error.validation, error.validationContext),
    };
  }
  const known = FASTIFY_ERRORS.get(error.code);
  if (known !== undefined) return known;
  // What else Fastify blames on the client, such as a body that broke off.
  const status = error.statusCode ?? 500;
  return status < 500 ? invalid('request', 'could not be read') : undefined;
}
