/** /openapi.json, the reference page at /docs and the page of error codes. */
import scalar from '@scalar/fastify-api-reference';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { ERRORS } from '../domain/errors.ts';
import { addPageSecurity } from './page-security.ts';
import { documented } from './route-doc.ts';

const OPENAPI = documented({
  operationId: 'openapi',
  summary: 'This document',
  tag: 'operation',
  auth: 'none',
  success: {
    status: 200,
    description: 'An OpenAPI 3.1 document.',
    schema: { type: 'object', additionalProperties: true },
  },
  errors: [],
});

/** Adds the documents; call it after every other route, since it describes them. */
export async function addDocsRoutes(app: FastifyInstance): Promise<void> {
  let document: string | undefined;
  app.get('/openapi.json', OPENAPI, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger());
    return reply.header('content-type', 'application/json; charset=utf-8').send(document);
  });

  await app.register(async (pages) => {
    await addPageSecurity(pages, 'reference');
    pages.addHook('onSend', keepScripts);
    pages.get('/docs/errors', async (_request, reply) =>
      reply.header('content-type', 'text/html; charset=utf-8').send(errorsPage()),
    );
    await pages.register(scalar, {
      routePrefix: '/docs',
      configuration: {
        url: '/openapi.json',
        pageTitle: 'Hedonify API',
        withDefaultFonts: false,
        telemetry: false,
        agent: { disabled: true },
        mcp: { disabled: true },
        showDeveloperTools: 'never',
        hideClientButton: true,
      },
    });
  });
}

/** The script of the reference page is large and changes with the package only. */
async function keepScripts(
  _request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  const type = String(reply.getHeader('content-type'));
  if (type.startsWith('application/javascript')) {
    reply.header('cache-control', 'public, max-age=86400');
  }
  return payload;
}

/** The page that the `type` of every problem points at. */
function errorsPage(): string {
  const sections = Object.entries(ERRORS).map(([code, entry]) => {
    const { title, detail, retryable } = entry;
    const again = retryable ? 'The same request can succeed later.' : 'Change the request first.';
    return `<section id="${code}"><h2><code>${code}</code></h2><p>${title}. ${detail}</p><p>${again}</p></section>`;
  });
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Hedonify: error codes</title></head>
<body><main><h1>Error codes</h1>${sections.join('\n')}</main></body>
</html>`;
}
