import type { z } from 'zod';

import type { Delivery, Webhook } from '../domain/webhook.ts';
import { timeText } from './time-text.ts';
import type { deliverySchema, webhookSchema } from './webhook-schemas.ts';

/** A webhook as the contract shows it. */
export function webhookJson(webhook: Webhook): z.infer<typeof webhookSchema> {
  return {
    id: webhook.id,
    url: webhook.url,
    events: [...webhook.events],
    active: webhook.active,
    merchant_id: webhook.merchantId,
    created_at: timeText(webhook.createdAt),
    updated_at: timeText(webhook.updatedAt),
  };
}

/** A delivery as the contract shows it. */
export function deliveryJson(delivery: Delivery): z.infer<typeof deliverySchema> {
  return {
    id: delivery.id,
    event_id: delivery.eventId,
    type: delivery.event,
    subject_id: delivery.subjectId,
    status: delivery.status,
    tries: delivery.tries,
    next_try_at: delivery.nextTryAt === null ? null : timeText(delivery.nextTryAt),
    http_status: delivery.httpStatus,
    failure: delivery.failure,
    created_at: timeText(delivery.createdAt),
    updated_at: timeText(delivery.updatedAt),
  };
}
