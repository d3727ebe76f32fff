import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import type { Accounts, Credentials, RegisterOutcome } from '../domain/ports.ts';
import type { AccessTokens } from './access-tokens.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { schemaRef } from './json-schema.ts';
import { DUMMY_PASSWORD_HASH } from './password-hash.ts';
import type { PasswordHashing } from './password-hash.ts';
import { sendProblem } from './problem.ts';
import type { RateCounter } from './rate-counter.ts';
import { documented } from './route-doc.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { timeText } from './time-text.ts';
import { userJson } from './user-json.ts';
import {
  CREDENTIALS_BYTES_MAX,
  loginBody,
  registerBody,
  ROLE_BYTES_MAX,
  roleBody,
} from './user-schemas.ts';
import type { LoginBody, RegisterBody, RoleBody } from './user-schemas.ts';

/** What the routes need. */
export interface UserDeps {
  readonly accounts: Accounts;
  readonly passwords: PasswordHashing;
  readonly tokens: AccessTokens;
  readonly authenticate: AuthenticateHook;
  readonly loginLimit: RateCounter;
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
  errors: [
    'email-taken',
    'username-taken',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const LOGIN = documented({
  operationId: 'login',
  summary: 'Get an access token',
  tag: 'users',
  auth: 'none',
  body: { schema: loginBody, bytesMax: CREDENTIALS_BYTES_MAX },
  success: { status: 200, description: 'The token.', schema: schemaRef('Session') },
  uncounted: true,
  errors: ['bad-credentials', 'rate-limited', 'overloaded', 'database-unavailable'],
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

const SET_ROLE = documented({
  operationId: 'setRole',
  summary: 'Make an account a customer, a merchant or an admin',
  tag: 'users',
  auth: 'required',
  params: idParams,
  body: { schema: roleBody, bytesMax: ROLE_BYTES_MAX },
  success: {
    status: 200,
    description: 'The user; access tokens issued before keep their role until they expire.',
    schema: schemaRef('User'),
  },
  errors: ['forbidden', 'not-found', 'database-unavailable', 'outcome-unknown'],
});

/** Adds the routes under /users. */
export function addUserRoutes(app: FastifyInstance, deps: UserDeps): void {
  addRegister(app, deps);
  addLogin(app, deps);
  addSetRole(app, deps);
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
  const { accounts, passwords, tokens, loginLimit } = deps;
  app.post<{ Body: LoginBody }>('/users/login', LOGIN, async (request, reply) => {
    const retryAfterSeconds = await loginLimit(request);
    if (retryAfterSeconds !== null)
      return sendProblem(reply, 'rate-limited', { retryAfterSeconds });
    const { email, password } = request.body;
    const found = await findAccount(accounts, email);
    // An unknown email costs one verification too, so that time does not tell who has an account.
    const right = await passwords.verify(password, found?.passwordHash ?? DUMMY_PASSWORD_HASH);
    if (found === undefined || !right) return sendProblem(reply, 'bad-credentials');
    const { user } = found;
    const { token, expiresAt } = tokens.issue({ userId: user.id, role: user.role });
    return { token, expires_at: timeText(expiresAt), user: userJson(user) };
  });
}

/**
 * The account of an address as our own lower case compares it, by which attempts are counted. The
 * database's may find more: some take `İ` for `i`, and every such spelling of an address would
 * bring its own ten attempts.
 */
async function findAccount(accounts: Accounts, email: string): Promise<Credentials | undefined> {
  const found = await accounts.findCredentials(email);
  return found?.user.email.toLowerCase() === email.toLowerCase() ? found : undefined;
}

function addSetRole(app: FastifyInstance, deps: UserDeps): void {
  const { accounts, authenticate } = deps;
  app.put<{ Params: IdParams; Body: RoleBody }>(
    '/users/:id/role',
    { ...SET_ROLE, onRequest: authenticate },
    async (request, reply) => {
      const author = identityOf(request);
      if (author.role !== 'admin') return sendProblem(reply, 'forbidden');
      const id = parseUserId(request.params.id);
      const { role } = request.body;
      const user = id === undefined ? undefined : await accounts.setRole(id, role);
      if (user === undefined) return sendProblem(reply, 'not-found');
      const change = { request_id: request.id, author: author.userId, user_id: user.id, role };
      app.edgeLog.info(change, 'a role was changed');
      return userJson(user);
    },
  );
}
