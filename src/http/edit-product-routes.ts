/** PATCH and DELETE of a product: commands to its owner, answered after they are durable. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { EditProductOutcome } from '../domain/outcome.ts';
import type { Catalogue, EditProduct, OrderGateway } from '../domain/ports.ts';
import type { Product, ProductChanges } from '../domain/product.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { editedProduct } from './edited-product.ts';
import { schemaRef } from './json-schema.ts';
import { managedProduct } from './managed-product.ts';
import { sendProblem } from './problem.ts';
import { sendProduct } from './product-json.ts';
import { editProductBody, ifMatchHeaders, PRODUCT_BYTES_MAX } from './product-schemas.ts';
import type { EditProductBody } from './product-schemas.ts';
import { matchedVersions } from './product-tag.ts';
import { documented } from './route-doc.ts';
import { boundOf, movesOneEnd, windowIssue } from './sale-window.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the routes need. */
export interface EditProductDeps {
  readonly gateway: OrderGateway;
  readonly catalogue: Catalogue;
  readonly authenticate: AuthenticateHook;
}

/** Times that an edit is tried which rests on the product as it was read. */
const EDIT_TRIES_MAX = 3;

const EDIT = documented({
  operationId: 'editProduct',
  summary: 'Change a product; what is absent stays',
  tag: 'products',
  auth: 'required',
  params: idParams,
  headers: ifMatchHeaders,
  body: { schema: editProductBody, bytesMax: PRODUCT_BYTES_MAX },
  success: {
    status: 200,
    description: 'The product after the change; later changes may show as well.',
    schema: schemaRef('Product'),
    headers: { ETag: 'Weak: version and stock.' },
  },
  errors: [
    'forbidden',
    'product-not-found',
    'precondition-failed',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const ARCHIVE = documented({
  operationId: 'archiveProduct',
  summary: 'Take a product out of the catalogue; its orders stay',
  tag: 'products',
  auth: 'required',
  params: idParams,
  headers: ifMatchHeaders,
  success: {
    status: 204,
    description: 'The product is archived; also when it was before.',
    schema: null,
  },
  errors: [
    'forbidden',
    'product-not-found',
    'precondition-failed',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds PATCH and DELETE /products/{id}. */
export function addEditProductRoutes(app: FastifyInstance, deps: EditProductDeps): void {
  const { authenticate } = deps;

  app.patch<{ Params: IdParams; Body: EditProductBody }>(
    '/products/:id',
    { ...EDIT, onRequest: authenticate },
    async (request, reply) => {
      const changes = changesOf(request.body);
      if (Object.keys(changes).length === 0) {
        const issue = { path: 'body', message: 'must change something' };
        return sendProblem(reply, 'validation', { errors: [issue] });
      }
      const reason = request.body.reason ?? null;
      return edit(deps, { id: request.params.id, changes, reason }, reply);
    },
  );

  app.delete<{ Params: IdParams }>(
    '/products/:id',
    { ...ARCHIVE, onRequest: authenticate },
    async (request, reply) => {
      const product = await managedProduct(deps.catalogue, request.params.id, reply);
      if (product === undefined) return reply;
      // Before If-Match: the repeat of a request whose answer was lost names the version before.
      if (product.status === 'archived') return reply.code(204).send();
      const wanted = matchedVersions(request.raw.headers['if-match']);
      if (isPassed(product, wanted)) return sendPassed(reply, product.version);
      const outcome = await deps.gateway.editProduct({
        ...originOf(request),
        productId: product.id,
        ifVersion: wanted === null ? null : product.version,
        changes: { status: 'archived' },
        reason: null,
      });
      return outcome.type === 'edited' ? reply.code(204).send() : refuse(reply, outcome);
    },
  );
}

interface Edit {
  /** As the path has it. */
  readonly id: string;
  readonly changes: ProductChanges;
  readonly reason: string | null;
}

async function edit(deps: EditProductDeps, wish: Edit, reply: FastifyReply): Promise<FastifyReply> {
  const { changes, reason } = wish;
  const { request } = reply;
  const wanted = matchedVersions(request.raw.headers['if-match']);
  for (let tries = 0; tries < EDIT_TRIES_MAX; tries += 1) {
    const product = await managedProduct(deps.catalogue, wish.id, reply);
    if (product === undefined) return reply;
    if (isPassed(product, wanted)) return sendPassed(reply, product.version);
    const issue = windowIssue(product, changes);
    if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
    const outcome = await deps.gateway.editProduct({
      ...originOf(request),
      productId: product.id,
      ifVersion: wanted !== null || movesOneEnd(changes) ? product.version : null,
      changes,
      reason,
    });
    if (outcome.type === 'edited')
      return sendProduct(reply, await editedProduct(deps.catalogue, product.id));
    // Only the check of the sale window was for this version: it is made again.
    if (outcome.type !== 'version-differs' || wanted !== null) return refuse(reply, outcome);
  }
  return sendProblem(reply, 'overloaded');
}

function changesOf(body: EditProductBody): ProductChanges {
  const changes: { -readonly [K in keyof ProductChanges]: ProductChanges[K] } = {};
  if (body.name !== undefined) changes.name = body.name;
  if (body.description !== undefined) changes.description = body.description;
  if (body.price !== undefined) changes.price = body.price;
  if (body.status !== undefined) changes.status = body.status;
  if (body.per_customer_limit !== undefined) changes.perCustomerLimit = body.per_customer_limit;
  if (body.sale_starts_at !== undefined) changes.saleStartsAt = boundOf(body.sale_starts_at);
  if (body.sale_ends_at !== undefined) changes.saleEndsAt = boundOf(body.sale_ends_at);
  return changes;
}

function originOf(request: FastifyRequest): Pick<EditProduct, 'author' | 'traceparent'> {
  return { author: identityOf(request).userId, traceparent: traceparentOf(request) };
}

/** Versions only rise: one that was not committed when it was read nobody could have named. */
function isPassed(product: Product, wanted: readonly number[] | null): boolean {
  return wanted !== null && !wanted.includes(product.version);
}

function sendPassed(reply: FastifyReply, version: number): FastifyReply {
  return sendProblem(reply, 'precondition-failed', { version });
}

/** Total over the outcomes: a new one does not compile until it has an answer. */
function refuse(
  reply: FastifyReply,
  outcome: Exclude<EditProductOutcome, { type: 'edited' }>,
): FastifyReply {
  switch (outcome.type) {
    case 'refused':
      return sendProblem(reply, outcome.code);
    case 'version-differs':
      return sendPassed(reply, outcome.version);
    case 'shed':
      return sendProblem(reply, outcome.code);
    case 'unknown':
      return sendProblem(reply, 'outcome-unknown', { orderId: outcome.orderId });
    default:
      return unreachable(outcome);
  }
}
