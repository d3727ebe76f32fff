/** Impatient customers: every order is sent twice at once under one key, and is one order. */
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrderTwice } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

/** One key with two orders, or one of its two requests accepted and the other one refused. */
const torn = new Counter('pairs_torn');

export const options = optionsOf(
  { pairs: steady(RATE, SECONDS) },
  {
    always: { pairs_torn: ['count==0'] },
    speed: { accepted_ms: ['p(99)<300'], dropped_iterations: ['count==0'] },
  },
);

export default function retryStorm(): void {
  const token = tokenOf(exec.scenario.iterationInTest);
  const placed = placeOrderTwice({ token, productIds: [productId(0)] });
  const orders = new Set(placed.map(({ order }) => order).filter((order) => order !== undefined));
  const refused = placed.some(({ answer }) => answer === 'refused');
  if (orders.size > 1 || (refused && orders.size > 0)) torn.add(1);
}
