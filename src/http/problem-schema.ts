import { z } from 'zod';

import { ORDER_STATUSES } from '../domain/order.ts';
import { uuidSchema, timeSchema } from './shared-schemas.ts';

/** The JSON of an error answer. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().meta({ description: 'A sentence fit for a shopper.' }),
  instance: z.string(),
  code: z.string().meta({ description: 'Stable and machine-readable.' }),
  request_id: z.string(),
  errors: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .meta({ description: 'With `validation`: what is wrong, and where.' }),
  items: z
    .array(z.object({ product_id: uuidSchema, requested: z.int(), available: z.int().optional() }))
    .optional()
    .meta({ description: 'With a refusal: every line that fails for this code.' }),
  order_id: uuidSchema.optional().meta({ description: 'With `outcome-unknown`.' }),
  order_status: z
    .enum(ORDER_STATUSES)
    .optional()
    .meta({ description: 'With a refusal to change an order: the status that it has.' }),
  version: z.int().optional().meta({
    description: 'With `precondition-failed` and `cart-changed`: the version that there is now.',
  }),
  starts_at: timeSchema.optional().meta({ description: 'With `sale-not-started`.' }),
  reason: z.string().optional().meta({ description: 'With `not-ready`, for an operator.' }),
});
