import type { FastifyInstance } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { Order } from '../domain/order.ts';
import type { ChangeStatusOutcome } from '../domain/outcome.ts';
import type { OrderGateway, OrderReader } from '../domain/ports.ts';
import { performAction } from './admin-action.ts';
import type { ActionEnd, ActionRecords } from './admin-action.ts';
import { ACTION_BYTES_MAX, actionBody } from './admin-schemas.ts';
import type { ActionBody } from './admin-schemas.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { answerStatusChange, sendChangedOrder } from './changed-order.ts';
import { schemaRef } from './json-schema.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';
import { visibleOrder } from './visible-order.ts';
import type { OrderSight } from './visible-order.ts';

/** What the route needs. */
export interface AdminOrderDeps extends ActionRecords, OrderSight {
  readonly gateway: OrderGateway;
  readonly orders: OrderReader;
  /** Lets admins through. */
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'releaseOrder',
  summary: 'Cancel an order that waits for payment, and put its units on sale again',
  tag: 'admin',
  auth: 'required',
  rare: true,
  params: idParams,
  headers: keyHeaders,
  body: { schema: actionBody, bytesMax: ACTION_BYTES_MAX },
  success: {
    status: 200,
    description: 'The cancelled order; also when it was cancelled before.',
    schema: schemaRef('Order'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request did it.' },
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

/** Adds POST /admin/orders/{id}/release. */
export function addAdminOrderRoute(app: FastifyInstance, deps: AdminOrderDeps): void {
  const { gateway, orders, authenticate } = deps;

  app.post<{ Params: IdParams; Body: ActionBody }>(
    '/admin/orders/:id/release',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const order = await visibleOrder(deps, request.params.id, reply);
      if (order === undefined) return reply;
      const { reason } = request.body;
      const changed = { orders, id: order.id, show: (it: Order) => it };
      const action = {
        kind: 'release',
        target: order.id,
        reason,
        perform: async (): Promise<ActionEnd> => {
          const outcome = await gateway.changeStatus({
            author: identityOf(request).userId,
            // The key is bound to the record of the action.
            idempotencyKey: null,
            orderId: order.id,
            productIds: order.items.map((line) => line.productId),
            from: ['WAITING_PAYMENT'],
            to: 'CANCELLED',
            detail: null,
            reason,
            traceparent: traceparentOf(request),
          });
          const send = () =>
            answerStatusChange(reply, outcome, {
              ...changed,
              sendKept: (status) =>
                status === 'CANCELLED'
                  ? sendChangedOrder(reply, changed)
                  : sendProblem(reply, 'order-not-cancellable', { orderStatus: status }),
            });
          return { outcome: codeOf(outcome), send };
        },
        sendPresent: () => sendChangedOrder(reply, changed),
      } as const;
      return performAction(deps, action, reply);
    },
  );
}

/** Total over the outcomes. */
function codeOf(outcome: ChangeStatusOutcome): ActionEnd['outcome'] {
  switch (outcome.type) {
    case 'changed':
      return 'done';
    case 'not-changeable':
      return outcome.status === 'CANCELLED' ? 'done' : 'order-not-cancellable';
    case 'key-reused':
      return 'idempotency-key-reused';
    case 'shed':
      return outcome.code;
    case 'unknown':
      return 'outcome-unknown';
    default:
      return unreachable(outcome);
  }
}
