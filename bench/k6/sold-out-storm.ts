/** A storm on a product that is sold out at once: refusals, each under a fresh key. */
import exec from 'k6/execution';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

export const options = optionsOf(
  { storm: steady(RATE, SECONDS) },
  { speed: { declined_ms: ['p(50)<20', 'p(99)<200'], dropped_iterations: ['count==0'] } },
);

export default function soldOutStorm(): void {
  placeOrder({ token: tokenOf(exec.scenario.iterationInTest), productIds: [productId(0)] });
}
