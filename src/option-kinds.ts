/**
 * The kinds of options: how the text of an environment variable becomes a value, and what is said
 * of one that does not. Each reason completes the sentence "VARIABLE ...".
 */
import { z } from 'zod';

const CORS_ORIGINS_MAX = 100;

/** A whole number within bounds. */
export function integer({ min, max }: { readonly min: number; readonly max: number }) {
  return z.string().transform((text, context) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    context.addIssue(`must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return z.NEVER;
  });
}

/** A share of a whole, 0 to 1. */
export const share = z.string().transform((text, context) => {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value <= 1) return value;
  context.addIssue(`must be a number from 0 to 1, not ${JSON.stringify(text)}`);
  return z.NEVER;
});

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(values: T) {
  return z.enum(values, { error: () => `must be one of ${values.join(', ')}` });
}

/** Nothing but these two words: `yes` and `1` are mistakes elsewhere. */
export const boolean = oneOf(['true', 'false']).transform((text) => text === 'true');

/** What can be sent as a bearer token. The reason does not repeat the value. */
export function bearerToken(charsMin: number) {
  return z.string().regex(new RegExp(`^[\\x21-\\x7e]{${charsMin},}$`), {
    error: `must be at least ${charsMin} visible ASCII characters`,
  });
}

/** Its value may hold a password, so the reason does not repeat it. */
function urlLike({ example, protocols }: { example: string; protocols: readonly string[] }) {
  return z
    .string()
    .refine((text) => protocols.includes(URL.canParse(text) ? new URL(text).protocol : ''), {
      error: `must be a URL like ${example}`,
    });
}

/** Of PostgreSQL. */
export const databaseUrl = urlLike({
  example: 'postgres://user:password@host:5432/database',
  protocols: ['postgres:', 'postgresql:'],
});

/** Of Redis, `rediss:` over TLS. */
export const redisUrl = urlLike({
  example: 'redis://user:password@host:6379/0',
  protocols: ['redis:', 'rediss:'],
});

/** Of an OpenTelemetry collector. */
export const collectorUrl = urlLike({
  example: 'http://host:4318',
  protocols: ['http:', 'https:'],
});

/**
 * Origins between commas. Comparing with the parsed form refuses what no browser sends: a path, a
 * default port, capitals.
 */
export const origins = z.string().transform((text, context) => {
  const list = text.split(',').map((origin) => origin.trim());
  const bad = list.find((it) => !URL.canParse(it) || new URL(it).origin !== it);
  if (bad === undefined && list.length <= CORS_ORIGINS_MAX) return list;
  context.addIssue(
    bad === undefined
      ? `must list at most ${CORS_ORIGINS_MAX} origins`
      : `must list origins like https://shop.example, not ${JSON.stringify(bad)}`,
  );
  return z.NEVER;
});
