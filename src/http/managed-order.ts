import type { FastifyReply } from 'fastify';

import { parseOrderId } from '../domain/ids.ts';
import type { ProductId } from '../domain/ids.ts';
import { merchantViewOf } from '../domain/merchant-order.ts';
import type { MerchantOrders } from '../domain/merchant-order.ts';
import type { Order } from '../domain/order.ts';
import type { Identity } from '../domain/user.ts';
import { sendProblem } from './problem.ts';
import { visibleOrder } from './visible-order.ts';
import type { OrderSight } from './visible-order.ts';

/** What it takes to find the orders that somebody ships. */
export interface OrderManagement extends OrderSight {
  readonly merchantOrders: Pick<MerchantOrders, 'ownProducts'>;
}

/** An order, for somebody who ships at least some of it. */
export interface ManagedOrder {
  readonly order: Order;
  /** Whether every line is theirs to ship. */
  readonly isWhole: boolean;
  /** The part of the order that is theirs. */
  readonly show: (order: Order) => Order;
}

/**
 * The order, if it is there for who ships it: merchants with a line in it, and admins. Otherwise
 * undefined, and the problem was sent. A customer must have been refused before.
 */
export async function managedOrder(
  deps: OrderManagement,
  who: { readonly identity: Identity; readonly idText: string },
  reply: FastifyReply,
): Promise<ManagedOrder | undefined> {
  const { identity, idText } = who;
  if (identity.role === 'admin') {
    const order = await visibleOrder(deps, idText, reply);
    return order === undefined ? undefined : { order, isWhole: true, show: (it) => it };
  }
  const id = parseOrderId(idText);
  // Asked before the read: until the service is ready, the order may still be committed.
  const { ready } = deps.readiness.check();
  const order = id === undefined ? undefined : await deps.orders.findOrder(id);
  const own = order === undefined ? NONE : await ownProductsOf(deps, identity, order);
  if (order !== undefined && own.size > 0) {
    const isWhole = order.items.every(({ productId }) => own.has(productId));
    return { order, isWhole, show: (it) => merchantViewOf(it, own) };
  }
  if (ready || id === undefined) sendProblem(reply, 'order-not-found');
  else sendProblem(reply, 'outcome-unknown', { orderId: id });
  return undefined;
}

const NONE: ReadonlySet<ProductId> = new Set();

function ownProductsOf(
  { merchantOrders }: OrderManagement,
  { userId }: Identity,
  order: Order,
): Promise<ReadonlySet<ProductId>> {
  const productIds = order.items.map(({ productId }) => productId);
  return merchantOrders.ownProducts(userId, productIds);
}
