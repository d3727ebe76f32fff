import type { FastifyInstance, FastifyReply } from 'fastify';

import type { CreateProductOutcome, NewProduct, ProductMaker } from '../domain/catalogue.ts';
import { unreachable } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import type { UserId } from '../domain/ids.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { sendProblem } from './problem.ts';
import { sendProduct } from './product-json.ts';
import { createProductBody, PRODUCT_BYTES_MAX } from './product-schemas.ts';
import type { CreateProductBody } from './product-schemas.ts';
import { documented } from './route-doc.ts';
import { boundOf, windowIssue } from './sale-window.ts';
import { keyHeaders } from './shared-schemas.ts';

/** What the route needs. */
export interface CreateProductDeps {
  readonly products: ProductMaker;
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'createProduct',
  summary: 'Add a product to the catalogue',
  tag: 'products',
  auth: 'required',
  headers: keyHeaders,
  body: { schema: createProductBody, bytesMax: PRODUCT_BYTES_MAX },
  success: {
    status: 201,
    description: 'The product; with a key that was used before, the product as it was made then.',
    schema: schemaRef('Product'),
    headers: {
      Location: 'The address of the product.',
      ETag: 'Weak: version and stock.',
      'Idempotency-Replayed': '`true` when the product was made by an earlier request.',
    },
  },
  errors: ['forbidden', 'idempotency-key-reused', 'database-unavailable', 'outcome-unknown'],
});

/** Adds POST /products. */
export function addCreateProductRoute(app: FastifyInstance, deps: CreateProductDeps): void {
  const { products, authenticate } = deps;

  app.post<{ Body: CreateProductBody }>(
    '/products',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const { userId: author, role } = identityOf(request);
      if (role === 'customer') return sendProblem(reply, 'forbidden');
      const merchantId = parseUserId(request.body.merchant_id ?? author) ?? author;
      if (merchantId !== author && role !== 'admin') return sendProblem(reply, 'forbidden');
      const product = newProduct(request.body, merchantId);
      const issue = windowIssue(product, product);
      if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
      const idempotencyKey = idempotencyKeyOf(request.raw.headers);
      return answer(reply, await products.createProduct({ author, idempotencyKey, product }));
    },
  );
}

function newProduct(body: CreateProductBody, merchantId: UserId): NewProduct {
  return {
    merchantId,
    name: body.name,
    description: body.description ?? '',
    price: body.price,
    stock: body.stock,
    perCustomerLimit: body.per_customer_limit ?? null,
    saleStartsAt: boundOf(body.sale_starts_at ?? null),
    saleEndsAt: boundOf(body.sale_ends_at ?? null),
    status: body.status ?? 'active',
  };
}

/** Total over the outcomes: a new one does not compile until it has an answer. */
function answer(reply: FastifyReply, outcome: CreateProductOutcome): FastifyReply {
  switch (outcome.type) {
    case 'created':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      reply.code(201).header('location', `/products/${outcome.product.id}`);
      return sendProduct(reply, outcome.product);
    case 'refused': {
      const message = 'must be the id of a merchant who has an account here';
      return sendProblem(reply, 'validation', { errors: [{ path: 'merchant_id', message }] });
    }
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    default:
      return unreachable(outcome);
  }
}
