import { z } from 'zod';

import { STOCK_MAX } from '../domain/bounds.ts';
import { PRODUCT_STATUSES } from '../domain/product.ts';
import {
  moneySchema,
  pageQuery,
  reasonText,
  storableText,
  timeSchema,
  uuidSchema,
} from './shared-schemas.ts';

/** The query of GET /products. */
export const listProductsQuery = pageQuery.extend({
  q: storableText(200).optional().meta({ description: 'Part of the name, in any case.' }),
  merchant_id: uuidSchema.optional(),
  status: z
    .enum(PRODUCT_STATUSES)
    .optional()
    .meta({ description: 'active unless given; others are for their merchant and admins.' }),
});
/** What `listProductsQuery` accepts. */
export type ListProductsQuery = z.infer<typeof listProductsQuery>;

/** A reason of 200 code points, 12 bytes each in their widest escapes, is 2,400 of them. */
export const CHANGE_STOCK_BYTES_MAX = 4_096;

/** The body of POST /products/{id}/stock. */
export const changeStockBody = z.strictObject({
  delta: z
    .int()
    .min(-STOCK_MAX)
    .max(STOCK_MAX)
    .meta({ not: { const: 0 }, description: 'Units; negative removes.' }),
  reason: reasonText,
});
/** What `changeStockBody` accepts. */
export type ChangeStockBody = z.infer<typeof changeStockBody>;

/** The JSON of a product. */
export const productSchema = z.object({
  id: uuidSchema,
  name: z.string(),
  description: z.string(),
  price: moneySchema,
  available: z.int().meta({ description: 'Committed stock.' }),
  per_customer_limit: z.int().nullable(),
  sale_starts_at: timeSchema.nullable(),
  sale_ends_at: timeSchema.nullable(),
  status: z.enum(PRODUCT_STATUSES),
  merchant_id: uuidSchema,
  version: z.int().meta({ description: 'Counts edits by the merchant only.' }),
  created_at: timeSchema,
  updated_at: timeSchema,
});
