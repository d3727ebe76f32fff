import { z } from 'zod';

import {
  LINES_MAX,
  METADATA_PAIRS_MAX,
  METADATA_BYTES_MAX,
  QUANTITY_MAX,
  REFERENCE_CHARS_MAX,
} from '../domain/bounds.ts';
import { ORDER_STATUSES } from '../domain/order.ts';
import {
  moneySchema,
  pageQuery,
  reasonText,
  storableText,
  timeSchema,
  uuidSchema,
} from './shared-schemas.ts';

/**
 * Every character may be written as \uXXXX: 6 bytes each, 12 for a code point beyond U+FFFF.
 *
 *     50 lines    x (54 characters of names and id x 6 + 19 of signs and digits)   17,150
 *     metadata    2,048 bytes as JSON text, each at most 6; its name               12,336
 *     reference   100 code points x 12; its name                                    1,254
 *     the names of the list and the signs around all of it                             60
 *                                                                                  30,800
 *
 * The rest is for white space, of which a body in its plain spelling may hold 28 KB.
 */
export const PLACE_ORDER_BYTES_MAX = 32_768;

/** Keys and values are bounded together, as JSON text, by the route. */
const metadataText = storableText(METADATA_BYTES_MAX);
/**
 * No quote, backslash or control character: V8 in Node 26.10 can misread a key that needs an escape
 * as another one (nodejs/node#63785), always as a backslash, and a repeat would then be another
 * request.
 */
const metadataKey = z
  .string()
  .max(METADATA_BYTES_MAX)
  .regex(/^[^\u0000-\u001f"\\\p{Cs}]*$/u);

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
    .record(metadataKey, metadataText)
    .meta({
      maxProperties: METADATA_PAIRS_MAX,
      description: `At most ${METADATA_BYTES_MAX} bytes as JSON. Stored and returned, never used to decide.`,
    })
    .nullish(),
});
/** What `placeOrderBody` accepts. */
export type PlaceOrderBody = z.infer<typeof placeOrderBody>;

/** A reason of 200 code points, 12 bytes each in their widest escapes, is 2,400 of them. */
export const CANCEL_ORDER_BYTES_MAX = 4_096;

/** The body of POST /orders/{id}/cancel; null is also what no body at all is validated as. */
export const cancelOrderBody = z.strictObject({ reason: reasonText.nullish() }).nullable();
/** What `cancelOrderBody` accepts. */
export type CancelOrderBody = z.infer<typeof cancelOrderBody>;

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

/** The JSON of a status that an order reached. */
export const orderEventSchema = z.object({
  status: z.enum(ORDER_STATUSES),
  reason: z.string().nullable(),
  created_at: timeSchema,
});
