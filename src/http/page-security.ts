/** What a browser is told of pages. Answers of the API need none of it: nothing renders them. */
import { createHash } from 'node:crypto';

import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/**
 * `reference`: a page of a package, which styles itself inline. `own`: what we wrote, which may run
 * and show files of ours only and can turn no text into markup, its own scripts' neither.
 */
export type PageKind = 'reference' | 'own';

const DIRECTIVES: Readonly<Record<PageKind, readonly string[]>> = {
  reference: [
    `style-src 'self' 'unsafe-inline'`,
    `img-src 'self' data:`,
    `font-src 'self' data:`,
    `form-action 'self'`,
  ],
  own: [
    `style-src 'self'`,
    `img-src 'self'`,
    // Its forms are read by its scripts: without them a password must not end in an address.
    `form-action 'none'`,
    `require-trusted-types-for 'script'`,
    `trusted-types 'none'`,
  ],
};

/** Adds the headers to all that a scope serves; call it before its routes. */
export async function addPageSecurity(scope: FastifyInstance, kind: PageKind): Promise<void> {
  await scope.register(helmet, {
    // Below: it names the hashes of what the page itself holds.
    contentSecurityPolicy: false,
    // Whether there is TLS is for the proxy in front to say; for a year, of the whole host.
    strictTransportSecurity: false,
  });
  scope.addHook('onSend', async (_request, reply, payload) => {
    const type = String(reply.getHeader('content-type'));
    if (type.startsWith('text/html') && typeof payload === 'string') {
      reply.header('content-security-policy', policyOf(payload, kind));
    }
    return payload;
  });
}

/** A content security policy that lets a page load nothing from elsewhere. */
function policyOf(html: string, kind: PageKind): string {
  return [
    `default-src 'none'`,
    `script-src 'self' ${inlineHashes(html)}`,
    `connect-src 'self'`,
    `base-uri 'none'`,
    `frame-ancestors 'none'`,
    ...DIRECTIVES[kind],
  ].join('; ');
}

function inlineHashes(html: string): string {
  return [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)]
    .map(([, source = '']) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`)
    .join(' ');
}
