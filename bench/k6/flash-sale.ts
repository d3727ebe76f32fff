/** A flash sale: 20 customers for each unit of one product arrive in a rush, and most go empty. */
import exec from 'k6/execution';
import { arrivals, optionsOf } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

export const options = optionsOf(
  {
    sale: arrivals(0, [
      { rate: RATE, seconds: SECONDS / 4 },
      { rate: RATE, seconds: SECONDS / 2 },
      { rate: 0, seconds: SECONDS / 4 },
    ]),
  },
  {
    speed: {
      accepted_ms: ['p(99)<500'],
      declined_ms: ['p(99)<500'],
      dropped_iterations: ['count==0'],
    },
  },
);

export default function flashSale(): void {
  placeOrder({ token: tokenOf(exec.scenario.iterationInTest), productIds: [productId(0)] });
}
