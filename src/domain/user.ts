import type { UserId } from './ids.ts';

export const ROLES = ['customer', 'merchant', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface User {
  readonly id: UserId;
  readonly username: string;
  readonly email: string;
  readonly role: Role;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** Who is asking, as a verified token says. A `users` row is not required. */
export interface Identity {
  readonly userId: UserId;
  readonly role: Role;
}
