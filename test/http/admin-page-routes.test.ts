import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

import { expectProblem } from './expect-problem.ts';
import { TestApp } from './fake-ports.ts';

const SOURCES = readdirSync(resolve(import.meta.dirname, '../../src/page'));
const MODULES = SOURCES.filter((name) => name.endsWith('.ts'));
/** What a bare name in an import becomes by the page's import map. */
const MAPPED = new Map([['uplot', 'uPlot.esm.js']]);

describe('the page at /admin', () => {
  test('is anybody to read and lets a browser run and show files of ours alone', async () => {
    const page = await new TestApp().get('/admin');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const [, map = ''] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(page.body) ?? [];
    const hash = createHash('sha256').update(map).digest('base64');
    expect(String(page.headers['content-security-policy']).split('; ').toSorted()).toEqual([
      `base-uri 'none'`,
      `connect-src 'self'`,
      `default-src 'none'`,
      `form-action 'none'`,
      `frame-ancestors 'none'`,
      `img-src 'self'`,
      `require-trusted-types-for 'script'`,
      `script-src 'self' 'sha256-${hash}'`,
      `style-src 'self'`,
      `trusted-types 'none'`,
    ]);
    expect(page.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
    });
    expect(page.headers).not.toHaveProperty('strict-transport-security');
    expect(page.body).not.toMatch(/https?:|\bon\w+=|style=/);
  });

  test('names files that are there, relative to it, so that a proxy may add a prefix', async () => {
    const app = new TestApp();
    const { body } = await app.get('/admin');
    const addresses = [...body.matchAll(/(?:src|href|"uplot":) ?=?"(?:\.\/)?([^"]+)"/g)];
    const named = addresses.map(([, address = '']) => address);
    expect(named).toHaveLength(5);
    for (const address of named) {
      expect(address).toMatch(/^admin\/page\/[\w.-]+$/);
      expect((await app.get(`/${address}`)).statusCode).toBe(200);
    }
    const slashed = await app.get('/admin/');
    expect([slashed.statusCode, slashed.headers.location]).toEqual([308, '../admin']);
  });

  test('is made of modules whose imports are all served, as JavaScript without types', async () => {
    const app = new TestApp();
    expect(MODULES.length).toBeGreaterThan(20);
    for (const name of MODULES) {
      const { statusCode, headers, body } = await app.get(`/admin/page/${name}`);
      expect([name, statusCode]).toEqual([name, 200]);
      expect(headers['content-type']).toBe('text/javascript; charset=utf-8');
      expect(body).not.toMatch(/\binterface \w+ \{|\bimport type\b/);
      for (const [, from = ''] of body.matchAll(/\bfrom '([^']+)'/g)) {
        const file = MAPPED.get(from) ?? from.replace('./', '');
        expect([...MODULES, ...MAPPED.values()], `${name} imports ${from}`).toContain(file);
      }
    }
  });

  test.each(['uPlot.esm.js', 'uPlot.min.css', 'page.css', 'icon.svg'])(
    'brings %s, which browsers keep and ask about',
    async (name) => {
      const app = new TestApp();
      const first = await app.get(`/admin/page/${name}`);
      expect(first.statusCode).toBe(200);
      expect(first.body.length).toBeGreaterThan(100);
      expect(first.headers['cache-control']).toBe('no-cache');
      const tag = String(first.headers.etag);
      expect(tag).toMatch(/^"[\w-]{20,}"$/);
      for (const known of [tag, `"other", ${tag}`]) {
        const again = await app.get(`/admin/page/${name}`, { 'if-none-match': known });
        expect([again.statusCode, again.body]).toEqual([304, '']);
        expect(again.headers.etag).toBe(tag);
      }
      const other = await app.get(`/admin/page/${name}`, { 'if-none-match': '"other"' });
      expect(other.statusCode).toBe(200);
    },
  );

  test.each(['nowhere.ts', 'tsconfig.json', 'index.html', '..%2fmain.ts', '__proto__', ''])(
    'has no file %j: only what was read at the start is served',
    async (name) => {
      const { statusCode, body } = await new TestApp().get(`/admin/page/${name}`);
      expect(statusCode).toBe(404);
      expect(body).not.toContain('compilerOptions');
    },
  );

  test('is not counted by RATE_LIMIT_PER_MINUTE, unlike an address that leads nowhere', async () => {
    const app = new TestApp({}, { rateLimitPerMinute: 1 });
    for (const url of ['/admin', '/admin', '/admin/page/main.ts', '/admin/page/page.css']) {
      expect((await app.get(url)).statusCode).toBe(200);
    }
    await app.get('/nowhere');
    expectProblem(await app.get('/nowhere'), 'rate-limited');
  });
});
