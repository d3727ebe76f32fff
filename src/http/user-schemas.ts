import { z } from 'zod';

import { ROLES } from '../domain/user.ts';
import { storableText, timeSchema, uuidSchema } from './shared-schemas.ts';

const EMAIL_CHARS_MAX = 254;
const PASSWORD_CHARS_MAX = 200;

/**
 * Of a login or a registration, which anybody may send. In their widest escapes, 12 bytes for a
 * code point: an email of 254 is 3,048, a password of 200 is 2,400, a user name of 40 ASCII
 * characters 240, and the field names 126, together 5,814 bytes.
 */
export const CREDENTIALS_BYTES_MAX = 8_192;

/** The form of a user name. */
export const USERNAME_TEXT = /^[A-Za-z0-9_.-]{3,40}$/;

/** The body of POST /users/register. */
export const registerBody = z.strictObject({
  username: z.string().regex(USERNAME_TEXT),
  email: z.email().max(EMAIL_CHARS_MAX),
  password: storableText(PASSWORD_CHARS_MAX).min(10),
});
/** What `registerBody` accepts. */
export type RegisterBody = z.infer<typeof registerBody>;

/** The body of POST /users/login: no more is asked of it than that it can be looked up. */
export const loginBody = z.strictObject({
  email: storableText(EMAIL_CHARS_MAX).min(1),
  password: storableText(PASSWORD_CHARS_MAX).min(1),
});
/** What `loginBody` accepts. */
export type LoginBody = z.infer<typeof loginBody>;

/** Of the widest role, in the widest escapes. */
export const ROLE_BYTES_MAX = 256;

/** The body of PUT /users/{id}/role. */
export const roleBody = z.strictObject({ role: z.enum(ROLES) });
/** What `roleBody` accepts. */
export type RoleBody = z.infer<typeof roleBody>;

/** The JSON of a user. */
export const userSchema = z.object({
  id: uuidSchema,
  username: z.string(),
  email: z.string(),
  role: z.enum(ROLES),
  created_at: timeSchema,
});

/** The JSON of a login. */
export const sessionSchema = z.object({
  token: z.string().meta({ description: 'Send it as `Authorization: Bearer <token>`.' }),
  expires_at: timeSchema,
  user: userSchema,
});
