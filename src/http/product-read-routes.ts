import type { FastifyInstance, FastifyRequest } from 'fastify';

import type { ErrorCode } from '../domain/errors.ts';
import { parseProductId, parseUserId } from '../domain/ids.ts';
import type { Catalogue, ProductFilter } from '../domain/ports.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { maySee } from './product-access.ts';
import { productJson, sendProduct } from './product-json.ts';
import { ifNoneMatchHeaders, listProductsQuery } from './product-schemas.ts';
import type { ListProductsQuery } from './product-schemas.ts';
import { isUnchanged, productTag } from './product-tag.ts';
import { documented } from './route-doc.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';

/** What the routes need. */
export interface ProductReadDeps {
  readonly catalogue: Catalogue;
  /** Reads the identity where one is given. */
  readonly authenticate: AuthenticateHook;
}

const LIST = documented({
  operationId: 'listProducts',
  summary: 'Products, newest first',
  tag: 'products',
  auth: 'optional',
  query: listProductsQuery,
  success: {
    status: 200,
    description: 'A page of products, at most a second old.',
    schema: pageSchemaOf('Product'),
  },
  errors: ['forbidden', 'database-unavailable'],
});

const GET = documented({
  operationId: 'getProduct',
  summary: 'One product',
  tag: 'products',
  auth: 'optional',
  params: idParams,
  headers: ifNoneMatchHeaders,
  success: {
    status: 200,
    description: 'The product.',
    schema: schemaRef('Product'),
    headers: { ETag: 'Weak: version and stock.' },
  },
  unchanged: 'The product is as `If-None-Match` names it.',
  errors: ['product-not-found', 'database-unavailable'],
});

/** Adds GET /products and GET /products/{id}. */
export function addProductReadRoutes(app: FastifyInstance, deps: ProductReadDeps): void {
  const { catalogue, authenticate } = deps;

  app.get<{ Querystring: ListProductsQuery }>(
    '/products',
    { ...LIST, onRequest: authenticate },
    async (request, reply) => {
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      const filter = filterOf(request);
      if (typeof filter === 'string') return sendProblem(reply, filter);
      return pageJson(await catalogue.listProducts(filter, page), productJson);
    },
  );

  app.get<{ Params: IdParams }>(
    '/products/:id',
    { ...GET, onRequest: authenticate },
    async (request, reply) => {
      const id = parseProductId(request.params.id);
      const product = id === undefined ? undefined : await catalogue.findProduct(id);
      if (product === undefined || !maySee(request.identity, product)) {
        return sendProblem(reply, 'product-not-found');
      }
      // May be kept, for who asked alone, and must be asked for each time: stock is sold meanwhile.
      reply.header('cache-control', 'private, no-cache');
      const tag = productTag(product);
      if (!isUnchanged(request.raw.headers['if-none-match'], tag))
        return sendProduct(reply, product);
      return reply.code(304).header('etag', tag).send();
    },
  );
}

/** The filter, or the code of the refusal: only merchants (their own) and admins see the rest. */
function filterOf(
  request: FastifyRequest<{ Querystring: ListProductsQuery }>,
): ProductFilter | ErrorCode {
  const { identity, query } = request;
  const q = query.q === undefined || query.q === '' ? null : query.q;
  const status = query.status ?? 'active';
  const merchantId = parseUserId(query.merchant_id ?? '') ?? null;
  if (status === 'active' || identity?.role === 'admin') return { q, merchantId, status };
  if (identity === null) return 'unauthenticated';
  const own = merchantId === null || merchantId === identity.userId;
  if (identity.role !== 'merchant' || !own) return 'forbidden';
  return { q, merchantId: identity.userId, status };
}
