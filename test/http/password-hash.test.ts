import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import { createPasswordHashing, DUMMY_PASSWORD_HASH } from '../../src/http/password-hash.ts';

const FORM = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/;

describe('a password hash', () => {
  test('is Argon2id with the parameters of OWASP, salted, and checks its password only', async () => {
    const passwords = createPasswordHashing();
    const [one, two] = await Promise.all([passwords.hash('a pass'), passwords.hash('a pass')]);
    expect(one).toMatch(FORM);
    expect(two).not.toBe(one);
    expect(await passwords.verify('a pass', one)).toBe(true);
    expect(await passwords.verify('a pasS', one)).toBe(false);
  });

  test('made elsewhere with other parameters is checked by its own', async () => {
    // `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 24`, the example of the reference
    // implementation's test vectors.
    const phc =
      '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await createPasswordHashing().verify('password', phc)).toBe(true);
  });

  test('of another form never matches', async () => {
    const passwords = createPasswordHashing();
    expect(await passwords.verify('x', '')).toBe(false);
    expect(await passwords.verify('x', '$2b$12$abcdefghijklmnopqrstuv')).toBe(false);
  });

  test('for unknown emails costs as much as a real one and matches nothing', async () => {
    expect(DUMMY_PASSWORD_HASH).toMatch(FORM);
    expect(await createPasswordHashing().verify('', DUMMY_PASSWORD_HASH)).toBe(false);
  });
});

test('a flood of passwords is bounded: some wait, the rest are told to come back (I9)', async () => {
  const passwords = createPasswordHashing();
  const flood = Array.from({ length: 40 }, () => passwords.hash('a pass'));
  const settled = await Promise.allSettled(flood);
  const refused = settled.filter((result) => result.status === 'rejected');
  expect(settled.filter((result) => result.status === 'fulfilled')).toHaveLength(34);
  expect(refused.map(({ reason }) => reason instanceof AppError && reason.code)).toEqual(
    Array.from({ length: 6 }, () => 'overloaded'),
  );
  expect(await passwords.hash('afterwards')).toMatch(FORM);
});
