import { z } from 'zod';

import { DELIVERY_STATUSES, WEBHOOK_EVENTS, WEBHOOK_URL_CHARS_MAX } from '../domain/webhook.ts';
import { pageQuery, timeSchema, uuidSchema } from './shared-schemas.ts';

/** A URL of 2,048 characters and all events, 6 bytes a character, are 13,300; the rest is white space. */
export const WEBHOOK_BYTES_MAX = 16_384;

/** The form of a URL; where it leads is looked at by the route. */
export const WEBHOOK_URL_TEXT = /^https?:\/\/[\x21-\x7e]+$/;
const url = z
  .string()
  .max(WEBHOOK_URL_CHARS_MAX)
  .regex(WEBHOOK_URL_TEXT)
  .meta({ description: 'Where events are sent by POST: a public address.' });
const events = z
  .array(z.enum(WEBHOOK_EVENTS))
  .min(1)
  .max(WEBHOOK_EVENTS.length)
  .meta({ uniqueItems: true, description: 'What is sent.' });

/** The body of POST /webhooks. */
export const createWebhookBody = z.strictObject({ url, events });
/** What `createWebhookBody` accepts. */
export type CreateWebhookBody = z.infer<typeof createWebhookBody>;

/** The body of PATCH /webhooks/{id}. */
export const changeWebhookBody = z.strictObject({
  url: url.optional(),
  events: events.optional(),
  active: z
    .boolean()
    .optional()
    .meta({ description: 'While it is false nothing is sent, and what was to be sent is dead.' }),
});
/** What `changeWebhookBody` accepts. */
export type ChangeWebhookBody = z.infer<typeof changeWebhookBody>;

/** The query of GET /webhooks/{id}/deliveries. */
export const listDeliveriesQuery = pageQuery.extend({
  status: z
    .enum(DELIVERY_STATUSES)
    .optional()
    .meta({ description: '`dead`: given up. All of them unless given.' }),
});
/** What `listDeliveriesQuery` accepts. */
export type ListDeliveriesQuery = z.infer<typeof listDeliveriesQuery>;

/** The path of a delivery. */
export const deliveryParams = z.object({ id: uuidSchema, delivery_id: uuidSchema });
/** What `deliveryParams` accepts. */
export type DeliveryParams = z.infer<typeof deliveryParams>;

/** The JSON of a webhook. */
export const webhookSchema = z.object({
  id: uuidSchema,
  url: z.string(),
  events: z.array(z.enum(WEBHOOK_EVENTS)),
  active: z.boolean().meta({ description: 'Made false by a receiver that answers 410 Gone.' }),
  merchant_id: uuidSchema
    .nullable()
    .meta({ description: "Whose products and orders it is told of; null = everybody's." }),
  created_at: timeSchema,
  updated_at: timeSchema,
});

/** The JSON of a webhook that was just made. */
export const newWebhookSchema = webhookSchema.extend({
  secret: z.string().meta({
    description: 'The key of the signatures (`webhook-signature`), shown only in this answer.',
  }),
});

/** The JSON of a delivery. */
export const deliverySchema = z.object({
  id: uuidSchema,
  event_id: uuidSchema.meta({ description: 'The `webhook-id` header, the same in every try.' }),
  type: z.enum(WEBHOOK_EVENTS),
  subject_id: uuidSchema.meta({ description: 'The order or the product.' }),
  status: z.enum(DELIVERY_STATUSES),
  tries: z.int(),
  next_try_at: timeSchema.nullable().meta({ description: 'Null = no more.' }),
  http_status: z.int().nullable().meta({ description: 'Of the answer to the last try.' }),
  failure: z.string().nullable().meta({ description: 'Why the last try had no answer.' }),
  created_at: timeSchema,
  updated_at: timeSchema,
});
