import { execFile } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../src/config.ts';
import { loadJwtPublicKey } from '../src/jwt-public-key.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hedonify-key-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function file(content: string): string {
  const path = join(directory, 'shop.pem');
  writeFileSync(path, content);
  return path;
}

function publicPem(key: KeyObject, type: 'spki' | 'pkcs1' = 'spki'): string {
  return createPublicKey(key).export({ type, format: 'pem' }).toString();
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;

describe('the public key of a shop', () => {
  test.each([
    ['EdDSA', publicPem(ed25519)],
    ['ES256', publicPem(ec('P-256'))],
    ['RS256', publicPem(rsa)],
    ['RS256', publicPem(rsa, 'pkcs1')],
    ['EdDSA', `\n${publicPem(ed25519)}\n\n`],
  ])('means %s by its type', (algorithm, pem) => {
    const key = loadJwtPublicKey(file(pem));
    expect(key.algorithm).toBe(algorithm);
    expect(key.pem).toMatch(/^-----BEGIN PUBLIC KEY-----\n/);
  });

  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['a broken key', publicPem(ed25519).replace('MC', 'XX')],
    ['a private key', ed25519.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['a curve without an algorithm of ours', publicPem(ec('P-384'))],
    ['a curve that looks like one of ours', publicPem(ec('secp256k1'))],
    ['too short an RSA key', publicPem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)], // prettier-ignore
    ['Ed448', publicPem(generateKeyPairSync('ed448').privateKey)],
    ['a key for PSS', publicPem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey)], // prettier-ignore
  ])('is refused when the file holds %s, which is not told', (_name, content) => {
    const refusal = refusalOf(file(content));
    expect(refusal.problems.map(({ variable }) => variable)).toEqual(['JWT_PUBLIC_KEY_FILE']);
    for (const line of content.split('\n').filter((it) => it !== '')) {
      expect(refusal.message).not.toContain(line);
    }
  });

  test('is refused when there is no file', () => {
    expect(refusalOf(join(directory, 'nowhere')).message).toMatch(
      /^JWT_PUBLIC_KEY_FILE cannot be read: ENOENT/,
    );
  });
});

test('a server with a key that it cannot read says so and ends before it opens anything', async () => {
  const main = resolve(import.meta.dirname, '../src/main.ts');
  const dataDir = join(directory, 'data');
  const env = { DATA_DIR: dataDir, JWT_PUBLIC_KEY_FILE: file('hello') };
  await expect(promisify(execFile)(process.execPath, [main], { env })).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: 'JWT_PUBLIC_KEY_FILE must name a PEM file that holds a public key\n',
  });
  expect(existsSync(dataDir)).toBe(false);
});

function refusalOf(path: string): ConfigError {
  try {
    loadJwtPublicKey(path);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the key was accepted');
}
