import type { FastifyInstance, FastifyReply } from 'fastify';

import type { OrderStatus } from '../domain/order.ts';
import type { OrderGateway } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { answerStatusChange } from './changed-order.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { managedOrder } from './managed-order.ts';
import type { ManagedOrder, OrderManagement } from './managed-order.ts';
import { orderJson } from './order-json.ts';
import { SHIP_ORDER_BYTES_MAX, shipOrderBody } from './order-schemas.ts';
import type { ShipOrderBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the route needs. */
export interface ShipOrderDeps extends OrderManagement {
  readonly gateway: OrderGateway;
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'shipOrder',
  summary: 'Ship your lines of an order',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: shipOrderBody, bytesMax: SHIP_ORDER_BYTES_MAX },
  success: {
    status: 200,
    description:
      'The order with your lines, all of them for an admin; also when they were shipped before. It is SHIPPING when every line of every merchant is shipped.',
    schema: schemaRef('Order'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request shipped them.' },
  },
  errors: [
    'forbidden',
    'order-not-found',
    'order-not-shippable',
    'idempotency-key-reused',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /orders/{id}/ship. */
export function addShipOrderRoute(app: FastifyInstance, deps: ShipOrderDeps): void {
  app.post<{ Params: IdParams; Body: ShipOrderBody | undefined }>(
    '/orders/:id/ship',
    { ...OPTIONS, onRequest: deps.authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      const { userId, role } = identity;
      if (role === 'customer') return sendProblem(reply, 'forbidden');
      const managed = await managedOrder(deps, { identity, idText: request.params.id }, reply);
      if (managed === undefined) return reply;
      const { order } = managed;
      const { headers } = request.raw;
      const outcome = await deps.gateway.changeStatus({
        author: userId,
        idempotencyKey: idempotencyKeyOf(headers),
        orderId: order.id,
        productIds: order.items.map((line) => line.productId),
        from: ['PAID'],
        to: 'SHIPPING',
        detail: {
          kind: 'shipment',
          merchantId: role === 'admin' ? null : userId,
          tracking: request.body?.tracking ?? null,
        },
        reason: null,
        traceparent: traceparentOf(request),
      });
      return answerStatusChange(reply, outcome, {
        orders: deps.orders,
        id: order.id,
        show: managed.show,
        sendKept: (status) => sendUnshipped(reply, status, { orders: deps.orders, managed }),
      });
    },
  );
}

/** Lines that were shipped before are a success, wherever their order went since. */
async function sendUnshipped(
  reply: FastifyReply,
  status: OrderStatus,
  { orders, managed }: Pick<ShipOrderDeps, 'orders'> & { readonly managed: ManagedOrder },
): Promise<FastifyReply> {
  const order = await orders.findOrder(managed.order.id);
  const own = order === undefined ? undefined : managed.show(order);
  return own !== undefined && own.items.every(({ shippedAt }) => shippedAt !== null)
    ? reply.send(orderJson(own))
    : sendProblem(reply, 'order-not-shippable', { orderStatus: status });
}
