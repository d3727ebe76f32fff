import { z } from 'zod';

import {
  LINES_MAX,
  METADATA_PAIRS_MAX,
  METADATA_BYTES_MAX,
  QUANTITY_MAX,
  REFERENCE_CHARS_MAX,
} from '../domain/bounds.ts';
import { ORDER_STATUSES } from '../domain/order.ts';
import { moneySchema, pageQuery, storableText, timeSchema, uuidSchema } from './shared-schemas.ts';

/** Keys and values are bounded together, as JSON text, by the route. */
const metadataText = storableText(METADATA_BYTES_MAX);

/** The body of POST /orders. */
export const placeOrderBody = z.strictObject({
  items: z
    .array(
      z.strictObject({
        product_id: uuidSchema,
        quantity: z.int().min(1).max(QUANTITY_MAX),
      }),
    )
    .min(1)
    .max(LINES_MAX)
    .meta({ description: 'Lines of one product are summed before anything is checked.' }),
  reference: storableText(REFERENCE_CHARS_MAX).nullish(),
  metadata: z
    .record(metadataText, metadataText)
    .meta({
      maxProperties: METADATA_PAIRS_MAX,
      description: `At most ${METADATA_BYTES_MAX} bytes as JSON. Stored and returned, never used to decide.`,
    })
    .nullish(),
});
/** What `placeOrderBody` accepts. */
export type PlaceOrderBody = z.infer<typeof placeOrderBody>;

/** The query of GET /orders. */
export const listOrdersQuery = pageQuery.extend({ status: z.enum(ORDER_STATUSES).optional() });
/** What `listOrdersQuery` accepts. */
export type ListOrdersQuery = z.infer<typeof listOrdersQuery>;

/** The JSON of an order. */
export const orderSchema = z.object({
  id: uuidSchema,
  status: z.enum(ORDER_STATUSES),
  items: z.array(
    z.object({
      product_id: uuidSchema,
      name: z.string(),
      quantity: z.int(),
      unit_price: moneySchema,
      sequence: z.int().meta({ description: 'Place in the order of service of the product.' }),
      shipped_at: timeSchema.nullable(),
    }),
  ),
  total: moneySchema,
  reference: z.string().nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
  payments: z.array(
    z.object({
      id: uuidSchema,
      status: z.enum(['PENDING', 'SUCCEEDED', 'FAILED', 'REFUNDED']),
      attempt: z.int(),
      created_at: timeSchema,
    }),
  ),
  created_at: timeSchema,
  expires_at: timeSchema,
});
