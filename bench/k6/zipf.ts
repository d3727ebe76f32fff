/** A whole shop: the n-th of its products is asked for 1/n as often as the first; that one sells out. */
import exec from 'k6/execution';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { PRODUCTS, RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';
import { zipfRank } from './lib/zipf-rank.ts';

export const options = optionsOf(
  { orders: steady(RATE, SECONDS) },
  { speed: { accepted_ms: ['p(50)<30', 'p(99)<300'], dropped_iterations: ['count==0'] } },
);

export default function zipf(): void {
  const product = zipfRank(PRODUCTS, Math.random) - 1;
  placeOrder({ token: tokenOf(exec.scenario.iterationInTest), productIds: [productId(product)] });
}
