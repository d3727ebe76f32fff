/**
 * Committed products, read from PostgreSQL. Owns no state: a list may be one commit behind what an
 * owner has decided, never ahead of it.
 */
import type { Pool } from 'pg';
import type { ProductId, UserId } from '../domain/ids.ts';
import type { Catalogue, PageRequest, ProductFilter } from '../domain/ports.ts';
import type { Product, ProductStatus } from '../domain/product.ts';
import { pageValues, toMs, toPage } from './page.ts';
import { queryRows } from './pool.ts';

/** Of a SELECT whose rows `toProduct` reads. */
export const PRODUCT_COLUMNS = /* sql */ `
  id, merchant_id AS "merchantId", name, description, price_amount AS "priceAmount", currency,
  status, stock, version, per_customer_limit AS "perCustomerLimit",
  floor(extract(epoch FROM sale_starts_at) * 1000)::bigint AS "saleStartsAt",
  floor(extract(epoch FROM sale_ends_at) * 1000)::bigint AS "saleEndsAt",
  (extract(epoch FROM created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM updated_at) * 1000)::bigint AS "updatedAt"`;

const FIND = /* sql */ `SELECT ${PRODUCT_COLUMNS} FROM products WHERE id = $1`;

// Sent unnamed, so that it is planned with its values: the optional conditions fold away and the
// right index is chosen for each combination.
const LIST = /* sql */ `
  SELECT ${PRODUCT_COLUMNS}
    FROM products
   WHERE status = $4::product_status
     AND ($5::uuid IS NULL OR merchant_id = $5)
     AND ($6::text IS NULL OR name ILIKE $6)
     AND (created_at, id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY created_at DESC, id DESC
   LIMIT $3`;

export interface ProductRow {
  readonly id: ProductId;
  readonly merchantId: UserId;
  readonly name: string;
  readonly description: string;
  readonly priceAmount: number;
  readonly currency: string;
  readonly status: ProductStatus;
  readonly stock: number;
  readonly version: number;
  readonly perCustomerLimit: number | null;
  readonly saleStartsAt: number | null;
  readonly saleEndsAt: number | null;
  readonly createdAtUs: number;
  readonly updatedAt: number;
}

export function createProductReader(pool: Pool): Catalogue {
  return {
    async findProduct(id: ProductId) {
      const rows = await queryRows<ProductRow>(pool, {
        name: 'find-product',
        text: FIND,
        values: [id],
      });
      const row = rows[0];
      return row === undefined ? undefined : toProduct(row);
    },

    async listProducts(filter: ProductFilter, page: PageRequest) {
      const pattern = filter.q === null ? null : `%${escapeLike(filter.q)}%`;
      const values = [...pageValues(page), filter.status, filter.merchantId, pattern];
      const rows = await queryRows<ProductRow>(pool, { text: LIST, values });
      return toPage(rows, page.limit, toProduct);
    },
  };
}

/** A customer who looks for `100%` means the characters. Backslash is LIKE's escape by default. */
function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

/** A row of `PRODUCT_COLUMNS`. */
export function toProduct(row: ProductRow): Product {
  return {
    id: row.id,
    merchantId: row.merchantId,
    name: row.name,
    description: row.description,
    price: { amount: row.priceAmount, currency: row.currency },
    available: row.stock,
    perCustomerLimit: row.perCustomerLimit,
    saleStartsAt: row.saleStartsAt,
    saleEndsAt: row.saleEndsAt,
    status: row.status,
    version: row.version,
    createdAt: toMs(row.createdAtUs),
    updatedAt: row.updatedAt,
  };
}
