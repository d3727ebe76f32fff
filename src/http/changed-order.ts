import type { FastifyReply } from 'fastify';

import { AppError, unreachable } from '../domain/errors.ts';
import type { OrderId } from '../domain/ids.ts';
import type { Order, OrderStatus } from '../domain/order.ts';
import type { ChangeStatusOutcome } from '../domain/outcome.ts';
import type { OrderReader } from '../domain/ports.ts';
import { orderJson } from './order-json.ts';
import { sendProblem } from './problem.ts';

/** An order whose status was changed, and how its reader sees it. */
export interface ChangedOrder {
  readonly orders: Pick<OrderReader, 'findOrder'>;
  readonly id: OrderId;
  readonly show: (order: Order) => Order;
  /** Answers where the order has a status that does not lead to the new one. */
  readonly sendKept: (status: OrderStatus) => FastifyReply | Promise<FastifyReply>;
}

/** Answers a change of an order's status. Total: a new outcome does not compile until it has an answer. */
export async function answerStatusChange(
  reply: FastifyReply,
  outcome: ChangeStatusOutcome,
  order: ChangedOrder,
): Promise<FastifyReply> {
  switch (outcome.type) {
    case 'changed':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      return sendChangedOrder(reply, order);
    case 'not-changeable':
      return order.sendKept(outcome.status);
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    case 'shed':
      return sendProblem(reply, outcome.code);
    case 'unknown':
      return sendProblem(reply, 'outcome-unknown', { orderId: order.id });
    default:
      return unreachable(outcome);
  }
}

/**
 * Answers with the order as it is after a change that took effect. It is read again, since payments
 * and lines may have changed with it. When that fails the answer must not be that nothing was
 * changed: the order has to be read later to know what it came to.
 */
export async function sendChangedOrder(
  reply: FastifyReply,
  { orders, id, show }: Pick<ChangedOrder, 'orders' | 'id' | 'show'>,
): Promise<FastifyReply> {
  let order: Order | undefined;
  try {
    order = await orders.findOrder(id);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
  }
  if (order === undefined) return sendProblem(reply, 'outcome-unknown', { orderId: id });
  return reply.send(orderJson(show(order)));
}
