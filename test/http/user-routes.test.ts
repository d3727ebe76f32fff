import { describe, expect, test } from 'vitest';

import { DUMMY_PASSWORD_HASH } from '../../src/http/password-hash.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { ADMIN, CUSTOMER, NOW, TestApp, userId } from './fake-ports.ts';
import { widestJson } from './widest-json.ts';

const ANN = { username: 'ann', email: 'Ann@Example.test', password: 'correct horse' };
const LOGIN = { email: 'ann@example.test', password: ANN.password };

async function withAnn() {
  const app = new TestApp();
  const response = await app.post('/users/register', ANN);
  expect(response.statusCode).toBe(201);
  return { app, response, ann: userId(100) };
}

describe('POST /users/register', () => {
  const untouched = new TestApp();

  test('makes a customer and shows no hash', async () => {
    const { app, response, ann } = await withAnn();
    expect(response.headers.location).toBe(`/users/${ann}`);
    expect(response.json()).toStrictEqual({
      id: ann,
      username: 'ann',
      email: 'Ann@Example.test',
      role: 'customer',
      created_at: new Date(NOW).toISOString(),
    });
    expect(app.accounts.rows).toMatchObject([{ passwordHash: 'fake:correct horse' }]);
  });

  test('refuses what is taken, in any case', async () => {
    const { app } = await withAnn();
    const email = { ...ANN, username: 'bob', email: 'ANN@example.test' };
    expectProblem(await app.post('/users/register', email), 'email-taken');
    const username = { ...ANN, username: 'ANN', email: 'b@example.test' };
    expectProblem(await app.post('/users/register', username), 'username-taken');
  });

  test.each([
    ['nothing, naming the first', {}, ['username']],
    ['a short name', { ...ANN, username: 'ab' }, ['username']],
    ['a long name', { ...ANN, username: 'a'.repeat(41) }, ['username']],
    ['a name with a space', { ...ANN, username: 'a nn' }, ['username']],
    ['no address', { ...ANN, email: 'ann' }, ['email']],
    ['a long address', { ...ANN, email: `${'a'.repeat(250)}@b.test` }, ['email']],
    ['an address with NUL', { ...ANN, email: 'a\u0000@b.test' }, ['email']],
    ['a short password', { ...ANN, password: '123456789' }, ['password']],
    ['a long password', { ...ANN, password: 'x'.repeat(201) }, ['password']],
    ['a role', { ...ANN, role: 'admin' }, ['role']],
    ['an id', { ...ANN, id: CUSTOMER }, ['id']],
  ])('refuses %s', async (_name, body, paths) => {
    expect(expectInvalid(await untouched.post('/users/register', body))).toEqual(paths);
    expect(untouched.accounts.rows).toEqual([]);
  });
});

describe('POST /users/login', () => {
  test('answers a token that works, its end and the user', async () => {
    const { app, ann } = await withAnn();
    const response = await app.post('/users/login', LOGIN);
    expect(response.statusCode).toBe(200);
    const session = response.json<{ token: string }>();
    expect(session).toMatchObject({
      expires_at: new Date(Math.floor(NOW / 1000) * 1000 + 3_600_000).toISOString(),
      user: { id: ann, username: 'ann' },
    });
    const me = await app.get('/users/me', { authorization: `Bearer ${session.token}` });
    expect(me.json()).toMatchObject({ id: ann, email: 'Ann@Example.test' });
  });

  test('answers a wrong password and an unknown email alike, after the same work', async () => {
    const { app } = await withAnn();
    const wrong = await app.post('/users/login', { ...LOGIN, password: 'wrong' });
    const unknown = await app.post('/users/login', { ...LOGIN, email: 'x@example.test' });
    expect(expectProblem(wrong, 'bad-credentials').detail).toBe(
      expectProblem(unknown, 'bad-credentials').detail,
    );
    expect(app.passwords.verified).toEqual(['fake:correct horse', DUMMY_PASSWORD_HASH]);
  });

  test('checks the password each time, also right after it was the right one', async () => {
    const { app } = await withAnn();
    expect((await app.post('/users/login', LOGIN)).statusCode).toBe(200);
    const wrong = await app.post('/users/login', { ...LOGIN, password: 'wrong' });
    expectProblem(wrong, 'bad-credentials');
    expect((await app.post('/users/login', LOGIN)).statusCode).toBe(200);
    expect(app.passwords.verified).toHaveLength(3);
  });

  test('refuses a body that cannot be looked up', async () => {
    const app = new TestApp();
    const bodies: [object, string][] = [
      [{ ...LOGIN, email: 'a\u0000' }, 'email'],
      [{ ...LOGIN, password: '' }, 'password'],
      [{ ...LOGIN, remember: true }, 'remember'],
    ];
    for (const [body, path] of bodies) {
      expect(expectInvalid(await app.post('/users/login', body))).toEqual([path]);
    }
  });
});

describe.each(['/users/register', '/users/login'])('what a stranger sends to %s', (url) => {
  const app = new TestApp();

  test('is refused at its first mistake (I9)', async () => {
    const unknown = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`k${n}`, 0]));
    const body = url === '/users/login' ? LOGIN : ANN;
    expect(expectInvalid(await app.post(url, { ...body, ...unknown }))).toEqual(['k0']);
  });

  test('is refused unread over 8 KiB', async () => {
    const response = await app.post(url, { ...ANN, password: 'x'.repeat(8_192) });
    expectProblem(response, 'body-too-large');
  });
});

test('the widest spelling of an account is read', async () => {
  const app = new TestApp();
  const headers = { 'content-type': 'application/json' };
  const password = '\u{1f600}'.repeat(200);
  const account = {
    username: 'a'.repeat(40),
    email: `${'a'.repeat(64)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.test`,
    password,
  };
  const register = { method: 'POST', url: '/users/register', headers } as const;
  const made = await app.send({ ...register, payload: widestJson(account) });
  expect(made.statusCode).toBe(201);
  const payload = widestJson({ email: '\u{1f600}'.repeat(254), password });
  expect(payload.length).toBeGreaterThan(5_500);
  const login = await app.send({ method: 'POST', url: '/users/login', headers, payload });
  expectProblem(login, 'bad-credentials');
});

describe('PUT /users/{id}/role', () => {
  /** Changes a role over HTTP, as whoever the headers say. */
  const changer =
    (app: TestApp, headers: Record<string, string>) => (id: string, payload: object) =>
      app.send({ method: 'PUT', url: `/users/${id}/role`, payload, headers });

  test('lets an admin make a merchant, who is one from the next login on', async () => {
    const { app, ann } = await withAnn();
    const change = changer(app, app.bearer(ADMIN, 'admin'));
    const response = await change(ann, { role: 'merchant' });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ id: ann, role: 'merchant' });
    const session = (await app.post('/users/login', LOGIN)).json<{ token: string }>();
    expect(session).toMatchObject({ user: { role: 'merchant' } });
    const claims = Buffer.from(session.token.split('.')[1] ?? '', 'base64url').toString();
    expect(JSON.parse(claims)).toMatchObject({ sub: ann, role: 'merchant' });
    expect(app.log).toContainEqual(
      expect.objectContaining({ author: ADMIN, user_id: ann, role: 'merchant' }),
    );
  });

  test.each(['customer', 'merchant'] as const)('lets no %s change a role', async (role) => {
    const { app, ann } = await withAnn();
    const change = changer(app, app.bearer(ann, role));
    for (const id of [ann, userId(999)]) {
      expectProblem(await change(id, { role: 'admin' }), 'forbidden');
    }
    expect(app.accounts.rows).toMatchObject([{ user: { role: 'customer' } }]);
  });

  test('refuses what is no role, nobody, and a stranger', async () => {
    const { app, ann } = await withAnn();
    const change = changer(app, app.bearer(ADMIN, 'admin'));
    expect(expectInvalid(await change(ann, { role: 'king' }))).toEqual(['role']);
    expect(expectInvalid(await change(ann, {}))).toEqual(['role']);
    expect(expectInvalid(await change(ann, { role: 'admin', id: ann }))).toEqual(['id']);
    expect(expectInvalid(await change('7', { role: 'admin' }))).toEqual(['params.id']);
    expectProblem(await change(userId(999), { role: 'admin' }), 'not-found');
    expectProblem(await changer(app, {})(ann, { role: 'admin' }), 'unauthenticated');
  });
});

describe('reading accounts', () => {
  test('shows you yourself, and any account to an admin', async () => {
    const { app, ann } = await withAnn();
    const own = await app.get(`/users/${ann}`, app.bearer(ann, 'customer'));
    expect(own.json()).toMatchObject({ id: ann });
    const admin = app.bearer(ADMIN, 'admin');
    expect((await app.get(`/users/${ann}`, admin)).statusCode).toBe(200);
    expectProblem(await app.get(`/users/${CUSTOMER}`, admin), 'not-found');
    expect(expectInvalid(await app.get('/users/7', admin))).toEqual(['params.id']);
  });

  test('does not tell others whether an account exists', async () => {
    const { app, ann } = await withAnn();
    expectProblem(await app.get(`/users/${ann}`, app.customer), 'forbidden');
    expectProblem(await app.get(`/users/${userId(999)}`, app.customer), 'forbidden');
  });

  test('a token without an account here has no account to show', async () => {
    const app = new TestApp();
    expectProblem(await app.get('/users/me', app.customer), 'not-found');
  });
});
