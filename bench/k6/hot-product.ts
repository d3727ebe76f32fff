/** One product that does not sell out, at a steady rate: every order must be accepted. */
import exec from 'k6/execution';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

export const options = optionsOf(
  { orders: steady(RATE, SECONDS) },
  { speed: { accepted_ms: ['p(50)<20', 'p(99)<200'], dropped_iterations: ['count==0'] } },
);

export default function hotProduct(): void {
  placeOrder({ token: tokenOf(exec.scenario.iterationInTest), productIds: [productId(0)] });
}
