import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { TestApp } from '../http/fake-ports.ts';
import { code, readTable } from './markdown-table.ts';

const TABLES = ['Accounts', 'Products', 'Carts', 'Orders', 'Webhooks', 'Admin', 'Operation'];
/** Told once, above the tables. */
const SHARED = new Set([
  'validation',
  'unauthenticated',
  'forbidden',
  'body-too-large',
  'unsupported-media-type',
  'rate-limited',
  'idempotency-key-reused',
  'internal',
  'overloaded',
  'database-unavailable',
  'outcome-unknown',
  'shutting-down',
]);

interface Document {
  readonly paths: Record<
    string,
    Record<string, { readonly responses: Record<string, { readonly description: string }> }>
  >;
}

interface Route {
  readonly route: string;
  /** Of its success. */
  readonly status: string | undefined;
  readonly codes: readonly string[];
}

const page = readFileSync(resolve(import.meta.dirname, '../../docs/api.md'), 'utf8');

function documentedRoutes(): Route[] {
  return TABLES.flatMap((heading) => readTable(page, heading)).map(
    ([route, , , success = '', codes = '']) => ({
      route: code(route),
      status: /^\d+/.exec(success)?.[0],
      codes: [...codes.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name).toSorted(),
    }),
  );
}

async function routesOfApp(): Promise<Route[]> {
  const { paths }: Document = (await new TestApp().get('/openapi.json')).json();
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => ({
      route: `${method.toUpperCase()} ${path}`,
      status: Object.keys(responses).find((status) => status.startsWith('2')),
      codes: Object.values(responses)
        .flatMap(({ description }) => [...description.matchAll(/^`([\w-]+)`: /gm)])
        .map(([, name = '']) => name)
        .filter((name) => !SHARED.has(name))
        .toSorted(),
    })),
  );
}

const byRoute = (a: Route, b: Route) => (a.route < b.route ? -1 : 1);

test('the tables of docs/api.md have each route of /openapi.json, its success and its refusals', async () => {
  const routes = await routesOfApp();
  expect(routes.length).toBeGreaterThan(30);
  expect(documentedRoutes().toSorted(byRoute)).toEqual(routes.toSorted(byRoute));
});

test('docs/api.md says which refusals its tables leave out', () => {
  const sentence = /^Refusals that [\s\S]*?shutting-down`/m.exec(
    page.slice(page.indexOf('## Reference')).replace(/^[\s\S]*?(?=Refusals that)/, ''),
  );
  const named = [...(sentence?.[0] ?? '').matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
  expect(new Set(named)).toEqual(SHARED);
});
