/** The operator's page at /admin. Its files are anybody's to read; its data needs a token. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { readPageFiles } from './page-files.ts';
import type { PageFile } from './page-files.ts';
import { addPageSecurity } from './page-security.ts';
import { sendProblem } from './problem.ts';

/** Files of ours, the same for all: what a limit would save is less than what counting costs. */
const UNCOUNTED = { config: { uncounted: true } } as const;

/** Adds GET /admin and the files of the page. */
export async function addAdminPageRoutes(app: FastifyInstance): Promise<void> {
  const { index, files } = readPageFiles();
  await app.register(async (pages) => {
    await addPageSecurity(pages, 'own');
    pages.get('/admin', UNCOUNTED, async (request, reply) => sendFile(request, reply, index));
    // Relative addresses of the page would lead elsewhere.
    pages.get('/admin/', UNCOUNTED, async (_request, reply) => reply.redirect('../admin', 308));
    pages.get<{ Params: { file: string } }>(
      '/admin/page/:file',
      UNCOUNTED,
      async (request, reply) => {
        const file = files.get(request.params.file);
        return file === undefined
          ? sendProblem(reply, 'not-found')
          : sendFile(request, reply, file);
      },
    );
  });
}

/** Kept by browsers, and asked about each time: an upgrade shows at once, and whole. */
function sendFile(request: FastifyRequest, reply: FastifyReply, file: PageFile): FastifyReply {
  reply.header('cache-control', 'no-cache').header('etag', file.tag);
  const known = request.headers['if-none-match']?.split(',').map((tag) => tag.trim()) ?? [];
  if (known.includes(file.tag)) return reply.code(304).send();
  return reply.header('content-type', file.type).send(file.text);
}
