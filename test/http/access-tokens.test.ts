import { createHmac } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { createAccessTokens } from '../../src/http/access-tokens.ts';
import { TokenCache } from '../../src/http/token-cache.ts';
import { CUSTOMER, NOW, SECRET } from './fake-ports.ts';

const EXP = NOW / 1000 + 60;
const CLAIMS = {
  sub: CUSTOMER,
  role: 'customer',
  iss: 'hedonify',
  aud: 'hedonify-api',
  iat: 1,
  exp: EXP,
};

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token made by hand, so that the library under test does not vouch for itself. */
function forge(claims: object, options: { alg?: string; secret?: string } = {}): string {
  const { alg = 'HS256', secret = SECRET } = options;
  const input = `${encoded({ alg, typ: 'JWT' })}.${encoded(claims)}`;
  if (alg === 'none') return `Bearer ${input}.`;
  const hash = alg === 'HS512' ? 'sha512' : 'sha256';
  return `Bearer ${input}.${createHmac(hash, secret).update(input).digest('base64url')}`;
}

function without(claim: string): object {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim));
}

function setUp() {
  const time = { now: NOW };
  const clock = (): number => time.now;
  const cache = new TokenCache(10);
  const tokens = createAccessTokens({ secret: SECRET, ttlSeconds: 60, clock, cache });
  return { time, tokens, cache };
}

describe('a token', () => {
  test('of this service or signed by hand with its secret is accepted', () => {
    const { tokens } = setUp();
    const identity = { userId: CUSTOMER, role: 'customer' } as const;
    const { token, expiresAt } = tokens.issue(identity);
    expect(tokens.identify(`Bearer ${token}`)).toEqual(identity);
    expect(tokens.identify(`bearer ${token}`)).toEqual(identity);
    expect(tokens.identify(forge(CLAIMS))).toEqual(identity);
    expect(expiresAt).toBe(Math.floor(NOW / 1000) * 1000 + 60_000);
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    const iat = Math.floor(NOW / 1000);
    expect(JSON.parse(payload)).toEqual({ ...CLAIMS, iat, exp: iat + 60 });
  });

  test('tells until when it proves who sent it, fresh and from the cache', () => {
    const { tokens, time } = setUp();
    const identity = { userId: CUSTOMER, role: 'customer' } as const;
    for (let n = 0; n < 2; n += 1) {
      expect(tokens.verify(forge(CLAIMS))).toEqual({ identity, expiresAt: EXP * 1000 });
    }
    expect(tokens.verify('Bearer a.b.c')).toBeUndefined();
    time.now = EXP * 1000;
    expect(tokens.verify(forge(CLAIMS))).toBeUndefined();
  });

  test('with a UUID in upper case names the same user', () => {
    const { tokens } = setUp();
    const sub = 'ABCDEF00-0000-7000-8000-000000000001';
    expect(tokens.identify(forge({ ...CLAIMS, sub }))?.userId).toBe(sub.toLowerCase());
  });

  test.each([
    ['without a signature (alg none)', forge(CLAIMS, { alg: 'none' })],
    ['with an algorithm that is not pinned', forge(CLAIMS, { alg: 'HS512' })],
    ['signed with another key', forge(CLAIMS, { secret: 'another secret of at least 32 bytes!' })],
    ['for another audience', forge({ ...CLAIMS, aud: 'other' })],
    ['of another issuer', forge({ ...CLAIMS, iss: 'other' })],
    ['without exp', forge(without('exp'))],
    ['without iat', forge(without('iat'))],
    ['without sub', forge(without('sub'))],
    ['without role', forge(without('role'))],
    ['without aud', forge(without('aud'))],
    ['without iss', forge(without('iss'))],
    ['with an exp that is text', forge({ ...CLAIMS, exp: '9999999999' })],
    ['that is expired', forge({ ...CLAIMS, exp: NOW / 1000 - 1 })],
    ['that expires now', forge({ ...CLAIMS, exp: NOW / 1000 })],
    ['whose sub is no UUID', forge({ ...CLAIMS, sub: 'me' })],
    ['of an unknown role', forge({ ...CLAIMS, role: 'root' })],
    ['that is longer than 4 KiB', forge({ ...CLAIMS, pad: 'x'.repeat(4096) })],
    ['with another scheme', forge(CLAIMS).replace('Bearer', 'Basic')],
    ['without a scheme', forge(CLAIMS).slice('Bearer '.length)],
    ['without a space', forge(CLAIMS).replace(' ', '')],
    ['with a tail', `${forge(CLAIMS)} x`],
    ['that is only the scheme', 'Bearer '],
    ['that is empty', ''],
  ])('%s is refused and not kept', (_name, authorization) => {
    const { tokens, cache } = setUp();
    expect(tokens.identify(authorization)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  test('takes one place, however its header is spelled', () => {
    const { tokens, cache } = setUp();
    const token = forge(CLAIMS).slice('Bearer '.length);
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
      for (const spaces of [1, 2, 30]) {
        const header = scheme + ' '.repeat(spaces) + token;
        expect(tokens.identify(header)?.userId, header).toBe(CUSTOMER);
      }
    }
    expect(cache.size).toBe(1);
  });

  test('has one spelling: the bits that its last character leaves unused are zero', () => {
    const { tokens } = setUp();
    const genuine = forge(CLAIMS);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spellings = Array.from(alphabet).map((last) => genuine.slice(0, -1) + last);
    expect(spellings.filter((spelling) => tokens.identify(spelling))).toEqual([genuine]);
  });

  test('in a header of thousands of spaces is read but not kept', () => {
    const { tokens, cache } = setUp();
    const header = forge(CLAIMS).replace(' ', ' '.repeat(3_000));
    expect(tokens.identify(header)?.userId).toBe(CUSTOMER);
    expect(cache.size).toBe(0);
  });

  test('that was changed in one character is refused, though the genuine one is cached', () => {
    const { tokens } = setUp();
    const genuine = forge(CLAIMS);
    expect(tokens.identify(genuine)).toBeDefined();
    const [head, , signature] = genuine.split('.');
    const admin = encoded({ ...CLAIMS, role: 'admin' });
    expect(tokens.identify(`${head}.${admin}.${signature}`)).toBeUndefined();
  });

  test('in the cache ends with its exp', () => {
    const { time, tokens } = setUp();
    const authorization = forge(CLAIMS);
    expect(tokens.identify(authorization)).toBeDefined();
    time.now = EXP * 1000 - 1;
    expect(tokens.identify(authorization)).toBeDefined();
    time.now = EXP * 1000;
    expect(tokens.identify(authorization)).toBeUndefined();
  });
});

describe('the cache', () => {
  const verified = { identity: { userId: CUSTOMER, role: 'customer' }, expiresAt: 10 } as const;

  test('never holds more than its bound, and what nobody asks for leaves (I9)', () => {
    const cache = new TokenCache(10);
    for (let n = 0; n < 100; n += 1) {
      cache.add(`token ${n}`, verified);
      expect(cache.size).toBeLessThanOrEqual(10);
    }
    expect(cache.find('token 0')).toBeUndefined();
    expect(cache.find('token 99')).toBe(verified);
  });

  test('keeps a token in use, however many others pass by', () => {
    const cache = new TokenCache(10);
    cache.add('in use', verified);
    for (let n = 0; n < 100; n += 1) {
      cache.add(`token ${n}`, verified);
      expect(cache.find('in use'), `after ${n}`).toBe(verified);
    }
  });
});
