/**
 * The id of a keyed effect is a function of customer and Idempotency-Key alone, so that one primary
 * key in PostgreSQL arbitrates repeats for ever, on any node (I3).
 */
import { hash } from 'node:crypto';
import type { OrderId, UserId } from '../domain/ids.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * A UUIDv8 over customer and key. When the key is itself a UUIDv7 its 48 bits of time are kept, so
 * that neighbours in time are neighbours in the index; 74 bits of hash remain.
 * Source: RFC 9562, section 5.8.
 */
export function effectId(userId: UserId, key: string): OrderId {
  const digits = hash('sha256', `${userId}\0${key}`, 'hex');
  const prefix = UUID_V7.test(key) ? key.slice(0, 13).toLowerCase() : null;
  return uuidOf(digits, { version: '8', prefix });
}

/** A UUID of 32 hex digits, of which version, variant and prefix replace some. */
export function uuidOf(
  digits: string,
  form: { readonly version: string; readonly prefix: string | null },
): OrderId {
  const head = form.prefix ?? `${digits.slice(0, 8)}-${digits.slice(8, 12)}`;
  const variant = '89ab'[Number.parseInt(digits.charAt(16), 16) & 3] ?? '8';
  const rest = `${form.version}${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}`;
  return `${head}-${rest}-${digits.slice(20, 32)}` as OrderId;
}

/** 32 lower-case hex digits over a request in one text: equal hashes are a repeat. */
export function requestHashOf(request: string): string {
  return hash('sha256', request, 'hex').slice(0, 32);
}
