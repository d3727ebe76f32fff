import type { FastifyInstance } from 'fastify';

import { parseOrderId } from '../domain/ids.ts';
import type { OrderGateway, OrderReader } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { orderJson } from './order-json.ts';
import { listOrdersQuery } from './order-schemas.ts';
import type { ListOrdersQuery } from './order-schemas.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';

/** What the routes need. */
export interface OrderReadDeps {
  readonly gateway: Pick<OrderGateway, 'unsettledCustomer'>;
  readonly orders: OrderReader;
  readonly authenticate: AuthenticateHook;
}

const LIST = documented({
  operationId: 'listOrders',
  summary: 'Your orders, newest first',
  tag: 'orders',
  auth: 'required',
  query: listOrdersQuery,
  success: { status: 200, description: 'A page of orders.', schema: pageSchemaOf('Order') },
  errors: ['database-unavailable'],
});

const GET = documented({
  operationId: 'getOrder',
  summary: 'One of your orders',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  success: { status: 200, description: 'The order.', schema: schemaRef('Order') },
  errors: ['order-not-found', 'outcome-unknown', 'database-unavailable'],
});

/** Adds GET /orders and GET /orders/{id}. */
export function addOrderReadRoutes(app: FastifyInstance, deps: OrderReadDeps): void {
  const { gateway, orders, authenticate } = deps;

  app.get<{ Querystring: ListOrdersQuery }>(
    '/orders',
    { ...LIST, onRequest: authenticate },
    async (request, reply) => {
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      const { userId } = identityOf(request);
      const status = request.query.status ?? null;
      return pageJson(await orders.listOrders({ userId, status }, page), orderJson);
    },
  );

  app.get<{ Params: IdParams }>(
    '/orders/:id',
    { ...GET, onRequest: authenticate },
    async (request, reply) => {
      const { userId, role } = identityOf(request);
      const id = parseOrderId(request.params.id);
      if (id === undefined) return sendProblem(reply, 'order-not-found');
      // Asked before the read: what settles in between is then there to be read.
      const customer = gateway.unsettledCustomer(id);
      const order = await orders.findOrder(id);
      if (order === undefined && customer === userId) {
        return sendProblem(reply, 'outcome-unknown', { orderId: id });
      }
      // Somebody else's order is answered as none, so that ids cannot be probed.
      const visible = order !== undefined && (order.userId === userId || role === 'admin');
      return visible ? orderJson(order) : sendProblem(reply, 'order-not-found');
    },
  );
}
