/** SQL that the contenders share. */
import type { ProductStatus } from '../../src/domain/product.ts';

/** What a contender reads of a product. */
export interface ProductRow {
  readonly name: string;
  readonly unitPrice: number;
  readonly currency: string;
  readonly status: ProductStatus;
  readonly stock: number;
}

/** Before the FROM that gives the product `p`; followed by its own WHERE and ON CONFLICT. */
export const INSERT_ORDER = /* sql */ `
  INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                      currency, total, reference, metadata, created_at, expires_at)
  SELECT $1::uuid, $2::uuid, decode($3::text, 'hex'), 0, 0, $4::smallint, 'WAITING_PAYMENT',
         p.currency, p.price_amount * $6::integer, $7::text, $8::jsonb, $9::timestamptz,
         $10::timestamptz`;

/** Of `ProductRow`. */
export const PRODUCT_COLUMNS = /* sql */ `
  p.name, p.price_amount AS "unitPrice", p.currency, p.status, p.stock`;
