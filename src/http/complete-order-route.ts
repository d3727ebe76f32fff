import type { FastifyInstance } from 'fastify';

import type { OrderGateway } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { answerStatusChange } from './changed-order.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { managedOrder } from './managed-order.ts';
import type { OrderManagement } from './managed-order.ts';
import { completeOrderBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the route needs. */
export interface CompleteOrderDeps extends OrderManagement {
  readonly gateway: OrderGateway;
  readonly authenticate: AuthenticateHook;
}

/** Of an empty object and white space. */
const COMPLETE_ORDER_BYTES_MAX = 1_024;

const OPTIONS = documented({
  operationId: 'completeOrder',
  summary: 'Complete an order that is shipped',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: completeOrderBody, bytesMax: COMPLETE_ORDER_BYTES_MAX },
  success: {
    status: 200,
    description: 'The completed order; also when it was completed before.',
    schema: schemaRef('Order'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request completed it.' },
  },
  errors: [
    'forbidden',
    'order-not-found',
    'order-not-completable',
    'idempotency-key-reused',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /orders/{id}/complete. */
export function addCompleteOrderRoute(app: FastifyInstance, deps: CompleteOrderDeps): void {
  app.post<{ Params: IdParams }>(
    '/orders/:id/complete',
    { ...OPTIONS, onRequest: deps.authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      if (identity.role === 'customer') return sendProblem(reply, 'forbidden');
      const managed = await managedOrder(deps, { identity, idText: request.params.id }, reply);
      if (managed === undefined) return reply;
      // Who ships a part of it sees the order, but cannot speak for the others.
      if (!managed.isWhole) return sendProblem(reply, 'forbidden');
      const { order, show } = managed;
      const { headers } = request.raw;
      const outcome = await deps.gateway.changeStatus({
        author: identity.userId,
        idempotencyKey: idempotencyKeyOf(headers),
        orderId: order.id,
        productIds: order.items.map((line) => line.productId),
        from: ['SHIPPING'],
        to: 'COMPLETED',
        detail: null,
        reason: null,
        traceparent: traceparentOf(request),
      });
      return answerStatusChange(reply, outcome, {
        orders: deps.orders,
        id: order.id,
        show,
        sendKept: (status) => sendProblem(reply, 'order-not-completable', { orderStatus: status }),
      });
    },
  );
}
