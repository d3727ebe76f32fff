/** One request to a server, as a role. */
import type { Role } from '../../src/domain/user.ts';
import { tokenOf } from './server.ts';
import type { Answered } from './shop.ts';

export interface Sender {
  readonly id: string;
  readonly role?: Role;
}

/**
 * Sends a POST with a body, even an empty one, and a GET without.
 *
 * @throws when the connection is lost before the answer.
 */
export async function send(
  url: string,
  who: Sender,
  request: { readonly body?: object; readonly key?: string } = {},
): Promise<Answered> {
  const { body, key } = request;
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${tokenOf(who.id, who.role)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  if (typeof answer !== 'object' || answer === null) throw new Error('the answer is no object');
  return { status: response.status, headers: response.headers, body: { ...answer } };
}
