import type { z } from 'zod';

import type { Order, OrderEvent } from '../domain/order.ts';
import type { orderEventSchema, orderSchema } from './order-schemas.ts';
import { timeText } from './time-text.ts';

type OrderJson = z.infer<typeof orderSchema>;

/** An order as the contract shows it. */
export function orderJson(order: Order): OrderJson {
  const { currency } = order;
  return {
    id: order.id,
    status: order.status,
    items: order.items.map((line) => ({
      product_id: line.productId,
      name: line.name,
      quantity: line.quantity,
      unit_price: { amount: line.unitPrice, currency },
      sequence: line.sequence,
      shipped_at: line.shippedAt === null ? null : timeText(line.shippedAt),
      tracking: line.tracking ?? undefined,
    })),
    total: { amount: order.total, currency },
    reference: order.reference,
    metadata: order.metadata,
    payments: order.payments.map((payment) => ({
      id: payment.id,
      status: payment.status,
      attempt: payment.attempt,
      created_at: timeText(payment.createdAt),
    })),
    created_at: timeText(order.createdAt),
    expires_at: timeText(order.expiresAt),
  };
}

/** A status that an order reached, as the contract shows it. */
export function orderEventJson(event: OrderEvent): z.infer<typeof orderEventSchema> {
  const { status, from, author, reason, createdAt } = event;
  return {
    status,
    from,
    to: status,
    author: { role: author.role, user_id: author.userId },
    reason,
    created_at: timeText(createdAt),
  };
}
