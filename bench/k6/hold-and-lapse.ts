/** Three of four buyers never pay: their units lapse and are sold again, while everybody asks. */
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { optionsOf, steady } from './lib/open-model.ts';
import { placeOrder, step } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

const PAID_SHARE = 0.25;

const paid = new Counter('orders_paid');

export const options = optionsOf(
  { customers: steady(RATE, SECONDS) },
  {
    speed: {
      accepted_ms: ['p(99)<300'],
      declined_ms: ['p(99)<300'],
      dropped_iterations: ['count==0'],
    },
  },
);

export default function holdAndLapse(): void {
  const token = tokenOf(exec.scenario.iterationInTest);
  const { answer, order } = placeOrder({ token, productIds: [productId(0)] });
  if (answer !== 'accepted' || Math.random() >= PAID_SHARE) return;
  if (step('POST', `${order}/payment`, { status: 202, token, body: {} })) paid.add(1);
}
