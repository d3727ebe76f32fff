import type { FastifyReply } from 'fastify';
import type { z } from 'zod';

import type { Product } from '../domain/product.ts';
import type { productSchema } from './product-schemas.ts';
import { productTag } from './product-tag.ts';
import { timeText } from './time-text.ts';

/** A product as the contract shows it. */
export function productJson(product: Product): z.infer<typeof productSchema> {
  return {
    id: product.id,
    name: product.name,
    description: product.description,
    price: product.price,
    available: product.available,
    per_customer_limit: product.perCustomerLimit,
    sale_starts_at: product.saleStartsAt === null ? null : timeText(product.saleStartsAt),
    sale_ends_at: product.saleEndsAt === null ? null : timeText(product.saleEndsAt),
    status: product.status,
    merchant_id: product.merchantId,
    version: product.version,
    created_at: timeText(product.createdAt),
    updated_at: timeText(product.updatedAt),
  };
}

/** Answers with the product and its tag. */
export function sendProduct(reply: FastifyReply, product: Product): FastifyReply {
  return reply.header('etag', productTag(product)).send(productJson(product));
}
