import type { FastifyReply } from 'fastify';

import { parseOrderId } from '../domain/ids.ts';
import type { UserId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { OrderGateway, OrderReader, Readiness } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import { sendProblem } from './problem.ts';

/** What it takes to say truly that there is no such order. */
export interface OrderSight {
  readonly gateway: Pick<OrderGateway, 'unsettledCustomer'>;
  readonly orders: Pick<OrderReader, 'findOrder'>;
  readonly readiness: Readiness;
}

/**
 * The order, if it is there for who asks: its customer, and admins. Otherwise undefined, and the
 * problem was sent: 404 only when the order can no longer appear, else 503 `outcome-unknown`.
 *
 * @param idText - As the path has it.
 */
export async function visibleOrder(
  sight: OrderSight,
  idText: string,
  reply: FastifyReply,
): Promise<Order | undefined> {
  const { userId, role } = identityOf(reply.request);
  const maySee = (customer: UserId): boolean => customer === userId || role === 'admin';
  const id = parseOrderId(idText);
  if (id === undefined) {
    sendProblem(reply, 'order-not-found');
    return undefined;
  }
  // Both are asked before the read: what settles in between is then there to be read.
  const customer = sight.gateway.unsettledCustomer(id);
  const { ready } = sight.readiness.check();
  const order = await sight.orders.findOrder(id);
  if (order !== undefined && maySee(order.userId)) return order;
  // Until the service is ready, a transaction of a process that died may still commit the order.
  // Somebody else's order is answered as none, then too, so that ids cannot be probed.
  if (!ready || (customer !== undefined && maySee(customer))) {
    sendProblem(reply, 'outcome-unknown', { orderId: id });
  } else {
    sendProblem(reply, 'order-not-found');
  }
  return undefined;
}
