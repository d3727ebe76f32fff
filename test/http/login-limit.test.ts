import type { LightMyRequestResponse } from 'fastify';
import { fastify } from 'fastify';
import { describe, expect, test } from 'vitest';

import type { Credentials } from '../../src/domain/ports.ts';
import { DUMMY_PASSWORD_HASH } from '../../src/http/password-hash.ts';
import { createRateCounter } from '../../src/http/rate-counter.ts';
import { expectProblem } from './expect-problem.ts';
import { TestApp } from './fake-ports.ts';

const ANN = { username: 'ann', email: 'ann@example.test', password: 'correct horse' };
const LIMIT = 10;

interface Attempt {
  readonly email?: string;
  readonly password?: string;
  readonly from?: string;
  readonly headers?: Record<string, string>;
}

async function setUp(...options: ConstructorParameters<typeof TestApp>) {
  const app = new TestApp(...options);
  await app.post('/users/register', ANN);
  const login = (attempt: Attempt = {}): Promise<LightMyRequestResponse> => {
    const { email = ANN.email, password = ANN.password } = attempt;
    const { from = '192.0.2.1', headers = {} } = attempt;
    const payload = { email, password };
    return app.send({
      method: 'POST',
      url: '/users/login',
      payload,
      headers,
      remoteAddress: from,
    });
  };
  /** The statuses of attempts that follow each other. */
  const statuses = async (count: number, attempt: (n: number) => Attempt): Promise<number[]> => {
    const found: number[] = [];
    for (let n = 0; n < count; n += 1) found.push((await login(attempt(n))).statusCode);
    return found;
  };
  return { app, login, statuses };
}

const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status); // prettier-ignore

describe('attempts to log in', () => {
  test('are limited per account, from however many addresses and in whatever case', async () => {
    const { statuses } = await setUp();
    const spelled = (n: number) => (n % 2 === 0 ? 'ANN@example.test' : 'ann@Example.TEST');
    const guess = (n: number) => ({ email: spelled(n), password: 'x', from: `192.0.2.${n}` });
    expect(await statuses(LIMIT + 2, guess)).toEqual([...times(LIMIT, 401), 429, 429]);
  });

  test('are limited per address, over however many accounts, known or not', async () => {
    const { statuses } = await setUp();
    const guess = (n: number) => ({ email: `user${n}@example.test` });
    expect(await statuses(LIMIT + 2, guess)).toEqual([...times(LIMIT, 401), 429, 429]);
  });

  test('count when they succeed as when they fail', async () => {
    const { statuses } = await setUp();
    const alternate = (n: number) => ({ password: n % 2 === 0 ? ANN.password : 'wrong' });
    expect(await statuses(LIMIT + 1, alternate)).toEqual([
      ...Array.from({ length: LIMIT }, (_, n) => (n % 2 === 0 ? 200 : 401)),
      429,
    ]);
  });

  test('over the limit are told when to come back, and cost neither a look-up nor a hash', async () => {
    const { app, login, statuses } = await setUp();
    await statuses(LIMIT, () => ({}));
    const verified = app.passwords.verified.length;
    const refused = await login();
    expectProblem(refused, 'rate-limited');
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(app.passwords.verified).toHaveLength(verified);
  });

  test('of an address that is over its limit do not use up those of an account', async () => {
    const { login, statuses } = await setUp();
    await statuses(LIMIT, (n) => ({ email: `user${n}@example.test` }));
    expect(await statuses(3 * LIMIT, () => ({}))).toEqual(times(3 * LIMIT, 429));
    expect((await login({ from: '192.0.2.2' })).statusCode).toBe(200);
  });

  test('of one IPv6 network count together, and an IPv4 address by any name', async () => {
    const { statuses } = await setUp();
    const guess = (from: (n: number) => string) => (n: number) => ({
      email: `${from(0)}${n}@example.test`,
      from: from(n),
    });
    const network = guess((n) => `2001:db8::${n.toString(16)}:1`);
    expect(await statuses(LIMIT + 1, network)).toEqual([...times(LIMIT, 401), 429]);
    expect(await statuses(1, () => ({ from: '2001:db8:0:1::1' }))).toEqual([200]);
    const mapped = guess((n) => (n % 2 === 0 ? '::ffff:192.0.2.7' : '192.0.2.7'));
    expect(await statuses(LIMIT + 1, mapped)).toEqual([...times(LIMIT, 401), 429]);
  });

  test('are unlimited at 0', async () => {
    const { statuses } = await setUp({}, { loginAttemptsPerMinute: 0 });
    expect(await statuses(3 * LIMIT, () => ({}))).toEqual(times(3 * LIMIT, 200));
  });

  test('with a spelling that only the database takes for the same are to nobody', async () => {
    const { app } = await setUp();
    const ann = app.accounts.rows[0];
    // As lower() of PostgreSQL under glibc: each spelling would be an account of its own to count.
    const find = async (email: string): Promise<Credentials | undefined> =>
      email.replaceAll('İ', 'i') === 'lisa@example.test' ? ann : undefined;
    const lenient = Object.assign(app.accounts, { findCredentials: find });
    const other = await setUp({ accounts: lenient });
    expectProblem(await other.login({ email: 'lİsa@example.test' }), 'bad-credentials');
    expect(other.app.passwords.verified).toEqual([DUMMY_PASSWORD_HASH]);
  });
});

describe('the address behind a proxy', () => {
  const forwarded = (from: string) => ({ headers: { 'x-forwarded-for': from } });

  test('is the last one named, whatever the client says before it', async () => {
    const { statuses } = await setUp({}, { trustProxy: true });
    const guess = (n: number) => ({
      email: `user${n}@example.test`,
      ...forwarded(`198.51.100.${n}, 203.0.113.9`),
    });
    expect(await statuses(LIMIT + 1, guess)).toEqual([...times(LIMIT, 401), 429]);
    expect(await statuses(1, () => forwarded('203.0.113.9, 203.0.113.10'))).toEqual([200]);
  });

  test('is its own where no proxy is trusted', async () => {
    const { statuses } = await setUp();
    const guess = (n: number) => ({
      email: `user${n}@example.test`,
      ...forwarded(`198.51.100.${n}`),
    });
    expect(await statuses(LIMIT + 1, guess)).toEqual([...times(LIMIT, 401), 429]);
  });

  test('that is none counts as one, whatever it says', async () => {
    const { statuses } = await setUp({}, { trustProxy: true });
    const guess = (n: number) => ({ email: `user${n}@example.test`, ...forwarded(`host-${n}`) });
    expect(await statuses(LIMIT + 1, guess)).toEqual([...times(LIMIT, 401), 429]);
  });
});

describe('with Redis', () => {
  test('that fails, attempts are counted here, and nobody is kept out', async () => {
    const away = {
      asked: 0,
      defineCommand: (name: string) => Object.assign(away, { [name]: away.fail }),
      fail: (...args: unknown[]) => {
        away.asked += 1;
        const callback = args.at(-1);
        if (typeof callback === 'function') callback(new Error('Connection is closed.'), null);
      },
    };
    const { statuses } = await setUp({ redis: away });
    expect(await statuses(LIMIT + 1, () => ({}))).toEqual([...times(LIMIT, 200), 429]);
    expect(away.asked).toBe(2 * LIMIT + 1);
  });
});

test('a counter holds no more keys than its bound (I9)', async () => {
  const app = fastify();
  const count = await createRateCounter(app, {
    name: 'test',
    max: 1,
    keyOf: ({ url }) => url,
    redis: null,
    keysMax: 10,
  });
  app.get('/:key', async (request) => ({ wait: await count(request) }));
  const waits = async (key: number) => {
    const { wait } = (await app.inject(`/${key}`)).json<{ wait: number | null }>();
    return wait !== null;
  };
  expect([await waits(0), await waits(0)]).toEqual([false, true]);
  for (let key = 1; key <= 10; key += 1) expect(await waits(key)).toBe(false);
  expect(await waits(10)).toBe(true);
  expect(await waits(0)).toBe(false);
});
