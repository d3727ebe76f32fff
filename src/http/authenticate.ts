/** Who is asking. Authentication comes before validation: a stranger learns nothing of a body. */
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';

import type { Identity } from '../domain/user.ts';
import type { AccessTokens } from './access-tokens.ts';
import { sendProblem } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the hooks below; null = nobody said who they are. */
    identity: Identity | null;
  }
}

/** A synchronous onRequest hook: an async one would cost a promise per request. */
export type AuthenticateHook = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: HookHandlerDoneFunction,
) => void;

/** The ways in which a route may ask for an identity. */
export interface Authentication {
  /** 401 unless a valid token was sent. */
  readonly required: AuthenticateHook;
  /** No token is fine; a token that is not valid is 401 all the same. */
  readonly optional: AuthenticateHook;
  /** As `required`, and 403 unless it is an admin's: then nothing of the request is looked at. */
  readonly admin: AuthenticateHook;
}

/** Hooks that read the Authorization header with `tokens`. */
export function createAuthentication(tokens: AccessTokens): Authentication {
  function required(
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void {
    const { authorization } = request.raw.headers;
    const identity = authorization === undefined ? undefined : tokens.identify(authorization);
    if (identity === undefined) {
      sendProblem(reply, 'unauthenticated');
      return;
    }
    request.identity = identity;
    done();
  }

  function optional(
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void {
    if (request.raw.headers.authorization === undefined) done();
    else required(request, reply, done);
  }

  function admin(
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void {
    required(request, reply, () => {
      if (identityOf(request).role === 'admin') done();
      else sendProblem(reply, 'forbidden');
    });
  }

  return { required, optional, admin };
}

/**
 * The identity behind a route whose hook is `required`.
 *
 * @throws Error when the route forgot that hook: a programmer error.
 */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === null) throw new Error('the route lacks the authentication hook');
  return request.identity;
}
