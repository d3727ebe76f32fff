import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';

const HOT_PRODUCT = '00000000-0000-7000-8000-000000000001';
const REDIS_PASSWORD = 'redis-p4ssw0rd';
/** One for each way to send a password. */
const PASSWORDS = {
  right: 'right-p4ssw0rd',
  wrong: 'wrong-p4ssw0rd',
  again: 'again-p4ssw0rd',
  malformed: 'malformed-p4ssw0rd',
  nested: 'nested-p4ssw0rd',
  unknownField: 'unknown-p4ssw0rd',
  query: 'query-p4ssw0rd',
  noHttp: 'bytes-p4ssw0rd',
  header: 'header-p4ssw0rd',
  outage: 'outage-p4ssw0rd',
};

const log: string[] = [];
let dataDir = '';
let server: ServerProcess;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'hedonify-secrets-'));
  server = await ServerProcess.start({
    databaseUrl: null,
    env: {
      DATA_DIR: dataDir,
      // Generated, as in the embedded mode.
      JWT_SECRET: '',
      LOG_LEVEL: 'trace',
      SHARDS: '2',
      LOGIN_ATTEMPTS_PER_MINUTE: '0',
      // Nobody is there.
      REDIS_URL: `redis://:${REDIS_PASSWORD}@127.0.0.1:1`,
    },
    onLine: (line) => log.push(line),
  });
});

afterAll(async () => {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

interface Call {
  readonly method?: string;
  /** Sent as JSON unless it is text already. */
  readonly body?: object | string;
  readonly headers?: Record<string, string>;
}

const JSON_TYPE = { 'content-type': 'application/json' };

async function call(path: string, { body, headers, method = 'POST' }: Call = {}) {
  const payload = typeof body === 'object' ? JSON.stringify(body) : body;
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { ...(payload === undefined ? {} : JSON_TYPE), ...headers },
    ...(payload === undefined ? {} : { body: payload }),
  });
  const text = await response.text();
  return { status: response.status, text };
}

async function login(email: string, password: string): Promise<string> {
  const { status, text } = await call('/users/login', { body: { email, password } });
  expect(status, text).toBe(200);
  const session: { token: string } = JSON.parse(text);
  return session.token;
}

async function sendBytes(bytes: string): Promise<void> {
  const { port, hostname } = new URL(server.url);
  await new Promise<void>((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('data', () => undefined);
    socket.on('close', () => resolve());
  });
}

/** Kills the embedded PostgreSQL, so that a login meets the outage. */
async function loseDatabase(): Promise<void> {
  const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
  const pid = Number((await readFile(pidFile, 'utf8')).split('\n', 1)[0]);
  process.kill(pid, 'SIGKILL');
  const body = { email: 'ann@shop.test', password: PASSWORDS.outage };
  const attempt = async (): Promise<number> => (await call('/users/login', { body })).status;
  await until('PostgreSQL is lost', async () => (await attempt()) === 503);
  await until('PostgreSQL is back', async () => (await attempt()) === 401);
  const ready = () => call('/health/ready', { method: 'GET' });
  await until('orders are decided again', async () => (await ready()).status === 200);
}

test('no password, token, key or hash is in the log of a whole run, at the lowest level', async () => {
  const ann = { username: 'ann', email: 'ann@shop.test', password: PASSWORDS.right };
  expect((await call('/users/register', { body: ann })).status).toBe(201);
  const again = { ...ann, password: PASSWORDS.again };
  expect((await call('/users/register', { body: again })).status).toBe(409);
  const token = await login(ann.email, PASSWORDS.right);
  const adminToken = await login('admin@demo.test', 'demo-password-1');
  const bearer = { authorization: `Bearer ${token}` };

  const items = [{ product_id: HOT_PRODUCT, quantity: 1 }];
  const keyed = { ...bearer, 'idempotency-key': 'once' };
  expect((await call('/orders', { body: { items }, headers: keyed })).status).toBe(201);
  const me = await call('/users/me', { method: 'GET', headers: bearer });
  const { id }: { id: string } = JSON.parse(me.text);
  const admin = { authorization: `Bearer ${adminToken}` };
  const grant = { method: 'PUT', body: { role: 'merchant' }, headers: admin };
  expect((await call(`/users/${id}/role`, grant)).status).toBe(200);

  const bad: readonly [path: string, call: Call, status: number][] = [
    ['/users/login', { body: { email: ann.email, password: PASSWORDS.wrong } }, 401],
    ['/users/login', { body: `{"password": "${PASSWORDS.malformed}` }, 400],
    ['/users/login', { body: { email: ann.email, password: [PASSWORDS.nested] } }, 400],
    ['/users/login', { body: { email: 'x', password: 'y', pass: PASSWORDS.unknownField } }, 400],
    [`/users/login?password=${PASSWORDS.query}`, { body: {} }, 400],
    [`/nowhere?token=${token}`, { headers: bearer }, 404],
    ['/orders', { headers: { authorization: `Bearer ${token}x` } }, 401],
    ['/orders', { headers: { authorization: `Basic ${PASSWORDS.header}` } }, 401],
    [`/orders/${token}`, { method: 'GET', headers: bearer }, 400],
    ['/orders', { body: { items: [], token }, headers: bearer }, 400],
    ['/orders', { body: `${token}`, headers: { ...bearer, 'x-request-id': 'the-last-one' } }, 400],
  ];
  for (const [path, options, status] of bad) {
    const answer = await call(path, options);
    expect(answer.status, answer.text).toBe(status);
  }
  await sendBytes(`POST /users/login ${PASSWORDS.noHttp}\r\n\r\n`);
  await loseDatabase();
  expect(await server.stop()).toBe(0);

  const text = log.join('\n');
  // What is not there was looked for in the right place.
  for (const told of ['the-last-one', 'bad-credentials', 'Redis is away', 'stopped', '"err":{']) {
    expect(text).toContain(told);
  }
  const jwtSecret = (await readFile(join(dataDir, 'jwt-secret'), 'utf8')).trim();
  const databasePassword = (await readFile(join(dataDir, 'postgres-password'), 'utf8')).trim();
  expect(Math.min(jwtSecret.length, databasePassword.length)).toBeGreaterThan(20);
  const secrets = {
    ...PASSWORDS,
    redis: REDIS_PASSWORD,
    jwtSecret,
    databasePassword,
    hash: '$argon2id$',
    token: token.split('.')[2],
    adminToken: adminToken.split('.')[2],
    claims: token.split('.')[1],
    cancelKey: '"secretKey"',
  };
  const leaked = Object.entries(secrets).filter(
    ([, secret]) => secret === undefined || text.includes(secret),
  );
  expect(leaked.map(([name]) => name)).toEqual([]);
});
