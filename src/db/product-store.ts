/**
 * New products: the row and the opening of its stock ledger in one transaction, once per
 * Idempotency-Key (I3). Nobody decides by a product before it is there, so its first state is the
 * only one that does not come from its owner (I6).
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Pool } from 'pg';
import type {
  CreateProduct,
  CreateProductOutcome,
  NewProduct,
  ProductMaker,
} from '../domain/catalogue.ts';
import { unreachable } from '../domain/errors.ts';
import type { Product } from '../domain/product.ts';
import { PRODUCT_COLUMNS, toProduct } from './product-reader.ts';
import type { ProductRow } from './product-reader.ts';
import { effectKey, onceUnderKey } from './transaction.ts';

function timeOf(parameter: string): string {
  return `timestamptz 'epoch' + ${parameter}::double precision * interval '1 millisecond'`;
}

// Who may sell is asked in the same statement. Of the author's own role the token has spoken, and it
// holds until it expires.
const CREATE = /* sql */ `
  WITH made AS (
    INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status,
                          per_customer_limit, sale_starts_at, sale_ends_at, stock, supplied,
                          stock_version, sequence, version, created_at, updated_at)
    SELECT $1, u.id, $4, $5, $6, $7, $8, $9, ${timeOf('$10')}, ${timeOf('$11')}, $12, $12, 1, 0, 1,
           ${timeOf('$13')}, ${timeOf('$13')}
      FROM users u
     WHERE u.id = $3 AND (u.id = $2 OR u.role IN ('merchant', 'admin'))
    RETURNING *
  ), opening AS (
    INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, author,
                              created_at)
    SELECT id, stock_version, stock, stock, 'opening', $2, created_at FROM made
  )
  SELECT ${PRODUCT_COLUMNS} FROM made`;

export function createProductStore(pool: Pool): ProductMaker {
  return {
    async createProduct(request: CreateProduct): Promise<CreateProductOutcome> {
      const { author, idempotencyKey, product } = request;
      const fields = fieldsOf(product);
      const key = effectKey(author, idempotencyKey, ['create-product', ...fields]);
      // The key is bound to the whole product: a repeat shows it as it was first answered, however
      // it was edited and sold since.
      const outcome = await onceUnderKey<Product, 'merchant-unknown'>(pool, key, async (client) => {
        const values = [randomUUIDv7(), author, ...fields, Date.now()];
        const { rows } = await client.query<ProductRow>(CREATE, values);
        const [row] = rows;
        return row === undefined ? { refused: 'merchant-unknown' } : { effect: toProduct(row) };
      });
      switch (outcome.type) {
        case 'done':
          return { type: 'created', product: outcome.result, replayed: outcome.replayed };
        case 'refused':
          return { type: 'refused', code: outcome.refused };
        case 'key-reused':
          return outcome;
        default:
          return unreachable(outcome);
      }
    },
  };
}

/** Everything that was asked for, as parameters 3 to 12. Equal products are equal lists. */
function fieldsOf(product: NewProduct): readonly unknown[] {
  const { merchantId, name, description, price, status } = product;
  const { perCustomerLimit, saleStartsAt, saleEndsAt, stock } = product;
  const shown = [merchantId, name, description, price.amount, price.currency, status];
  return [...shown, perCustomerLimit, saleStartsAt, saleEndsAt, stock];
}
