import { z } from 'zod';

import {
  IDEMPOTENCY_KEY_CHARS_MAX,
  PAGE_LIMIT_DEFAULT,
  PAGE_LIMIT_MAX,
  REASON_CHARS_MAX,
} from '../domain/bounds.ts';

/**
 * What PostgreSQL cannot store as text would fail a whole batch: it is refused at the door. With
 * `u` the range matches unpaired surrogates only, and unlike \p{Cs} other languages read it too.
 */
export const STORABLE_TEXT = /^[^\u0000\ud800-\udfff]*$/u;
/** Any version, any case. */
export const UUID_TEXT =
  /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
/** The form of an Idempotency-Key. */
export const KEY_TEXT = new RegExp(`^[\\x21-\\x7e]{1,${IDEMPOTENCY_KEY_CHARS_MAX}}$`);

/** Text that PostgreSQL can store, of at most `charsMax` code points. */
export function storableText(charsMax: number): z.ZodString {
  return z.string().max(charsMax).regex(STORABLE_TEXT);
}

/** Why something is done, in the words of who does it. */
export const reasonText = storableText(REASON_CHARS_MAX).min(1);

/** An id; any case is accepted, answers are lower case. */
export const uuidSchema = z.string().regex(UUID_TEXT).meta({ format: 'uuid' });

/** RFC 3339 in UTC. */
export const timeSchema = z.string().meta({ format: 'date-time' });

/** Money as it is shown. */
export const moneySchema = z.object({
  amount: z.int().meta({ description: 'Minor units (cents).' }),
  currency: z.string().meta({ description: 'ISO 4217 code.' }),
});

/** The path of one thing. */
export const idParams = z.object({ id: uuidSchema });
/** What `idParams` accepts. */
export type IdParams = z.infer<typeof idParams>;

/** What every list takes. */
export const pageQuery = z.object({
  limit: z
    .int()
    .min(1)
    .max(PAGE_LIMIT_MAX)
    .optional()
    .meta({ description: `Entries of a page; ${PAGE_LIMIT_DEFAULT} unless given.` }),
  cursor: storableText(200)
    .optional()
    .meta({ description: 'The `next_cursor` of the page before.' }),
});
/** What `pageQuery` accepts. */
export type PageQuery = z.infer<typeof pageQuery>;

/** Headers of a command that may be repeated. */
export const keyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(KEY_TEXT)
    .optional()
    .meta({ description: 'The same key with the same request takes effect once, for ever.' }),
});
