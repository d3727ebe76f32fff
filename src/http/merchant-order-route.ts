import type { FastifyInstance } from 'fastify';

import { parseProductId } from '../domain/ids.ts';
import type { MerchantOrders } from '../domain/merchant-order.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { pageSchemaOf } from './json-schema.ts';
import { orderJson } from './order-json.ts';
import { listMerchantOrdersQuery } from './order-schemas.ts';
import type { ListMerchantOrdersQuery } from './order-schemas.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';

/** What the route needs. */
export interface MerchantOrderDeps {
  readonly merchantOrders: MerchantOrders;
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'listMerchantOrders',
  summary: 'Orders of your products, newest first',
  tag: 'orders',
  auth: 'required',
  query: listMerchantOrdersQuery,
  success: {
    status: 200,
    description:
      'A page of orders, each with your lines and their total alone. It may hold fewer than `limit`, even none: only a `next_cursor` of null is the end.',
    schema: pageSchemaOf('Order'),
  },
  errors: ['forbidden', 'database-unavailable'],
});

/** Adds GET /merchant/orders. */
export function addMerchantOrderRoute(app: FastifyInstance, deps: MerchantOrderDeps): void {
  app.get<{ Querystring: ListMerchantOrdersQuery }>(
    '/merchant/orders',
    { ...OPTIONS, onRequest: deps.authenticate },
    async (request, reply) => {
      const { userId: merchantId, role } = identityOf(request);
      if (role !== 'merchant') return sendProblem(reply, 'forbidden');
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      const { status = null, product_id } = request.query;
      const productId = product_id === undefined ? null : (parseProductId(product_id) ?? null);
      const filter = { merchantId, status, productId };
      return pageJson(await deps.merchantOrders.listOrders(filter, page), orderJson);
    },
  );
}
