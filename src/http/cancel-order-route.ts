import type { FastifyInstance } from 'fastify';

import type { Order, OrderStatus } from '../domain/order.ts';
import type { OrderGateway } from '../domain/ports.ts';
import type { Role } from '../domain/user.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { answerStatusChange, sendChangedOrder } from './changed-order.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { orderJson } from './order-json.ts';
import { CANCEL_ORDER_BYTES_MAX, cancelOrderBody } from './order-schemas.ts';
import type { CancelOrderBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';
import { visibleOrder } from './visible-order.ts';
import type { OrderSight } from './visible-order.ts';

/** What the route needs. */
export interface CancelOrderDeps extends OrderSight {
  readonly gateway: OrderGateway;
  readonly authenticate: AuthenticateHook;
}

/** Statuses that each role may cancel from: money that was paid is the shop's to give back. */
const CANCELLABLE: Readonly<Record<Role, readonly OrderStatus[]>> = {
  customer: ['WAITING_PAYMENT'],
  merchant: [],
  admin: ['WAITING_PAYMENT', 'PAID'],
};

const OPTIONS = documented({
  operationId: 'cancelOrder',
  summary: 'Cancel an order and put its units on sale again',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: cancelOrderBody, bytesMax: CANCEL_ORDER_BYTES_MAX },
  success: {
    status: 200,
    description: 'The cancelled order; also when it was cancelled before.',
    schema: schemaRef('Order'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request cancelled it.' },
  },
  errors: [
    'forbidden',
    'order-not-found',
    'order-not-cancellable',
    'idempotency-key-reused',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const FINAL: ReadonlySet<OrderStatus> = new Set(['EXPIRED', 'CANCELLED']);

/** Adds POST /orders/{id}/cancel. */
export function addCancelOrderRoute(app: FastifyInstance, deps: CancelOrderDeps): void {
  const { gateway, authenticate } = deps;

  app.post<{ Params: IdParams; Body: CancelOrderBody | undefined }>(
    '/orders/:id/cancel',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const { userId, role } = identityOf(request);
      const from = CANCELLABLE[role];
      if (from.length === 0) return sendProblem(reply, 'forbidden');
      const order = await visibleOrder(deps, request.params.id, reply);
      if (order === undefined) return reply;
      const { headers } = request.raw;
      const idempotencyKey = idempotencyKeyOf(headers);
      if (idempotencyKey === null && FINAL.has(order.status)) {
        // Nobody can change it any more, so its owner need not be asked.
        return order.status === 'CANCELLED'
          ? reply.send(orderJson(order))
          : sendProblem(reply, 'order-not-cancellable', { orderStatus: order.status });
      }
      const outcome = await gateway.changeStatus({
        author: userId,
        idempotencyKey,
        orderId: order.id,
        productIds: order.items.map((line) => line.productId),
        from,
        to: 'CANCELLED',
        detail: null,
        reason: request.body?.reason ?? null,
        traceparent: traceparentOf(request),
      });
      const changed = { orders: deps.orders, id: order.id, show: (it: Order) => it };
      return answerStatusChange(reply, outcome, {
        ...changed,
        sendKept: (status) =>
          status === 'CANCELLED'
            ? sendChangedOrder(reply, changed)
            : sendProblem(reply, 'order-not-cancellable', { orderStatus: status }),
      });
    },
  );
}
