import { AppError } from '../domain/errors.ts';
import type { ProductId } from '../domain/ids.ts';
import type { Catalogue } from '../domain/ports.ts';
import type { Product } from '../domain/product.ts';

/**
 * The product after an edit that is committed: whatever goes wrong from here on, the answer is not
 * that nothing happened.
 *
 * @throws AppError `outcome-unknown`.
 */
export async function editedProduct(catalogue: Catalogue, id: ProductId): Promise<Product> {
  let product: Product | undefined;
  try {
    product = await catalogue.findProduct(id);
  } catch (error) {
    throw new AppError('outcome-unknown', { cause: error });
  }
  if (product === undefined) throw new Error('a product is gone: none is ever deleted');
  return product;
}
