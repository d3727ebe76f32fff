import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

import type { ErrorCode } from '../domain/errors.ts';
import { problem, PROBLEM_MEDIA_TYPE } from './problem.ts';
import { PROBLEM_STATUS } from './problem-status.ts';
import { makeRequestId } from './request-id.ts';

const CODES: ReadonlyMap<string, ErrorCode> = new Map([
  ['HPE_HEADER_OVERFLOW', 'headers-too-large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', 'request-timeout'],
]);

/**
 * Answers bytes that never became a request (no HTTP, headers too large, too slow), where no
 * Fastify reply exists, and ends the connection.
 */
export function handleClientError(error: Error & { readonly code: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = CODES.get(error.code) ?? 'validation';
  const status = PROBLEM_STATUS[code];
  const requestId = makeRequestId();
  const errors = [{ path: 'request', message: 'must be HTTP/1.1' }];
  const place = { requestId, url: '' };
  const body = problem(code, place, code === 'validation' ? { errors } : {});
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'x-content-type-options: nosniff',
    'cache-control: no-store',
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
