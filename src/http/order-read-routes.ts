import type { FastifyInstance } from 'fastify';

import type { OrderReader } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { orderEventJson, orderJson } from './order-json.ts';
import { listOrdersQuery } from './order-schemas.ts';
import type { ListOrdersQuery } from './order-schemas.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { visibleOrder } from './visible-order.ts';
import type { OrderSight } from './visible-order.ts';

/** What the routes need. */
export interface OrderReadDeps extends OrderSight {
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

const EVENTS = documented({
  operationId: 'listOrderEvents',
  summary: 'What happened to one of your orders, oldest first',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  success: {
    status: 200,
    description: 'Every status it reached, on one page.',
    schema: pageSchemaOf('OrderEvent'),
  },
  errors: ['order-not-found', 'outcome-unknown', 'database-unavailable'],
});

/** Adds GET /orders, GET /orders/{id} and GET /orders/{id}/events. */
export function addOrderReadRoutes(app: FastifyInstance, deps: OrderReadDeps): void {
  const { orders, authenticate } = deps;

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
      const order = await visibleOrder(deps, request.params.id, reply);
      return order === undefined ? reply : orderJson(order);
    },
  );

  app.get<{ Params: IdParams }>(
    '/orders/:id/events',
    { ...EVENTS, onRequest: authenticate },
    async (request, reply) => {
      const order = await visibleOrder(deps, request.params.id, reply);
      if (order === undefined) return reply;
      const events = await orders.listEvents(order.id);
      return { items: events.map(orderEventJson), next_cursor: null };
    },
  );
}
