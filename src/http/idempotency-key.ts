import type { IncomingHttpHeaders } from 'node:http';

/** The Idempotency-Key of a request whose headers were validated by `keyHeaders`, or null. */
export function idempotencyKeyOf(headers: IncomingHttpHeaders): string | null {
  const key = headers['idempotency-key'];
  return typeof key === 'string' ? key : null;
}
