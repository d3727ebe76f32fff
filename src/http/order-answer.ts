import type { FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { PlaceOrderOutcome, Refusal } from '../domain/outcome.ts';
import { orderJson } from './order-json.ts';
import { sendProblem } from './problem.ts';
import type { ProblemExtras } from './problem.ts';

/**
 * Answers an order that was placed, directly or from a cart. Total over the outcomes: a new one does
 * not compile until it has an answer.
 *
 * @param clock - Milliseconds since the epoch; only asked for a sale that has not started.
 */
export function answerOrder(
  reply: FastifyReply,
  outcome: PlaceOrderOutcome,
  clock: () => number,
): FastifyReply {
  switch (outcome.type) {
    case 'accepted':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      return reply
        .code(201)
        .header('location', `/orders/${outcome.order.id}`)
        .send(orderJson(outcome.order));
    case 'refused':
      return sendProblem(reply, outcome.code, refusalExtras(outcome, clock));
    case 'cart-changed':
      return sendProblem(reply, 'cart-changed');
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    case 'shed':
      return sendProblem(reply, outcome.code);
    case 'unknown':
      return sendProblem(reply, 'outcome-unknown', { orderId: outcome.orderId });
    default:
      return unreachable(outcome);
  }
}

function refusalExtras(refusal: Refusal, clock: () => number): ProblemExtras {
  const { items, startsAt } = refusal;
  if (startsAt === undefined) return { items };
  const seconds = Math.max(1, Math.ceil((startsAt - clock()) / 1000));
  return { items, startsAt, retryAfterSeconds: seconds };
}
