import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { ChangeStockOutcome } from '../domain/outcome.ts';
import type { Catalogue, ChangeStock, OrderGateway } from '../domain/ports.ts';
import type { Product } from '../domain/product.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { managedProduct } from './managed-product.ts';
import { sendProblem } from './problem.ts';
import { sendProduct } from './product-json.ts';
import { CHANGE_STOCK_BYTES_MAX, changeStockBody } from './product-schemas.ts';
import type { ChangeStockBody } from './product-schemas.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the route needs. */
export interface ChangeStockDeps {
  readonly gateway: OrderGateway;
  readonly catalogue: Catalogue;
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'changeStock',
  summary: 'Add to or remove from the stock of a product',
  tag: 'products',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: changeStockBody, bytesMax: CHANGE_STOCK_BYTES_MAX },
  success: {
    status: 200,
    description: 'The product; `available` is the stock right after this change.',
    schema: schemaRef('Product'),
    headers: {
      ETag: 'Weak: version and stock.',
      'Idempotency-Replayed': '`true` when an earlier request made the change.',
    },
  },
  errors: [
    'forbidden',
    'product-not-found',
    'insufficient-stock',
    'idempotency-key-reused',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /products/{id}/stock. */
export function addChangeStockRoute(app: FastifyInstance, deps: ChangeStockDeps): void {
  const { gateway, catalogue, authenticate } = deps;

  app.post<{ Params: IdParams; Body: ChangeStockBody }>(
    '/products/:id/stock',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const product = await managedProduct(catalogue, request.params.id, reply);
      if (product === undefined) return reply;
      const { headers } = request.raw;
      const change: ChangeStock = {
        author: identityOf(request).userId,
        idempotencyKey: idempotencyKeyOf(headers),
        productId: product.id,
        delta: request.body.delta,
        reason: request.body.reason,
        traceparent: traceparentOf(request),
      };
      return new StockAnswer(product, change).send(reply, await gateway.changeStock(change));
    },
  );
}

/** Answers one stock change; total over the outcomes. */
class StockAnswer {
  readonly #product: Product;
  readonly #change: ChangeStock;

  constructor(product: Product, change: ChangeStock) {
    this.#product = product;
    this.#change = change;
  }

  send(reply: FastifyReply, outcome: ChangeStockOutcome): FastifyReply {
    switch (outcome.type) {
      case 'changed':
        if (outcome.replayed) reply.header('idempotency-replayed', 'true');
        return sendProduct(reply, { ...this.#product, available: outcome.available });
      case 'refused':
        return this.#refuse(reply, outcome);
      case 'key-reused':
        return sendProblem(reply, 'idempotency-key-reused');
      case 'shed':
        return sendProblem(reply, outcome.code);
      case 'unknown':
        return sendProblem(reply, 'outcome-unknown', { orderId: outcome.orderId });
      default:
        return unreachable(outcome);
    }
  }

  #refuse(reply: FastifyReply, outcome: ChangeStockOutcome & { type: 'refused' }): FastifyReply {
    if (outcome.code === 'product-not-found') return sendProblem(reply, outcome.code);
    const { productId, delta } = this.#change;
    const items = [{ productId, requested: -delta, available: outcome.available }];
    return sendProblem(reply, outcome.code, { items });
  }
}
