import { z } from 'zod';

import { LINES_MAX, QUANTITY_MAX } from '../domain/bounds.ts';
import { REFUSAL_CODES } from '../domain/outcome.ts';
import { orderItem } from './order-schemas.ts';
import { moneySchema, timeSchema, uuidSchema } from './shared-schemas.ts';

/** 50 lines as in PLACE_ORDER_BYTES_MAX are 17,150; the rest is for white space. */
export const CREATE_CART_BYTES_MAX = 24_576;
/** One line is 343. */
export const CART_ITEM_BYTES_MAX = 4_096;

/** The body of POST /carts; null is also what no body at all is validated as. */
export const createCartBody = z
  .strictObject({
    items: z
      .array(orderItem)
      .max(LINES_MAX)
      .optional()
      .meta({ description: 'Lines of one product are summed.' }),
  })
  .nullable();
/** What `createCartBody` accepts. */
export type CreateCartBody = z.infer<typeof createCartBody>;

/** The body of POST /carts/{id}/items. */
export const addItemBody = orderItem;
/** What `addItemBody` accepts. */
export type AddItemBody = z.infer<typeof addItemBody>;

/** The body of PATCH /carts/{id}/items/{product_id}. */
export const setQuantityBody = z.strictObject({ quantity: z.int().min(1).max(QUANTITY_MAX) });
/** What `setQuantityBody` accepts. */
export type SetQuantityBody = z.infer<typeof setQuantityBody>;

/** The path of a line. */
export const cartItemParams = z.object({ id: uuidSchema, product_id: uuidSchema });
/** What `cartItemParams` accepts. */
export type CartItemParams = z.infer<typeof cartItemParams>;

const lineFailures = REFUSAL_CODES.filter((code) => code !== 'currency-mismatch');

/** The JSON of a cart. */
export const cartSchema = z.object({
  id: uuidSchema,
  status: z.enum(['open', 'ordered']),
  order_id: uuidSchema.nullable().meta({ description: 'The order that it became.' }),
  items: z.array(
    z.object({
      product_id: uuidSchema,
      name: z.string(),
      quantity: z.int(),
      unit_price: moneySchema.meta({ description: 'What the product costs now.' }),
      added_price: moneySchema.meta({
        description: 'What it cost when the line was last added to or changed.',
      }),
      price_changed: z.boolean().meta({ description: 'Whether these two differ.' }),
      available: z
        .int()
        .meta({ description: 'Units in stock; fewer than `quantity` are missing.' }),
      problem: z.enum(lineFailures).nullable().meta({
        description:
          'The code that a checkout would be refused with for this line, as things look now; null = none.',
      }),
    }),
  ),
  total: moneySchema.nullable().meta({
    description:
      'At the prices of now; null of an empty cart, and while its products are priced in different currencies.',
  }),
  version: z.int().meta({ description: 'Counts the changes of its lines.' }),
  expires_at: timeSchema.meta({ description: 'Moved by every change; an ordered cart stays.' }),
});
