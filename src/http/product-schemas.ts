import { z } from 'zod';

import {
  CUSTOMER_LIMIT_MAX,
  DESCRIPTION_CHARS_MAX,
  PRICE_AMOUNT_MAX,
  PRODUCT_NAME_CHARS_MAX,
  STOCK_MAX,
} from '../domain/bounds.ts';
import { PRODUCT_STATUSES } from '../domain/product.ts';
import { IF_MATCH_TEXT } from './product-tag.ts';
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

/**
 * Of a product that is made or edited. Every character may be written as \uXXXX: 6 bytes each, 12
 * for a code point beyond U+FFFF.
 *
 *     description, name and reason    1,400 code points x 12                       16,800
 *     currency, ids, times, statuses and the names of the fields, 300 x 6           1,800
 *     numbers and the signs around all of it                                          150
 */
export const PRODUCT_BYTES_MAX = 20_480;

const name = storableText(PRODUCT_NAME_CHARS_MAX).min(1);
const description = storableText(DESCRIPTION_CHARS_MAX);
/** ISO 4217 has the codes; any three letters are taken for one. */
export const CURRENCY_TEXT = /^[A-Z]{3}$/;
const price = z.strictObject({
  amount: z.int().min(0).max(PRICE_AMOUNT_MAX).meta({ description: 'Minor units (cents).' }),
  currency: z.string().regex(CURRENCY_TEXT).meta({ description: 'ISO 4217 code.' }),
});
const perCustomerLimit = z
  .int()
  .min(1)
  .max(CUSTOMER_LIMIT_MAX)
  .nullish()
  .meta({ description: 'Units per customer over all live orders; null = no limit.' });
const saleBound = z.iso
  .datetime()
  .max(40)
  .nullish()
  .meta({ description: 'RFC 3339 in UTC; null = no bound.' });

/** The body of POST /products. */
export const createProductBody = z.strictObject({
  name,
  description: description.optional(),
  price,
  stock: z.int().min(0).max(STOCK_MAX).meta({ description: 'Units.' }),
  per_customer_limit: perCustomerLimit,
  sale_starts_at: saleBound,
  sale_ends_at: saleBound.meta({ description: 'After sale_starts_at; null = no bound.' }),
  status: z.enum(['draft', 'active']).optional().meta({ description: 'active unless given.' }),
  merchant_id: uuidSchema.optional().meta({ description: 'Whose it is; for admins only.' }),
});
/** What `createProductBody` accepts. */
export type CreateProductBody = z.infer<typeof createProductBody>;

/** The body of PATCH /products/{id}. */
export const editProductBody = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  price: price.optional(),
  per_customer_limit: perCustomerLimit,
  sale_starts_at: saleBound,
  sale_ends_at: saleBound,
  status: z.enum(PRODUCT_STATUSES).optional(),
  reason: reasonText.optional(),
});
/** What `editProductBody` accepts. */
export type EditProductBody = z.infer<typeof editProductBody>;

/** Headers of an edit that is for one version. */
export const ifMatchHeaders = z.object({
  'if-match': z
    .string()
    .regex(IF_MATCH_TEXT)
    .optional()
    .meta({ description: 'The version in quotes, or the ETag of a read; its version counts.' }),
});
/** Headers of a read that may find nothing new. */
export const ifNoneMatchHeaders = z.object({
  'if-none-match': z.string().optional().meta({ description: 'The ETag of an earlier read.' }),
});

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
