import { randomUUID } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { METRICS } from '../../src/telemetry/metric-catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { send } from '../support/send.ts';
import { ServerProcess } from '../support/server.ts';
import { makeProducts, productIds } from '../support/shop.ts';
import { Shopper } from '../support/shopper.ts';
import { until } from '../support/until.ts';
import { parseExposition, valueOf } from '../telemetry/fake-sources.ts';
import { runProgram } from './outside-program.ts';
import { PrometheusServer } from './prometheus-server.ts';

const TOKEN = 'a-token-of-the-metrics-test';
const STOCK = 1000;
/** A rate needs two scrapes. */
const RECORD_MS_MAX = 20_000;
const folder = resolve(import.meta.dirname, '../../docker/prometheus');
const rulesOf = (name: string): { record?: string; alert?: string; expr: string }[] =>
  parse(readFileSync(resolve(folder, 'rules', name), 'utf8')).groups.flatMap(
    ({ rules }: { rules: object[] }) => rules,
  );
const [productId = '', otherId = ''] = productIds(2);

let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [productId, otherId], stock: STOCK });
  server = await ServerProcess.start({
    databaseUrl: database.url,
    env: { METRICS_TOKEN: TOKEN, SHARDS: '2' },
  });
});
afterAll(async () => {
  await server.stop();
  await database.close();
});

async function scrape(): Promise<string> {
  const response = await fetch(`${server.url}/metrics`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  expect(response.status).toBe(200);
  return response.text();
}

/** An order of each kind, carts and lists; the units that were sold. */
async function trade(): Promise<number> {
  const shopper = new Shopper(() => server.url);
  const body = { items: [{ product_id: productId, quantity: 1 }] };
  const key = randomUUID();
  const answers = [
    await shopper.send('POST', '/orders', { body, key }),
    await shopper.send('POST', '/orders', { body, key }),
    await shopper.checkOut(await shopper.fill([productId, 1], [otherId, 1])),
    await shopper.send('POST', '/orders', {
      body: { items: [{ product_id: productId, quantity: STOCK + 1 }] },
    }),
    await shopper.send('POST', '/orders', { body: { items: [] } }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 409, 400]);
  const cartId = await shopper.fill([productId, 1]);
  for (let n = 0; n < 3; n += 1) {
    await shopper.cart(cartId);
    await send(`${server.url}/products`, shopper);
  }
  return 3;
}

describe('a live scrape', () => {
  test('has every metric of the catalogue after a few orders, with the right numbers', async () => {
    const units = await trade();
    await until('every metric', async () => {
      const names = [...parseExposition(await scrape()).keys()];
      return Object.keys(METRICS).every((name) => names.includes(name));
    });
    const text = await scrape();
    const sum = (name: string): number =>
      [...(parseExposition(text).get(name)?.series.values() ?? [])].reduce((a, b) => a + b, 0);
    const orders = (outcome: string, code: string) =>
      valueOf(text, `hedonify_orders_total{outcome="${outcome}",code="${code}"}`);
    expect(orders('accepted', '')).toBe(2);
    expect(orders('replayed', '')).toBe(1);
    expect(orders('refused', 'out-of-stock')).toBe(1);
    expect(orders('rejected', 'validation')).toBe(1);
    expect(sum('hedonify_units_sold_total')).toBe(units);
    expect(sum('hedonify_holds_open')).toBe(2);
    expect(sum('hedonify_shard_serving')).toBe(2);
    expect(valueOf(text, 'hedonify_ready')).toBe(1);
    expect(valueOf(text, `hedonify_product_stock{product_id="${productId}"}`)).toBe(STOCK - 2);
    expect(sum('hedonify_batch_size')).toBeGreaterThan(0);
    expect(valueOf(text, 'hedonify_cache_lookups_total{cache="products",result="hit"}')).toBeGreaterThan(0); // prettier-ignore
  });

  test('is clean for promtool but for one name of the semantic conventions', async () => {
    const { output } = await runProgram('promtool', ['check', 'metrics'], await scrape());
    expect(output.trim().split('\n')).toEqual([
      'db_client_connection_count non-histogram and non-summary metrics should not have "_count" suffix',
    ]);
  });

  test('is not for whoever has no token', async () => {
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
  });
});

describe('the rules of docker/prometheus', () => {
  test('are sound for promtool', async () => {
    const paths = globSync('rules/*.yml', { cwd: folder }).map((path) => resolve(folder, path));
    const { code, output } = await runProgram('promtool', ['check', 'rules', ...paths]);
    expect(output).toContain('SUCCESS');
    expect(code).toBe(0);
  });

  test('fire when they should, and only then', { timeout: 120_000 }, async () => {
    const paths = globSync('tests/*.yml', { cwd: folder }).map((path) => resolve(folder, path));
    expect(paths.length).toBeGreaterThan(2);
    const { code, output } = await runProgram('promtool', ['test', 'rules', ...paths]);
    expect(output).not.toContain('FAILED');
    expect(code).toBe(0);
  });

  test('are answered by a Prometheus that scrapes the server', { timeout: 60_000 }, async () => {
    const target = new URL(server.url).host;
    const prometheus = await PrometheusServer.start({ target, token: TOKEN });
    try {
      await until('a scrape', async () => (await prometheus.query('up == 1')).length === 1);
      const recorded = rulesOf('recording.yml');
      expect(recorded.length).toBeGreaterThan(15);
      const isComplete = async (): Promise<boolean> => {
        await trade();
        const answers = await Promise.all(recorded.map(({ expr }) => prometheus.query(expr)));
        return answers.every(({ length }) => length > 0);
      };
      await until('every recorded series', isComplete, RECORD_MS_MAX);
      for (const { expr } of rulesOf('alerts.yml')) await prometheus.query(expr);
      expect(await prometheus.query('{__name__=~".+", exported_job!=""}')).toEqual([]);
      expect(await prometheus.query('{__name__=~".+", exported_instance!=""}')).toEqual([]);
    } finally {
      await prometheus.stop();
    }
  });
});
