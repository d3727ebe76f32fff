/**
 * The compose stack as far as it runs without containers: its PostgreSQL settings, roles and Redis
 * settings on real servers, the app on top of them, and its dashboards against a live /metrics.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withClient } from '../../src/db/client.ts';
import { HOT_PRODUCT_ID } from '../../src/db/seed.ts';
import { METRICS } from '../../src/telemetry/metric-catalogue.ts';
import { SUFFIXES, askedExpressions, complaints } from '../gates/asked-metrics.ts';
import { readSelectors } from '../gates/promql.ts';
import { freePort } from '../support/free-port.ts';
import { ServerProcess } from '../support/server.ts';
import { Shopper } from '../support/shopper.ts';
import { until } from '../support/until.ts';
import { parseExposition } from '../telemetry/fake-sources.ts';
import { runProgram } from './outside-program.ts';
import { StackPostgres } from './stack-postgres.ts';

const docker = resolve(import.meta.dirname, '../../docker');
const TOKEN = 'a-token-of-the-stack-test';

let postgres: StackPostgres;
let redis: ChildProcess;
let redisUrl: string;
let server: ServerProcess;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hedonify-docker-'));
  postgres = await StackPostgres.start();
  const port = await freePort();
  redisUrl = `redis://127.0.0.1:${port}/0`;
  const address = ['--port', `${port}`, '--bind', '127.0.0.1'];
  redis = spawn('/usr/bin/redis-server', [join(docker, 'redis/redis.conf'), ...address], {
    cwd: directory,
    stdio: 'ignore',
  });
  server = await ServerProcess.start({
    databaseUrl: postgres.urlOf('hedonify'),
    env: { REDIS_URL: redisUrl, METRICS_TOKEN: TOKEN, SEED_DEMO: 'true', SHARDS: '2' },
  });
});
afterAll(async () => {
  await server.stop();
  const ended = once(redis, 'exit');
  redis.kill('SIGKILL');
  await ended;
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
});

async function scrape(): Promise<string> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  return (await fetch(`${server.url}/metrics`, { headers })).text();
}

describe('the app on the PostgreSQL of the stack', () => {
  test('sells as a role that is no superuser, which made its own schema (I2)', async () => {
    const shopper = new Shopper(() => server.url);
    const cartId = await shopper.fill([HOT_PRODUCT_ID, 1]);
    expect((await shopper.checkOut(cartId)).status).toBe(201);
    const connection = { databaseUrl: postgres.urlOf('hedonify'), applicationName: 'test' };
    const { rows } = await withClient(connection, (client) =>
      client.query(/* sql */ `
        SELECT rolsuper OR rolcreatedb OR rolcreaterole AS powers, current_setting('fsync') AS fsync,
               (SELECT datlocprovider::text || datlocale FROM pg_database
                 WHERE datname = current_database()) AS locale
          FROM pg_roles WHERE rolname = current_user`),
    );
    expect(rows).toEqual([{ powers: false, fsync: 'on', locale: 'bC.UTF-8' }]);
  });

  test('is seen by a role that may look at the server and at no row', async () => {
    const connection = { databaseUrl: postgres.urlOf('exporter'), applicationName: 'test' };
    await withClient(connection, async (client) => {
      const one = async (text: string): Promise<unknown> => (await client.query(text)).rows.length;
      expect(await one('SELECT FROM pg_stat_statements LIMIT 1')).toBe(1);
      expect(await one('SELECT FROM pg_ls_waldir() LIMIT 1')).toBe(1);
      expect(await one("SELECT FROM pg_stat_activity WHERE application_name LIKE 'hedonify-shard-%' AND query <> '<insufficient privilege>' LIMIT 1")).toBe(1); // prettier-ignore
      await expect(client.query('SELECT FROM orders')).rejects.toThrow('permission denied');
    });
  });
});

test('Redis of the stack keeps nothing and is bounded', async () => {
  const client = new Redis(redisUrl);
  const setting = async (name: string): Promise<unknown> => {
    const answer: unknown = await client.call('CONFIG', 'GET', name);
    return Array.isArray(answer) ? answer[1] : answer;
  };
  try {
    expect(await setting('save')).toBe('');
    expect(await setting('appendonly')).toBe('no');
    expect(await setting('maxmemory')).toBe(`${96 * 1024 * 1024}`);
    expect(await setting('maxmemory-policy')).toBe('allkeys-lru');
  } finally {
    client.disconnect();
  }
});

describe('dashboards and rules', () => {
  test('name metrics and labels that a live /metrics has', async () => {
    const ours = new Set<string>(Object.keys(METRICS));
    const base = (name: string): string => {
      const suffix = SUFFIXES.find((it) => name.endsWith(it) && !ours.has(name)) ?? '';
      return name.slice(0, name.length - suffix.length);
    };
    const expressions = askedExpressions()
      .flatMap(({ expr }) => (readSelectors(expr).every(({ metric }) => ours.has(base(metric))) ? [expr] : [])); // prettier-ignore
    expect(expressions.length).toBeGreaterThan(80);
    const lost = async (): Promise<string[]> => {
      const live = new Map<string, ReadonlySet<string>>();
      for (const [name, { labels, kind }] of parseExposition(await scrape())) {
        const names = kind === 'histogram' ? SUFFIXES.map((suffix) => name + suffix) : [name];
        for (const it of names) live.set(it, new Set([...labels, 'le', 'job', 'instance']));
      }
      return expressions.flatMap((expr) => complaints(expr, live));
    };
    const shopper = new Shopper(() => server.url);
    await until('every series', async () => {
      const body = { items: [{ product_id: HOT_PRODUCT_ID, quantity: 1 }] };
      await shopper.send('POST', '/orders', { body });
      await shopper.send('GET', '/products');
      return (await lost()).length === 0;
    }).catch(async (cause: unknown) => {
      throw new Error((await lost()).join('\n'), { cause });
    });
  });

  test('are PromQL for promtool', async () => {
    const rules = askedExpressions().map(({ expr }, n) => ({
      record: `panel:n${n}`,
      // As Grafana fills them in.
      expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.+'),
    }));
    const path = join(directory, 'panels.yml');
    // JSON is YAML.
    await writeFile(path, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    const { code, output } = await runProgram('promtool', ['check', 'rules', path]);
    expect(output).toContain(`SUCCESS: ${rules.length} rules found`);
    expect(code).toBe(0);
  });

  test('belong to a configuration that promtool takes', async () => {
    const copy = join(directory, 'prometheus');
    await cp(join(docker, 'prometheus'), copy, { recursive: true });
    const path = join(copy, 'prometheus.yml');
    const text = await readFile(path, 'utf8');
    // The secret is a file of the container.
    await writeFile(path, text.replace('/run/secrets/metrics_token', path));
    const { code, output } = await runProgram('promtool', ['check', 'config', path]);
    expect(output).toMatch(/SUCCESS: \d+ rule files found/);
    expect(code).toBe(0);
  });
});

test('docker/init.sh makes secrets once, which nobody else on the machine can read', async () => {
  const copy = join(directory, 'docker');
  await cp(docker, copy, { recursive: true, filter: (path) => !/\.env$|secrets/.test(path) });
  const run = async (): Promise<string> => {
    const { code, output } = await runProgram('/bin/sh', [join(copy, 'init.sh')]);
    expect({ code, output }).toEqual({ code: 0, output: '' });
    return readFile(join(copy, '.env'), 'utf8');
  };
  const first = await run();
  const secrets = [...first.matchAll(/^\w+(?:SECRET|TOKEN|PASSWORD)=(.+)$/gm)].map((it) => it[1]);
  expect(secrets.filter((secret) => /^[0-9a-f]{64}$/.test(secret ?? '')).length).toBe(6);
  expect(new Set(secrets).size).toBe(6);
  expect(await run()).toBe(first);
  expect(first).toContain(
    `METRICS_TOKEN=${await readFile(join(copy, 'secrets/metrics_token'), 'utf8')}\n`,
  );
  const modes = [join(copy, '.env'), join(copy, 'secrets')].map(async (path) => (await stat(path)).mode & 0o077); // prettier-ignore
  expect(await Promise.all(modes)).toEqual([0, 0]);
  expect((await readdir(copy)).includes('.env.new')).toBe(false);
});
