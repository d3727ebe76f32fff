import { describe, expect, test } from 'vitest';

import { ERRORS } from '../../src/domain/errors.ts';
import { TestApp } from './fake-ports.ts';

interface Operation {
  readonly operationId: string;
  readonly security: Record<string, string[]>[];
  readonly parameters?: { readonly name: string; readonly in: string }[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Record<string, { schema: object }>;
  };
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { schema: object }> }
  >;
}

interface Document {
  readonly openapi: string;
  readonly components: { readonly schemas: Record<string, object> };
  readonly paths: Record<string, Record<string, Operation>>;
}

/** Successes that are no JSON. */
const NOT_JSON: ReadonlyMap<string, string> = new Map([
  ['GET /admin/events', 'text/event-stream'],
  ['GET /metrics', 'text/plain'],
]);

async function readDocument(): Promise<Document> {
  const response = await new TestApp().get('/openapi.json');
  expect(response.statusCode).toBe(200);
  expect(response.headers['content-type']).toMatch(/^application\/json/);
  return response.json();
}

/** What browsers show and programs have no use for. */
const PAGES = /^GET \/(?:docs.*|admin\/?|admin\/page\/.*)$/;

/** `GET /orders/{id}` of every line of Fastify's own route table, pages apart. */
async function routesOfApp(): Promise<string[]> {
  const app = await new TestApp().app;
  const table = app.printRoutes({ commonPrefix: false });
  const routes: string[] = [];
  const open: string[] = [];
  for (const line of table.split('\n')) {
    const match = /^([│ ]*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?/.exec(line);
    if (match === null) continue;
    const [, indent = '', part = '', methods = ''] = match;
    open.length = indent.length / 4;
    open.push(part);
    for (const method of methods.split(', ').filter((name) => name !== '' && name !== 'HEAD')) {
      routes.push(`${method} ${open.join('').replace(/:(\w+)/g, '{$1}')}`);
    }
  }
  return routes.filter((route) => !PAGES.test(route)).toSorted();
}

function operationsOf(document: Document): [string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );
}

describe('/openapi.json', () => {
  test('lists every route of the app and no other', async () => {
    const document = await readDocument();
    const listed = operationsOf(document).map(([name]) => name);
    expect(listed.toSorted()).toEqual(await routesOfApp());
    expect(listed).toContain('POST /orders');
  });

  test('is OpenAPI 3.1 whose references all resolve and whose operation ids are unique', async () => {
    const document = await readDocument();
    expect(document.openapi).toBe('3.1.0');
    const references = JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g);
    const names = new Set([...references].map(([, reference]) => reference));
    for (const name of names) {
      expect(Object.keys(document.components.schemas)).toContain(
        name?.replace('#/components/schemas/', ''),
      );
    }
    const ids = operationsOf(document).map(([, operation]) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('gives every route its success with a schema and its errors as problems', async () => {
    for (const [name, { responses }] of operationsOf(await readDocument())) {
      const statuses = Object.keys(responses);
      expect(statuses.filter((status) => status.startsWith('2'))).toHaveLength(1);
      expect(statuses, name).toEqual(expect.arrayContaining(['500', '503']));
      for (const [status, response] of Object.entries(responses)) {
        if (status === '204' || status === '304') {
          expect(response.content, `${name} ${status}`).toBeUndefined();
          continue;
        }
        const success = NOT_JSON.get(name) ?? 'application/json';
        const type = status.startsWith('2') ? success : 'application/problem+json';
        expect(response.content?.[type]?.schema, `${name} ${status}`).toBeDefined();
      }
    }
  });

  test('says of every route that it may be over a limit, but of those that nothing counts', async () => {
    const operations = operationsOf(await readDocument());
    const unlimited = operations.filter(([, { responses }]) => responses['429'] === undefined);
    expect(unlimited.map(([name]) => name)).toEqual([
      'GET /health/live',
      'GET /health/ready',
      'GET /metrics',
    ]);
  });

  test('names the path parameters, the security and the Idempotency-Key', async () => {
    const operations = new Map(operationsOf(await readDocument()));
    for (const [name, { parameters = [] }] of operations) {
      const inPath = parameters.filter((parameter) => parameter.in === 'path');
      const named = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      expect(inPath.map((parameter) => parameter.name)).toEqual(named);
    }
    const keyed = [
      'POST /orders',
      'POST /orders/{id}/cancel',
      'POST /orders/{id}/payment',
      'POST /orders/{id}/ship',
      'POST /orders/{id}/complete',
      'POST /products/{id}/stock',
      'POST /admin/products/{id}/pause',
      'POST /admin/products/{id}/resume',
      'POST /admin/shards/{n}/restart',
      'POST /admin/orders/{id}/release',
    ];
    for (const name of keyed) {
      const operation = operations.get(name);
      expect(operation?.security).toEqual([{ bearer: [] }]);
      expect(operation?.parameters).toContainEqual(
        expect.objectContaining({ in: 'header', name: 'idempotency-key' }),
      );
      expect(operation?.requestBody?.content['application/json']?.schema).toMatchObject({
        additionalProperties: false,
      });
    }
    expect(operations.get('GET /products')?.security).toEqual([{ bearer: [] }, {}]);
    expect(operations.get('POST /users/login')?.security).toEqual([]);
  });
});

test('a body is required unless the route can do without (POST /orders/{id}/cancel)', async () => {
  const bodies = operationsOf(await readDocument()).flatMap(([name, { requestBody }]) =>
    requestBody === undefined ? [] : [{ name, required: requestBody.required }],
  );
  expect(bodies).toContainEqual({ name: 'POST /orders', required: true });
  const optional = bodies.filter(({ required }) => !required).map(({ name }) => name);
  expect(optional.toSorted()).toEqual([
    'POST /carts',
    'POST /carts/{id}/checkout',
    'POST /orders/{id}/cancel',
    'POST /orders/{id}/complete',
    'POST /orders/{id}/payment',
    'POST /orders/{id}/ship',
  ]);
});

describe('the pages', () => {
  test('load nothing from elsewhere, and their policy would not let them', async () => {
    const app = new TestApp();
    const page = await app.get('/docs/');
    expect(page.statusCode).toBe(200);
    expect(page.body).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain(`default-src 'none'`);
    expect(policy).toContain(`connect-src 'self'`);
    expect(policy).toMatch(/script-src 'self' 'sha256-[\w+/=]+'/);
    expect(policy).not.toMatch(/https?:/);
    const [, script = ''] = /<script src="([^"]*)"/.exec(page.body) ?? [];
    const source = await app.get(`/docs/${script}`);
    expect(source.statusCode).toBe(200);
    expect(source.headers['content-type']).toMatch(/javascript/);
  });

  test('describe every error code where the type of a problem points', async () => {
    const page = await new TestApp().get('/docs/errors');
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    for (const code of Object.keys(ERRORS)) expect(page.body).toContain(`id="${code}"`);
  });

  test('tell browsers to guess no type, show them in no frame and tell nobody of them', async () => {
    const app = new TestApp();
    for (const url of ['/docs/', '/docs/errors']) {
      const { headers } = await app.get(url);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'SAMEORIGIN',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
      });
      // A browser would ask for TLS of the whole host from then on.
      expect(headers).not.toHaveProperty('strict-transport-security');
      expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    }
  });

  test('leave the answers of the API without their headers', async () => {
    const { headers } = await new TestApp().get('/openapi.json');
    expect(headers).not.toHaveProperty('content-security-policy');
    expect(headers).not.toHaveProperty('x-frame-options');
  });
});
