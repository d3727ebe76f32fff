import type { z } from 'zod';

import type { User } from '../domain/user.ts';
import { timeText } from './time-text.ts';
import type { userSchema } from './user-schemas.ts';

/** A user as the contract shows it; the password's hash has no way in here. */
export function userJson(user: User): z.infer<typeof userSchema> {
  return {
    id: user.id,
    username: user.username,
    email: user.email,
    role: user.role,
    created_at: timeText(user.createdAt),
  };
}
