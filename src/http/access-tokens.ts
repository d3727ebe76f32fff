import { createSigner, createVerifier } from 'fast-jwt';
import type { Algorithm } from 'fast-jwt';
import { z } from 'zod';

import { parseUserId } from '../domain/ids.ts';
import { ROLES } from '../domain/user.ts';
import type { Identity } from '../domain/user.ts';
import { TokenCache } from './token-cache.ts';
import type { VerifiedToken } from './token-cache.ts';

const ISSUER = 'hedonify';
const AUDIENCE = 'hedonify-api';
/** Longer ones are refused unread. */
const AUTHORIZATION_CHARS_MAX = 4096;
/**
 * Headers longer than this are verified each time: a key of the cache keeps the whole header alive
 * that it was cut from. Our own are below 300 characters, so that all the cache can hold is
 * 100,000 x (1 KiB + about 250 bytes of entry) = 125 MB, and 50 MB in practice.
 */
const CACHED_CHARS_MAX = 1024;
const TOKENS_MAX = 100_000;

/** With the space: the scheme as nearly everybody writes it. */
const SCHEME = 'Bearer ';
const SPACE = 0x20;
/**
 * A JWT whose signature is 32 bytes, spelled in the one way that leaves no bit unused: else the
 * last character could be any of four, and each spelling would take a place in the cache.
 */
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** The same of any signature; its one spelling is looked at afterwards. */
const SHOP_TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{86,})$/;

const CLAIMS = z.object({
  sub: z.string(),
  role: z.enum(ROLES),
  iat: z.number(),
  exp: z.number(),
});
const REQUIRED_CLAIMS = ['iss', 'aud', 'sub', 'role', 'iat', 'exp'];

/** A token and the end of its life, milliseconds since the epoch. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: number;
}

/** The public half of the key that a shop signs its own tokens with. */
export interface ShopKey {
  /** SPKI. */
  readonly pem: string;
  /** The only one that tokens under this key may name: it follows from the key, not from them. */
  readonly algorithm: 'EdDSA' | 'ES256' | 'RS256';
}

/** Issues access tokens (JWT, HS256), and reads them and those of the shop. */
export interface AccessTokens {
  issue(identity: Identity): IssuedToken;
  /** What an Authorization header proves, and until when; undefined when it proves nothing. */
  verify(authorization: string): VerifiedToken | undefined;
  /** The identity of `verify`. */
  identify(authorization: string): Identity | undefined;
}

/** How tokens are made. */
export interface AccessTokenOptions {
  readonly secret: string | Uint8Array;
  readonly ttlSeconds: number;
  /** Null = nobody else's tokens are accepted. */
  readonly shopKey?: ShopKey | null;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Of verified tokens; an empty one unless a test wants to look into it. */
  readonly cache?: TokenCache;
}

/**
 * The token of a Bearer header, which may still be anything. Runs for every request, hence no
 * regular expression; and as scheme and spaces are cut off, no spelling of them is a second token.
 */
function bearerTokenOf(authorization: string): string | undefined {
  if (authorization.length > AUTHORIZATION_CHARS_MAX) return undefined;
  const isBearer =
    authorization.startsWith(SCHEME) ||
    authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME.toLowerCase();
  if (!isBearer) return undefined;
  let start = SCHEME.length;
  while (authorization.charCodeAt(start) === SPACE) start += 1;
  return authorization.slice(start);
}

/** Throws for every token that is not under this key and algorithm. */
function verifierOf(key: Buffer | string, algorithm: Algorithm): (token: string) => unknown {
  // Expiry is checked on each hit of the cache as well, and against the injected clock.
  return createVerifier({
    key,
    algorithms: [algorithm],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    requiredClaims: REQUIRED_CLAIMS,
    ignoreExpiration: true,
  });
}

/** Whether the last character of a signature leaves its unused bits at zero. */
function isCanonical(signature: string): boolean {
  return Buffer.from(signature, 'base64url').toString('base64url') === signature;
}

/** Tokens under one secret and one public key, with their own cache of verified ones. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { ttlSeconds, clock, shopKey = null, cache = new TokenCache(TOKENS_MAX) } = options;
  const key = Buffer.from(options.secret);
  const sign = createSigner({ key, algorithm: 'HS256' });
  const verifyOwn = verifierOf(key, 'HS256');
  const verifyShop = shopKey === null ? null : verifierOf(shopKey.pem, shopKey.algorithm);

  /** Which key a token is under follows from the length of its signature, not from its header. */
  function verifierFor(token: string): ((token: string) => unknown) | null {
    if (TOKEN.test(token)) return verifyOwn;
    if (verifyShop === null) return null;
    const signature = SHOP_TOKEN.exec(token)?.[1];
    return signature !== undefined && isCanonical(signature) ? verifyShop : null;
  }

  function readClaims(token: string): z.infer<typeof CLAIMS> | undefined {
    const verify = verifierFor(token);
    if (verify === null) return undefined;
    try {
      return CLAIMS.safeParse(verify(token)).data;
    } catch {
      // Every failure of the verifier means the same to the caller, and telling them apart would
      // help only a forger.
      return undefined;
    }
  }

  /** Whether it is expired is not asked here. */
  function verified(token: string): VerifiedToken | undefined {
    const claims = readClaims(token);
    const userId = claims === undefined ? undefined : parseUserId(claims.sub);
    if (claims === undefined || userId === undefined) return undefined;
    return { identity: { userId, role: claims.role }, expiresAt: claims.exp * 1000 };
  }

  function verify(authorization: string): VerifiedToken | undefined {
    const token = bearerTokenOf(authorization);
    if (token === undefined) return undefined;
    const now = clock();
    const known = cache.find(token);
    if (known !== undefined) return now < known.expiresAt ? known : undefined;
    const fresh = verified(token);
    if (fresh === undefined || now >= fresh.expiresAt) return undefined;
    if (authorization.length <= CACHED_CHARS_MAX) cache.add(token, fresh);
    return fresh;
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

    verify,

    identify(authorization) {
      return verify(authorization)?.identity;
    },
  };
}
