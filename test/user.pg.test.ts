import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { createTestDatabase } from './support/database.ts';
import type { TestDatabase } from './support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  await database.query('TRUNCATE users CASCADE');
  await database.query(
    `INSERT INTO users VALUES (gen_random_uuid(), 'ann', 'Ann@Shop.test', 'x', 'customer', now()),
                              (gen_random_uuid(), 'bob', 'bob@shop.test', 'x', 'customer', now())`,
  );
});
afterAll(async () => {
  await database.close();
});

function user(...args: readonly string[]): Promise<CommandResult> {
  return runCommand('user', {
    args,
    environment: { DATABASE_URL: database.url, JWT_SECRET: 'x'.repeat(64) },
  });
}

async function roles(): Promise<unknown> {
  return database.query('SELECT username, role FROM users ORDER BY username');
}

const UNCHANGED = [
  { username: 'ann', role: 'customer' },
  { username: 'bob', role: 'customer' },
];

describe('npm run user -- grant', () => {
  test('gives the role to the one user with this email address, in any case', async () => {
    const { code, stdout, stderr } = await user('grant', 'ann@shop.TEST', 'admin');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Ann@Shop\.test is admin now; /);
    expect(await roles()).toEqual([
      { username: 'ann', role: 'admin' },
      { username: 'bob', role: 'customer' },
    ]);
  });

  test('exits 1 when nobody has the email address', async () => {
    const { code, stdout, stderr } = await user('grant', 'nobody@shop.test', 'admin');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('user: nobody is registered with the email address nobody@shop.test\n');
    expect(await roles()).toEqual(UNCHANGED);
  });

  test.each([
    { args: ['grant', 'ann@shop.test', 'king'], says: 'unknown role "king"' },
    { args: ['grant', 'ann@shop.test'], says: 'usage: npm run user -- grant EMAIL ROLE' },
    { args: ['grant', 'ann@shop.test', 'admin', 'x'], says: 'usage: ' },
    { args: ['revoke', 'ann@shop.test', 'admin'], says: 'usage: ' },
    { args: [], says: 'customer, merchant, admin' },
  ])('exits 2 for $args, saying how to use it', async ({ args, says }) => {
    const { code, stderr } = await user(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(says);
    expect(await roles()).toEqual(UNCHANGED);
  });

  test('exits 2 when the database cannot be reached, without showing the password', async () => {
    const { code, stderr } = await runCommand('user', {
      args: ['grant', 'ann@shop.test', 'admin'],
      environment: {
        DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/shop',
        JWT_SECRET: 'x'.repeat(64),
      },
    });
    expect(code).toBe(2);
    expect(stderr).toBe(
      'user: could not run: Temporarily unavailable: connect ECONNREFUSED 127.0.0.1:1\n',
    );
  });
});
