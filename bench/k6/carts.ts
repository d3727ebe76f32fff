/** Orders of three lines, all or nothing, of products on four shards; every three in its turn. */
import exec from 'k6/execution';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { PRODUCTS, RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

const ids = Array.from({ length: PRODUCTS }, (_, n) => productId(n));
const threes = ids.flatMap((a, i) =>
  ids.slice(i + 1).flatMap((b, j) => ids.slice(i + j + 2).map((c) => [a, b, c] as const)),
);

export const options = optionsOf(
  { orders: steady(RATE, SECONDS) },
  { speed: { accepted_ms: ['p(50)<50', 'p(99)<500'], dropped_iterations: ['count==0'] } },
);

export default function carts(): void {
  const n = exec.scenario.iterationInTest;
  placeOrder({ token: tokenOf(n), productIds: threes[n % threes.length] ?? [] });
}
