import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { createAccessTokens } from '../../src/http/access-tokens.ts';
import type { ShopKey } from '../../src/http/access-tokens.ts';
import { TokenCache } from '../../src/http/token-cache.ts';
import { expectProblem } from './expect-problem.ts';
import { CUSTOMER, NOW, SECRET, TestApp } from './fake-ports.ts';

const CLAIMS = {
  sub: CUSTOMER,
  role: 'merchant',
  iss: 'hedonify',
  aud: 'hedonify-api',
  iat: 1,
  exp: NOW / 1000 + 60,
};
const IDENTITY = { userId: CUSTOMER, role: 'merchant' };

const MAKE = {
  EdDSA: () => generateKeyPairSync('ed25519'),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const;
const KINDS = ['EdDSA', 'ES256', 'RS256'] as const;
type Kind = (typeof KINDS)[number];

function pairOf(kind: Kind): { shopKey: ShopKey; privateKey: KeyObject } {
  const { privateKey } = MAKE[kind]();
  const pem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
  return { shopKey: { pem, algorithm: kind }, privateKey };
}

const PAIRS = { EdDSA: pairOf('EdDSA'), ES256: pairOf('ES256'), RS256: pairOf('RS256') };

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token made by hand, so that the library under test does not vouch for itself. */
function shopToken(kind: Kind, changes: { claims?: object; alg?: string; key?: KeyObject } = {}) {
  const { claims = CLAIMS, alg = kind, key = PAIRS[kind].privateKey } = changes;
  const input = `${encoded({ alg, typ: 'JWT' })}.${encoded(claims)}`;
  const digest = kind === 'EdDSA' ? null : 'sha256';
  const signature = sign(digest, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `Bearer ${input}.${signature.toString('base64url')}`;
}

function hmacToken(secret: string, alg = 'HS256'): string {
  const input = `${encoded({ alg, typ: 'JWT' })}.${encoded(CLAIMS)}`;
  return `Bearer ${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

function without(claim: string): object {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim));
}

function tokensOf(shopKey: ShopKey | null, cache = new TokenCache(10)) {
  const time = { now: NOW };
  const clock = (): number => time.now;
  const options = { secret: SECRET, ttlSeconds: 60, clock, shopKey, cache };
  return { time, cache, tokens: createAccessTokens(options) };
}

describe.each(KINDS)('with a public key for %s', (kind) => {
  const { shopKey } = PAIRS[kind];

  test("the shop's tokens are accepted beside our own, each from the cache afterwards", () => {
    const { tokens, cache, time } = tokensOf(shopKey);
    const { token } = tokens.issue({ userId: CUSTOMER, role: 'admin' });
    for (let n = 0; n < 3; n += 1) {
      expect(tokens.identify(shopToken(kind, { key: PAIRS[kind].privateKey }))).toBeDefined();
      expect(tokens.identify(`Bearer ${token}`)?.role).toBe('admin');
    }
    const genuine = shopToken(kind);
    expect(tokens.identify(genuine)).toEqual(IDENTITY);
    const size = cache.size;
    expect(tokens.identify(genuine)).toEqual(IDENTITY);
    expect(cache.size).toBe(size);
    time.now = CLAIMS.exp * 1000;
    expect(tokens.identify(genuine)).toBeUndefined();
  });

  test.each(['sub', 'role', 'iss', 'aud', 'iat', 'exp'])(
    'a token without %s is refused',
    (name) => {
      expect(
        tokensOf(shopKey).tokens.identify(shopToken(kind, { claims: without(name) })),
      ).toBeUndefined();
    },
  );

  test.each<[name: string, authorization: string]>([
    ['for another audience', shopToken(kind, { claims: { ...CLAIMS, aud: 'other' } })],
    ['of another issuer', shopToken(kind, { claims: { ...CLAIMS, iss: 'shop' } })],
    ['that is expired', shopToken(kind, { claims: { ...CLAIMS, exp: NOW / 1000 } })],
    ['of another key', shopToken(kind, { key: pairOf(kind).privateKey })],
    ['that calls itself HS256', shopToken(kind, { alg: 'HS256' })],
    ['that calls itself unsigned', shopToken(kind, { alg: 'none' })],
    ['that calls itself by a neighbour of its algorithm', shopToken(kind, { alg: 'RS512' })],
    ['without a signature', shopToken(kind).replace(/[^.]*$/, '')],
    ['under the public key as if it were a secret', hmacToken(shopKey.pem)],
    ['under the secret that names our algorithm', hmacToken(SECRET, kind)],
    ...KINDS.filter((it) => it !== kind).map((it): [string, string] => [
      `for ${it}`,
      shopToken(it),
    ]),
  ])('a token %s is refused and not kept', (_name, authorization) => {
    const { tokens, cache } = tokensOf(shopKey);
    expect(tokens.identify(authorization)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  test('is refused where the service has no such key', () => {
    expect(tokensOf(null).tokens.identify(shopToken(kind))).toBeUndefined();
  });

  test('has one spelling of its signature', () => {
    const { tokens } = tokensOf(shopKey);
    const genuine = shopToken(kind);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spellings = Array.from(alphabet).map((last) => genuine.slice(0, -1) + last);
    expect(spellings.filter((spelling) => tokens.identify(spelling))).toEqual([genuine]);
  });
});

test("the edge takes the shop's tokens for what they say", async () => {
  const app = new TestApp({}, { shopKey: PAIRS.EdDSA.shopKey });
  const authorization = shopToken('EdDSA');
  expect((await app.get('/orders', { authorization })).statusCode).toBe(200);
  expectProblem(
    await app.get('/orders', { authorization: `${authorization}x` }),
    'unauthenticated',
  );
});
