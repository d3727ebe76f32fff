/**
 * Users. The unique indexes over lower(email) and lower(username) decide who comes first; nothing
 * here looks before it inserts.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Pool } from 'pg';
import type { UserId } from '../domain/ids.ts';
import type { Accounts, Credentials } from '../domain/ports.ts';
import type { Role, User } from '../domain/user.ts';
import { queryRows } from './pool.ts';
import { changeRows } from './transaction.ts';

const COLUMNS = /* sql */ `
  id, username, email, role, floor(extract(epoch FROM created_at) * 1000)::bigint AS "createdAt"`;

// DO NOTHING instead of catching 23505: pg's pool drops the connection of every failed query, so a
// flood of taken names would cost a new connection each.
const REGISTER = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  VALUES ($1, $2, $3, $4, $5, to_timestamp($6::double precision / 1000))
  ON CONFLICT DO NOTHING
  RETURNING ${COLUMNS}`;

const EMAIL_EXISTS = /* sql */ `SELECT 1 AS found FROM users WHERE lower(email) = lower($1)`;

const FIND_CREDENTIALS = /* sql */ `
  SELECT ${COLUMNS}, password_hash AS "passwordHash" FROM users WHERE lower(email) = lower($1)`;

const FIND_USER = /* sql */ `SELECT ${COLUMNS} FROM users WHERE id = $1`;

const SET_ROLE = /* sql */ `
  UPDATE users SET role = $2::user_role WHERE id = $1 RETURNING ${COLUMNS}`;

const GRANT_ROLE = /* sql */ `
  UPDATE users SET role = $2::user_role WHERE lower(email) = lower($1) RETURNING ${COLUMNS}`;

interface UserRow {
  readonly id: UserId;
  readonly username: string;
  readonly email: string;
  readonly role: Role;
  readonly createdAt: number;
}

interface CredentialsRow extends UserRow {
  readonly passwordHash: string;
}

export function createAccountStore(pool: Pool): Accounts {
  return {
    async register(account) {
      const { username, email, passwordHash, role } = account;
      const values = [randomUUIDv7(), username, email, passwordHash, role, Date.now()];
      const inserted = await changeRows<UserRow>(pool, { text: REGISTER, values });
      const user = inserted[0];
      if (user !== undefined) {
        return { type: 'registered', user: toUser(user) };
      }
      // A new statement sees the row that won, and users are never deleted.
      const sameEmail = await queryRows(pool, { text: EMAIL_EXISTS, values: [email] });
      return { type: sameEmail.length > 0 ? 'email-taken' : 'username-taken' };
    },

    async findCredentials(email: string): Promise<Credentials | undefined> {
      const rows = await queryRows<CredentialsRow>(pool, {
        name: 'find-credentials',
        text: FIND_CREDENTIALS,
        values: [email],
      });
      const row = rows[0];
      return row === undefined ? undefined : { user: toUser(row), passwordHash: row.passwordHash };
    },

    async findUser(id: UserId) {
      const rows = await queryRows<UserRow>(pool, {
        name: 'find-user',
        text: FIND_USER,
        values: [id],
      });
      const row = rows[0];
      return row === undefined ? undefined : toUser(row);
    },

    async setRole(id: UserId, role: Role) {
      const rows = await changeRows<UserRow>(pool, { text: SET_ROLE, values: [id, role] });
      const row = rows[0];
      return row === undefined ? undefined : toUser(row);
    },
  };
}

/** The user as changed, or undefined when nobody has this email address (case-insensitive). */
export async function grantRole(
  pool: Pool,
  { email, role }: { readonly email: string; readonly role: Role },
): Promise<User | undefined> {
  const rows = await queryRows<UserRow>(pool, { text: GRANT_ROLE, values: [email, role] });
  const row = rows[0];
  return row === undefined ? undefined : toUser(row);
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    username: row.username,
    email: row.email,
    role: row.role,
    createdAt: row.createdAt,
  };
}
