import type { z } from 'zod';

import type { Order, OrderEvent } from '../domain/order.ts';
import type { orderEventSchema, orderSchema } from './order-schemas.ts';
import { timeText } from './time-text.ts';

type OrderJson = z.infer<typeof orderSchema>;

/** Payments and shipments come with a later version; until then none exists. */
const NO_PAYMENTS: OrderJson['payments'] = [];

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
      shipped_at: null,
    })),
    total: { amount: order.total, currency },
    reference: order.reference,
    metadata: order.metadata,
    payments: NO_PAYMENTS,
    created_at: timeText(order.createdAt),
    expires_at: timeText(order.expiresAt),
  };
}

/** A status that an order reached, as the contract shows it. */
export function orderEventJson(event: OrderEvent): z.infer<typeof orderEventSchema> {
  return { status: event.status, reason: event.reason, created_at: timeText(event.createdAt) };
}
