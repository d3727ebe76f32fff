/** What a browser is told of pages. Answers of the API need none of it: nothing renders them. */
import { createHash } from 'node:crypto';

import helmet from '@fastify/helmet';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Adds the headers to all that a scope serves; call it before its routes. */
export async function addPageSecurity(scope: FastifyInstance): Promise<void> {
  await scope.register(helmet, {
    // Below: it names the hashes of what the page itself holds.
    contentSecurityPolicy: false,
    // Whether there is TLS is for the proxy in front to say; for a year, of the whole host.
    strictTransportSecurity: false,
  });
  scope.addHook('onSend', addPolicy);
}

/** A content security policy that lets a page load nothing from elsewhere. */
async function addPolicy(
  _request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  const type = String(reply.getHeader('content-type'));
  if (!type.startsWith('text/html') || typeof payload !== 'string') return payload;
  const policy = [
    `default-src 'none'`,
    `script-src 'self' ${inlineHashes(payload)}`,
    `style-src 'self' 'unsafe-inline'`,
    `img-src 'self' data:`,
    `font-src 'self' data:`,
    `connect-src 'self'`,
    `base-uri 'none'`,
    `form-action 'self'`,
    `frame-ancestors 'none'`,
  ];
  reply.header('content-security-policy', policy.join('; '));
  return payload;
}

function inlineHashes(html: string): string {
  return [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)]
    .map(([, source = '']) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`)
    .join(' ');
}
