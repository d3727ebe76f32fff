/** The public key under which a shop signs its own access tokens (JWT_PUBLIC_KEY_FILE). */
import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from './config.ts';
import { explain } from './explain.ts';
import type { ShopKey } from './http/access-tokens.ts';

const VARIABLE = 'JWT_PUBLIC_KEY_FILE';
const RSA_BITS_MIN = 2048;
/** A longer signature does not fit into the header that we read. */
const RSA_BITS_MAX = 8192;
/** Node would take a private key as well and derive the public one: a shop that mixed them up. */
const PUBLIC_KEY = /^-----BEGIN (RSA )?PUBLIC KEY-----/;

/**
 * The key in a PEM file, and the algorithm that follows from its type.
 *
 * @throws ConfigError which says what is wrong, and nothing of what the file holds.
 */
export function loadJwtPublicKey(path: string): ShopKey {
  const text = read(path).trim();
  if (!PUBLIC_KEY.test(text)) throw refused('must name a PEM file that holds a public key');
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw refused('must name a PEM file that holds a public key');
  }
  const algorithm = algorithmOf(key);
  return { pem: key.export({ type: 'spki', format: 'pem' }).toString(), algorithm };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw refused(`cannot be read: ${explain(error)}`);
  }
}

function algorithmOf(key: KeyObject): ShopKey['algorithm'] {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return 'EdDSA';
    case 'ec':
      if (namedCurve === 'prime256v1') return 'ES256';
      throw refused('must name an elliptic key on P-256');
    case 'rsa':
      if (modulusLength >= RSA_BITS_MIN && modulusLength <= RSA_BITS_MAX) return 'RS256';
      throw refused(`must name an RSA key of ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits`);
    default:
      throw refused('must name a key for EdDSA (Ed25519), ES256 or RS256');
  }
}

function refused(reason: string): ConfigError {
  return new ConfigError([{ variable: VARIABLE, reason }]);
}
