import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAccountStore, grantRole } from '../../src/db/account-store.ts';
import { createPool } from '../../src/db/pool.ts';
import { parseUserId } from '../../src/domain/ids.ts';
import type { Accounts } from '../../src/domain/ports.ts';
import type { User } from '../../src/domain/user.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const ANN = {
  username: 'Ann',
  email: 'Ann@Shop.test',
  passwordHash: 'hash',
  role: 'customer',
} as const;

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let accounts: Accounts;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 4,
    statementTimeoutMs: 5000,
    applicationName: 'account-store-under-test',
    onError: () => undefined,
  });
  accounts = createAccountStore(pool);
});
beforeEach(async () => {
  await database.query('TRUNCATE users CASCADE');
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

async function registerAnn(): Promise<User> {
  const outcome = await accounts.register(ANN);
  if (outcome.type !== 'registered') {
    throw new Error(outcome.type);
  }
  return outcome.user;
}

describe('register', () => {
  test('keeps what was given, under an id that sorts by time', async () => {
    const before = Date.now();
    const user = await registerAnn();
    expect(user).toMatchObject({ username: 'Ann', email: 'Ann@Shop.test', role: 'customer' });
    expect(user.createdAt).toBeGreaterThanOrEqual(before);
    expect(user.createdAt).toBeLessThanOrEqual(Date.now());
    expect(user.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(await accounts.findUser(user.id)).toEqual(user);
  });

  test.each([
    { given: { email: 'ann@shop.TEST', username: 'Other' }, type: 'email-taken' },
    { given: { email: 'other@shop.test', username: 'ANN' }, type: 'username-taken' },
    { given: { email: 'ann@shop.test', username: 'ann' }, type: 'email-taken' },
  ])('$given is $type after Ann, whatever the case', async ({ given, type }) => {
    await registerAnn();
    expect(await accounts.register({ ...ANN, ...given })).toEqual({ type });
    expect(await database.query('SELECT 1 FROM users')).toHaveLength(1);
  });

  test('of the same email at the same time succeeds once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, n) => accounts.register({ ...ANN, username: `ann${n}` })),
    );
    const types = outcomes.map((outcome) => outcome.type).sort();
    expect(types).toEqual([...Array<string>(7).fill('email-taken'), 'registered']);
  });
});

describe('findCredentials and findUser', () => {
  test('finds by email in any case, with the password hash', async () => {
    const user = await registerAnn();
    expect(await accounts.findCredentials('ANN@shop.test')).toEqual({ user, passwordHash: 'hash' });
  });

  test('answers undefined for nobody', async () => {
    expect(await accounts.findCredentials('nobody@shop.test')).toBeUndefined();
    const nobody = parseUserId('99999999-0000-4000-8000-000000000000');
    expect(nobody && (await accounts.findUser(nobody))).toBeUndefined();
  });
});

describe('setRole', () => {
  test('changes the role of that user alone', async () => {
    const user = await registerAnn();
    await accounts.register({ ...ANN, username: 'bob', email: 'bob@shop.test' });
    const merchant = { ...user, role: 'merchant' };
    expect(await accounts.setRole(user.id, 'merchant')).toEqual(merchant);
    expect(await accounts.findUser(user.id)).toEqual(merchant);
    const roles = await database.query('SELECT role FROM users ORDER BY username');
    expect(roles).toEqual([{ role: 'merchant' }, { role: 'customer' }]);
  });

  test('answers undefined for nobody', async () => {
    const nobody = parseUserId('99999999-0000-4000-8000-000000000000');
    expect(nobody && (await accounts.setRole(nobody, 'admin'))).toBeUndefined();
  });
});

describe('grantRole', () => {
  test('changes the role of the one user with this email', async () => {
    const user = await registerAnn();
    expect(await grantRole(pool, { email: 'ann@SHOP.test', role: 'admin' })).toEqual({
      ...user,
      role: 'admin',
    });
    expect(await accounts.findUser(user.id)).toEqual({ ...user, role: 'admin' });
  });

  test('answers undefined for nobody', async () => {
    expect(await grantRole(pool, { email: 'nobody@shop.test', role: 'admin' })).toBeUndefined();
  });
});
