import { z } from 'zod';

import {
  LINES_MAX,
  METADATA_PAIRS_MAX,
  METADATA_BYTES_MAX,
  QUANTITY_MAX,
  REFERENCE_CHARS_MAX,
  TRACKING_CHARS_MAX,
} from '../domain/bounds.ts';
import { ORDER_STATUSES, PAYMENT_STATUSES } from '../domain/order.ts';
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

/** Products and units of an order or a cart. */
export const orderItem = z.strictObject({
  product_id: uuidSchema,
  quantity: z.int().min(1).max(QUANTITY_MAX),
});
/** What a list of `orderItem` accepts. */
export type OrderItems = readonly z.infer<typeof orderItem>[];

/** What an order carries for the shop that places it. */
const orderNotes = z.strictObject({
  reference: storableText(REFERENCE_CHARS_MAX).nullish(),
  metadata: z
    .record(metadataKey, metadataText)
    .meta({
      maxProperties: METADATA_PAIRS_MAX,
      description: `At most ${METADATA_BYTES_MAX} bytes as JSON. Stored and returned, never used to decide.`,
    })
    .nullish(),
});
/** What `orderNotes` accepts. */
export type OrderNotes = z.infer<typeof orderNotes>;

/** The body of POST /orders. */
export const placeOrderBody = z.strictObject({
  items: z
    .array(orderItem)
    .min(1)
    .max(LINES_MAX)
    .meta({ description: 'Lines of one product are summed before anything is checked.' }),
  ...orderNotes.shape,
});
/** What `placeOrderBody` accepts. */
export type PlaceOrderBody = z.infer<typeof placeOrderBody>;

/** As PLACE_ORDER_BYTES_MAX, without the lines: 13,650 and some white space. */
export const CHECKOUT_BYTES_MAX = 16_384;

/** The body of POST /carts/{id}/checkout; null is also what no body at all is validated as. */
export const checkoutBody = orderNotes.nullable();
/** What `checkoutBody` accepts. */
export type CheckoutBody = z.infer<typeof checkoutBody>;

/** A reason of 200 code points, 12 bytes each in their widest escapes, is 2,400 of them. */
export const CANCEL_ORDER_BYTES_MAX = 4_096;

/** The body of POST /orders/{id}/cancel; null is also what no body at all is validated as. */
export const cancelOrderBody = z.strictObject({ reason: reasonText.nullish() }).nullable();
/** What `cancelOrderBody` accepts. */
export type CancelOrderBody = z.infer<typeof cancelOrderBody>;

/** A number of 100 code points, 12 bytes each in their widest escapes, is 1,200 of them. */
export const SHIP_ORDER_BYTES_MAX = 2_048;

/** The body of POST /orders/{id}/ship; null is also what no body at all is validated as. */
export const shipOrderBody = z
  .strictObject({
    tracking: storableText(TRACKING_CHARS_MAX)
      .min(1)
      .nullish()
      .meta({ description: 'Of the parcel, as its carrier names it.' }),
  })
  .nullable();
/** What `shipOrderBody` accepts. */
export type ShipOrderBody = z.infer<typeof shipOrderBody>;

/** The body of POST /orders/{id}/complete: nothing, in whichever way. */
export const completeOrderBody = z.strictObject({}).nullable();

/** The query of GET /orders. */
export const listOrdersQuery = pageQuery.extend({ status: z.enum(ORDER_STATUSES).optional() });
/** What `listOrdersQuery` accepts. */
export type ListOrdersQuery = z.infer<typeof listOrdersQuery>;

/** The query of GET /merchant/orders. */
export const listMerchantOrdersQuery = listOrdersQuery.extend({
  product_id: uuidSchema.optional(),
});
/** What `listMerchantOrdersQuery` accepts. */
export type ListMerchantOrdersQuery = z.infer<typeof listMerchantOrdersQuery>;

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
      tracking: z
        .string()
        .optional()
        .meta({ description: 'Of the parcel; absent unless it was named.' }),
    }),
  ),
  total: moneySchema,
  reference: z.string().nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
  payments: z.array(
    z.object({
      id: uuidSchema,
      status: z.enum(PAYMENT_STATUSES),
      attempt: z.int(),
      created_at: timeSchema,
    }),
  ),
  created_at: timeSchema,
  expires_at: timeSchema,
});

/** The JSON of a status that an order reached. */
export const orderEventSchema = z.object({
  status: z.enum(ORDER_STATUSES).meta({ description: 'The same as `to`.' }),
  from: z.enum(ORDER_STATUSES).nullable().meta({ description: 'Null: the order was placed.' }),
  to: z.enum(ORDER_STATUSES),
  author: z.object({
    role: z.enum(['customer', 'merchant', 'admin', 'system']).meta({
      description: '`system`: a payment that succeeded, or the time to pay that ran out.',
    }),
    user_id: uuidSchema.nullable(),
  }),
  reason: z.string().nullable(),
  created_at: timeSchema,
});
