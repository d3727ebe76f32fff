import type { FastifyInstance, FastifyReply } from 'fastify';

import { AppError, unreachable } from '../domain/errors.ts';
import type { PayOrder, PayOutcome, Payments } from '../domain/payment.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { PAY_ORDER_BYTES_MAX, payOrderBody } from './payment-schemas.ts';
import type { PayOrderBody } from './payment-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { visibleOrder } from './visible-order.ts';
import type { OrderSight } from './visible-order.ts';

/** What the route needs. */
export interface PaymentDeps extends OrderSight {
  readonly payments: Payments;
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'payOrder',
  summary: 'Start a payment of one of your orders',
  tag: 'orders',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: payOrderBody, bytesMax: PAY_ORDER_BYTES_MAX },
  success: {
    status: 202,
    description:
      'The payment that was started; read the order to follow it. Of an order that is paid already, the payment that paid it.',
    schema: schemaRef('StartedPayment'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request started it.' },
  },
  errors: [
    'forbidden',
    'order-not-found',
    'order-expired',
    'order-not-payable',
    'payment-in-progress',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /orders/{id}/payment. */
export function addPaymentRoute(app: FastifyInstance, deps: PaymentDeps): void {
  app.post<{ Params: IdParams; Body: PayOrderBody | undefined }>(
    '/orders/:id/payment',
    { ...OPTIONS, onRequest: deps.authenticate },
    async (request, reply) => {
      const { userId } = identityOf(request);
      const order = await visibleOrder(deps, request.params.id, reply);
      if (order === undefined) return reply;
      // An admin sees every order and pays for none but its own.
      if (order.userId !== userId) return sendProblem(reply, 'forbidden');
      const scenario = request.body?.scenario ?? 'success';
      const delayMs = request.body?.delay_ms ?? 0;
      const key = idempotencyKeyOf(request.raw.headers);
      const bound = { userId, key: key ?? '', request: `pay ${order.id} ${scenario} ${delayMs}` };
      const pay = { orderId: order.id, scenario, delayMs, key: key === null ? null : bound };
      return start(reply, deps.payments, pay);
    },
  );
}

async function start(
  reply: FastifyReply,
  payments: Payments,
  request: PayOrder,
): Promise<FastifyReply> {
  let outcome: PayOutcome;
  try {
    outcome = await payments.pay(request);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'outcome-unknown') throw error;
    return sendProblem(reply, error.code, { orderId: request.orderId });
  }
  return answer(reply, outcome);
}

/** Total over the outcomes. */
function answer(reply: FastifyReply, outcome: PayOutcome): FastifyReply {
  switch (outcome.type) {
    case 'started':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      return reply.code(202).send({ payment: outcome.payment });
    case 'paid':
      return reply.code(202).send({ payment: outcome.payment });
    case 'refused':
      return sendProblem(reply, outcome.code, { orderStatus: outcome.status });
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    default:
      return unreachable(outcome);
  }
}
