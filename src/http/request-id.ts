import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { REQUEST_ID_CHARS_MAX } from '../domain/bounds.ts';

const ACCEPTED = new RegExp(`^[\\x21-\\x7e]{1,${REQUEST_ID_CHARS_MAX}}$`);

/** Unguessable and different in every process, so that a counter behind it is unique enough. */
const prefix = randomBytes(9).toString('base64url');
let made = 0;

/** A new request id; a prefix and a counter, since randomness per request buys nothing here. */
export function makeRequestId(): string {
  made += 1;
  return `${prefix}-${made.toString(36)}`;
}

/** The caller's X-Request-Id when it is 1 to 128 visible ASCII characters, else a new one. */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const sent = request.headers['x-request-id'];
  return typeof sent === 'string' && ACCEPTED.test(sent) ? sent : makeRequestId();
}
