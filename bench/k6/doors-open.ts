/** Doors open: every few seconds a sale begins, and everybody comes in its first second. */
import exec from 'k6/execution';
import { arrivals, optionsOf } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { PRODUCTS, RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

/** From one sale to the next; each has a product of its own. */
const SECONDS_EACH = SECONDS / PRODUCTS;
/** A second of answers, of which a quarter may be under way at once. */
const VUS = RATE / 4;

const sale = [
  { rate: RATE, seconds: 0 },
  { rate: RATE, seconds: 1 },
  { rate: 0, seconds: 0 },
  { rate: 0, seconds: SECONDS_EACH - 1 },
];

export const options = optionsOf(
  { doors: arrivals(0, Array.from({ length: PRODUCTS }, () => sale).flat(), VUS) },
  {
    speed: {
      accepted_ms: ['p(99)<1000'],
      declined_ms: ['p(99)<1000'],
      dropped_iterations: [`count<${RATE / 10}`],
    },
  },
);

export default function doorsOpen(): void {
  const second = (Date.now() - exec.scenario.startTime) / 1000;
  const door = Math.min(PRODUCTS - 1, Math.floor(second / SECONDS_EACH));
  const token = tokenOf(exec.scenario.iterationInTest);
  placeOrder({ token, productIds: [productId(door)] });
}
