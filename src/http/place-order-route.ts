/**
 * POST /orders, the hot route. What is not needed for a plain success is not done: one synchronous
 * hook, compiled validation and serialization, no log line, and refusals are sent, never thrown.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { REFUSAL_CODES } from '../domain/outcome.ts';
import type { OrderGateway } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { answerOrder } from './order-answer.ts';
import { metadataIssue, quantitiesIssue, requestedLines } from './order-request.ts';
import { PLACE_ORDER_BYTES_MAX, placeOrderBody } from './order-schemas.ts';
import type { PlaceOrderBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { keyHeaders } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the route needs. */
export interface PlaceOrderDeps {
  readonly gateway: OrderGateway;
  readonly authenticate: AuthenticateHook;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const OPTIONS = documented({
  operationId: 'placeOrder',
  summary: 'Order products; answered after the order is durable',
  tag: 'orders',
  auth: 'required',
  headers: keyHeaders,
  body: { schema: placeOrderBody, bytesMax: PLACE_ORDER_BYTES_MAX },
  success: {
    status: 201,
    description: 'The order; with a key that was used before, the order it made then.',
    schema: schemaRef('Order'),
    headers: {
      Location: 'The address of the order.',
      'Idempotency-Replayed': '`true` when the order was made by an earlier request.',
    },
  },
  errors: [
    'forbidden',
    'idempotency-key-reused',
    ...REFUSAL_CODES,
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /orders. */
export function addPlaceOrderRoute(app: FastifyInstance, deps: PlaceOrderDeps): void {
  const { gateway, clock } = deps;

  async function handle(
    request: FastifyRequest<{ Body: PlaceOrderBody }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { body } = request;
    const { headers } = request.raw;
    const identity = identityOf(request);
    if (identity.role !== 'customer') return sendProblem(reply, 'forbidden');
    const lines = requestedLines(body.items);
    const issue = quantitiesIssue(lines) ?? metadataIssue(body);
    if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
    const outcome = await gateway.placeOrder({
      userId: identity.userId,
      idempotencyKey: idempotencyKeyOf(headers),
      lines,
      reference: body.reference ?? null,
      metadata: body.metadata ?? null,
      cart: null,
      traceparent: traceparentOf(request),
    });
    return answerOrder(reply, outcome, clock);
  }

  app.post<{ Body: PlaceOrderBody }>(
    '/orders',
    { ...OPTIONS, onRequest: deps.authenticate },
    handle,
  );
}
