import { z } from 'zod';

import { KEY_TEXT, timeSchema, uuidSchema } from './shared-schemas.ts';

/** The query of GET /decisions. */
export const decisionQuery = z.object({
  key: z
    .string()
    .regex(KEY_TEXT)
    .meta({ description: 'The Idempotency-Key of the order or checkout.' }),
  user_id: uuidSchema.optional().meta({ description: 'Whose key; somebody else is for admins.' }),
});
/** What `decisionQuery` accepts. */
export type DecisionQuery = z.infer<typeof decisionQuery>;

/** The JSON of a decision. */
export const decisionSchema = z.object({
  key: z.string(),
  user_id: uuidSchema,
  decision: z.enum(['accepted', 'refused']),
  order_id: uuidSchema.nullable().meta({ description: 'Of an accepted one.' }),
  code: z.string().nullable().meta({ description: 'Why it was refused.' }),
  detail: z.string().nullable().meta({ description: 'The same as a sentence fit for a shopper.' }),
  decided_at: timeSchema,
  items: z
    .array(
      z.object({
        product_id: uuidSchema,
        quantity: z.int().meta({ description: 'Units asked for.' }),
        sequence: z
          .int()
          .nullable()
          .meta({ description: 'Place in the order of service of the product; null: refused.' }),
        ahead: z.int().meta({ description: 'Places of the product that were given before.' }),
        available: z
          .int()
          .nullable()
          .meta({ description: 'Units that were left; only with `out-of-stock`.' }),
      }),
    )
    .meta({ description: 'All lines of an accepted order; of a refused one those that failed.' }),
});
