import type { FastifyReply } from 'fastify';

import { AppError } from '../domain/errors.ts';
import type { OrderId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { OrderReader } from '../domain/ports.ts';
import { orderJson } from './order-json.ts';
import { sendProblem } from './problem.ts';

/** An order whose status was changed, and how its reader sees it. */
export interface ChangedOrder {
  readonly orders: Pick<OrderReader, 'findOrder'>;
  readonly id: OrderId;
  readonly show: (order: Order) => Order;
}

/**
 * Answers with the order as it is after a change that took effect. It is read again, since payments
 * and lines may have changed with it. When that fails the answer must not be that nothing was
 * changed: the order has to be read later to know what it came to.
 */
export async function sendChangedOrder(
  reply: FastifyReply,
  { orders, id, show }: ChangedOrder,
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
