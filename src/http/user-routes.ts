import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import type { Accounts, RegisterOutcome } from '../domain/ports.ts';
import type { AccessTokens } from './access-tokens.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { schemaRef } from './json-schema.ts';
import { DUMMY_PASSWORD_HASH } from './password-hash.ts';
import type { PasswordHashing } from './password-hash.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { timeText } from './time-text.ts';
import { userJson } from './user-json.ts';
import { CREDENTIALS_BYTES_MAX, loginBody, registerBody } from './user-schemas.ts';
import type { LoginBody, RegisterBody } from './user-schemas.ts';

/** What the routes need. */
export interface UserDeps {
  readonly accounts: Accounts;
  readonly passwords: PasswordHashing;
  readonly tokens: AccessTokens;
  readonly authenticate: AuthenticateHook;
}

const REGISTER = documented({
  operationId: 'register',
  summary: 'Open a customer account',
  tag: 'users',
  auth: 'none',
  body: { schema: registerBody, bytesMax: CREDENTIALS_BYTES_MAX },
  success: {
    status: 201,
    description: 'The new user.',
    schema: schemaRef('User'),
    headers: { Location: 'The address of the user.' },
  },
  errors: ['email-taken', 'username-taken', 'overloaded', 'database-unavailable'],
});

const LOGIN = documented({
  operationId: 'login',
  summary: 'Get an access token',
  tag: 'users',
  auth: 'none',
  body: { schema: loginBody, bytesMax: CREDENTIALS_BYTES_MAX },
  success: { status: 200, description: 'The token.', schema: schemaRef('Session') },
  errors: ['bad-credentials', 'overloaded', 'database-unavailable'],
});

const ME = documented({
  operationId: 'getMe',
  summary: 'Your account',
  tag: 'users',
  auth: 'required',
  success: { status: 200, description: 'The user behind the token.', schema: schemaRef('User') },
  errors: ['not-found', 'database-unavailable'],
});

const GET = documented({
  operationId: 'getUser',
  summary: 'An account: your own, or any for an admin',
  tag: 'users',
  auth: 'required',
  params: idParams,
  success: { status: 200, description: 'The user.', schema: schemaRef('User') },
  errors: ['forbidden', 'not-found', 'database-unavailable'],
});

/** Adds the routes under /users. */
export function addUserRoutes(app: FastifyInstance, deps: UserDeps): void {
  addRegister(app, deps);
  addLogin(app, deps);
  const { accounts, authenticate } = deps;

  app.get('/users/me', { ...ME, onRequest: authenticate }, async (request, reply) => {
    const user = await accounts.findUser(identityOf(request).userId);
    return user === undefined ? sendProblem(reply, 'not-found') : userJson(user);
  });

  app.get<{ Params: IdParams }>(
    '/users/:id',
    { ...GET, onRequest: authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      const id = parseUserId(request.params.id);
      if (id !== identity.userId && identity.role !== 'admin')
        return sendProblem(reply, 'forbidden');
      const user = id === undefined ? undefined : await accounts.findUser(id);
      return user === undefined ? sendProblem(reply, 'not-found') : userJson(user);
    },
  );
}

function addRegister(app: FastifyInstance, deps: UserDeps): void {
  const { accounts, passwords } = deps;
  app.post<{ Body: RegisterBody }>('/users/register', REGISTER, async (request, reply) => {
    const { username, email, password } = request.body;
    const passwordHash = await passwords.hash(password);
    const account = { username, email, passwordHash, role: 'customer' } as const;
    return answerRegister(reply, await accounts.register(account));
  });
}

function answerRegister(reply: FastifyReply, outcome: RegisterOutcome): FastifyReply {
  switch (outcome.type) {
    case 'registered':
      return reply
        .code(201)
        .header('location', `/users/${outcome.user.id}`)
        .send(userJson(outcome.user));
    case 'email-taken':
    case 'username-taken':
      return sendProblem(reply, outcome.type);
    default:
      return unreachable(outcome);
  }
}

function addLogin(app: FastifyInstance, deps: UserDeps): void {
  const { accounts, passwords, tokens } = deps;
  app.post<{ Body: LoginBody }>('/users/login', LOGIN, async (request, reply) => {
    const found = await accounts.findCredentials(request.body.email);
    // An unknown email costs one verification too, so that time does not tell who has an account.
    const phc = found?.passwordHash ?? DUMMY_PASSWORD_HASH;
    const right = await passwords.verify(request.body.password, phc);
    if (found === undefined || !right) return sendProblem(reply, 'bad-credentials');
    const { user } = found;
    const { token, expiresAt } = tokens.issue({ userId: user.id, role: user.role });
    return { token, expires_at: timeText(expiresAt), user: userJson(user) };
  });
}
