import { createSigner, createVerifier } from 'fast-jwt';
import { z } from 'zod';

import { parseUserId } from '../domain/ids.ts';
import { ROLES } from '../domain/user.ts';
import type { Identity } from '../domain/user.ts';
import { TokenCache } from './token-cache.ts';

const ISSUER = 'hedonify';
const AUDIENCE = 'hedonify-api';
/** Longer ones are refused unread, which also bounds the memory of the cache. */
const AUTHORIZATION_CHARS_MAX = 4096;
const TOKENS_MAX = 10_000;

const BEARER = /^bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i;

const CLAIMS = z.object({ sub: z.string(), role: z.enum(ROLES), exp: z.number() });

/** A token and the end of its life, milliseconds since the epoch. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: number;
}

/** Issues and reads access tokens (JWT, HS256). */
export interface AccessTokens {
  issue(identity: Identity): IssuedToken;
  /** The identity an Authorization header proves, or undefined when it proves none. */
  identify(authorization: string): Identity | undefined;
}

/** How tokens are made. */
export interface AccessTokenOptions {
  readonly secret: string | Uint8Array;
  readonly ttlSeconds: number;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Tokens under one secret, with their own cache of verified ones. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { ttlSeconds, clock } = options;
  const key = Buffer.from(options.secret);
  const sign = createSigner({ key, algorithm: 'HS256', noTimestamp: true });
  // Expiry is checked below, against the injected clock and on each hit of the cache.
  const verify = createVerifier({
    key,
    algorithms: ['HS256'],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    requiredClaims: ['iss', 'aud', 'sub', 'role', 'exp'],
    ignoreExpiration: true,
  });
  const cache = new TokenCache(TOKENS_MAX);

  function readClaims(authorization: string): z.infer<typeof CLAIMS> | undefined {
    if (authorization.length > AUTHORIZATION_CHARS_MAX) return undefined;
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) return undefined;
    try {
      return CLAIMS.safeParse(verify(token)).data;
    } catch {
      // Every failure of the verifier means the same to the caller, and telling them apart would
      // help only a forger.
      return undefined;
    }
  }

  return {
    issue(identity) {
      const iat = Math.floor(clock() / 1000);
      const exp = iat + ttlSeconds;
      const { userId: sub, role } = identity;
      return {
        token: sign({ sub, role, iss: ISSUER, aud: AUDIENCE, iat, exp }),
        expiresAt: exp * 1000,
      };
    },

    identify(authorization) {
      const now = clock();
      const known = cache.find(authorization, now);
      if (known !== undefined) return known;
      const claims = readClaims(authorization);
      if (claims === undefined) return undefined;
      const userId = parseUserId(claims.sub);
      const expiresAt = claims.exp * 1000;
      if (userId === undefined || now >= expiresAt) return undefined;
      const identity: Identity = { userId, role: claims.role };
      cache.add(authorization, { identity, expiresAt });
      return identity;
    },
  };
}
