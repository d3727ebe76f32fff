import type { z } from 'zod';

import { lineProblem } from '../domain/cart.ts';
import type { Cart, CartLine, Carts } from '../domain/cart.ts';
import type { Money, Product } from '../domain/product.ts';
import type { cartSchema } from './cart-schemas.ts';
import { timeText } from './time-text.ts';

type CartJson = z.infer<typeof cartSchema>;

/** What it takes to show a cart. */
export interface CartShow {
  readonly carts: Pick<Carts, 'findProducts'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Carts as the contract shows them, over their products as they are now: one read for all. */
export async function cartJsonOf(
  { carts, clock }: CartShow,
  shown: readonly Cart[],
): Promise<CartJson[]> {
  const ids = new Set(shown.flatMap(({ lines }) => lines.map(({ productId }) => productId)));
  const found = await carts.findProducts([...ids]);
  const products = new Map(found.map((product) => [product.id, product]));
  const now = clock();
  return shown.map((cart) => {
    const items = cart.lines.map((line) => lineJson(line, products.get(line.productId), now));
    return {
      id: cart.id,
      status: cart.orderId === null ? 'open' : 'ordered',
      order_id: cart.orderId,
      items,
      total: totalOf(items),
      version: cart.version,
      expires_at: timeText(cart.expiresAt),
    };
  });
}

function lineJson(
  line: CartLine,
  product: Product | undefined,
  now: number,
): CartJson['items'][number] {
  const { productId, quantity, addedPrice } = line;
  const price = product?.price ?? addedPrice;
  return {
    product_id: productId,
    name: product?.name ?? '',
    quantity,
    unit_price: price,
    added_price: addedPrice,
    price_changed: price.amount !== addedPrice.amount || price.currency !== addedPrice.currency,
    available: product?.available ?? 0,
    problem: lineProblem(line, product, now),
  };
}

/** Exact in a double: ORDER_TOTAL_MAX bounds it. */
function totalOf(items: CartJson['items']): Money | null {
  const [first] = items;
  if (first === undefined) return null;
  const { currency } = first.unit_price;
  if (items.some(({ unit_price }) => unit_price.currency !== currency)) return null;
  const amount = items.reduce((sum, item) => sum + item.unit_price.amount * item.quantity, 0);
  return { amount, currency };
}
