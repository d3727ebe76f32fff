/** Why not me? What was decided under a key, as far as it is still known. */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';

import type { CustomerKey, Decisions } from '../domain/decision.ts';
import { ERRORS } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import type { Inspector, RefusalRecord } from '../domain/inspection.ts';
import type { Order } from '../domain/order.ts';
import type { OrderGateway, Readiness } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { decisionQuery, decisionSchema } from './decision-schemas.ts';
import type { DecisionQuery } from './decision-schemas.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { timeText } from './time-text.ts';

/** What the route needs. */
export interface DecisionsDeps {
  readonly decisions: Decisions;
  readonly inspector: Pick<Inspector, 'refusal'>;
  readonly gateway: Pick<OrderGateway, 'unsettledCustomer'>;
  readonly readiness: Readiness;
  readonly authenticate: AuthenticateHook;
}

type DecisionJson = z.infer<typeof decisionSchema>;

const OPTIONS = documented({
  operationId: 'getDecision',
  summary: 'What was decided under an Idempotency-Key, and how many were served before',
  tag: 'orders',
  auth: 'required',
  rare: true,
  query: decisionQuery,
  success: {
    status: 200,
    description: 'The decision: the order of the key, or else its last refusal.',
    schema: jsonSchemaOf(decisionSchema),
  },
  errors: ['forbidden', 'decision-not-known', 'outcome-unknown', 'database-unavailable'],
});

/** Adds GET /decisions. */
export function addDecisionsRoute(app: FastifyInstance, deps: DecisionsDeps): void {
  const { decisions, inspector, gateway, readiness, authenticate } = deps;

  app.get<{ Querystring: DecisionQuery }>(
    '/decisions',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      const { key, user_id } = request.query;
      const userId = parseUserId(user_id ?? '') ?? identity.userId;
      if (userId !== identity.userId && identity.role !== 'admin') {
        return sendProblem(reply, 'forbidden');
      }
      const asked = { userId, key };
      const orderId = decisions.orderIdOf(asked);
      // Both are asked before the read: what settles in between is then there to be read.
      const isSettled = gateway.unsettledCustomer(orderId) === undefined;
      const { ready } = readiness.check();
      const order = await decisions.findAccepted(asked);
      if (order !== undefined) return acceptedJson(asked, order);
      // A refusal that is remembered may be of an earlier try.
      // Of a checkout the id is another one, so none is told.
      if (!isSettled || !ready) return sendProblem(reply, 'outcome-unknown');
      const refusal = await inspector.refusal(asked);
      if (refusal === undefined) return sendProblem(reply, 'decision-not-known');
      return refusedJson(asked, refusal);
    },
  );
}

function acceptedJson({ userId, key }: CustomerKey, order: Order): DecisionJson {
  return {
    key,
    user_id: userId,
    decision: 'accepted',
    order_id: order.id,
    code: null,
    detail: null,
    decided_at: timeText(order.createdAt),
    items: order.items.map(({ productId, quantity, sequence }) => ({
      product_id: productId,
      quantity,
      sequence,
      ahead: sequence - 1,
      available: null,
    })),
  };
}

function refusedJson({ userId, key }: CustomerKey, refusal: RefusalRecord): DecisionJson {
  const { code, decidedAt, items } = refusal;
  return {
    key,
    user_id: userId,
    decision: 'refused',
    order_id: null,
    code,
    detail: ERRORS[code].detail,
    decided_at: timeText(decidedAt),
    items: items.map(({ productId, requested, ahead, available = null }) => ({
      product_id: productId,
      quantity: requested,
      sequence: null,
      ahead,
      available,
    })),
  };
}
