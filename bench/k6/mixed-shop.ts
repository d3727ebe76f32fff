/** Shoppers who browse, fill a cart and check out; six of ten pay, two cancel, two leave. */
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { optionsOf, steady } from './lib/open-model.ts';
import { checkOut, step } from './lib/order.ts';
import { PRODUCTS, RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

/** A shopper's seven requests may take a second. */
const VUS = RATE;
const PAID_SHARE = 0.6;
const CANCELLED_SHARE = 0.2;

const paid = new Counter('orders_paid');
const cancelled = new Counter('orders_cancelled');

export const options = optionsOf(
  { shoppers: steady(RATE, SECONDS, VUS) },
  {
    speed: {
      accepted_ms: ['p(99)<300'],
      http_req_duration: ['p(99)<300'],
      dropped_iterations: ['count==0'],
    },
  },
);

export default function mixedShop(): void {
  const token = tokenOf(exec.scenario.iterationInTest);
  const [first, second] = [anyProduct(), anyProduct()];
  step('GET', '/products?limit=20', { status: 200, token });
  step('GET', `/products/${first}`, { status: 200, token });
  const items = [{ product_id: first, quantity: 1 }];
  const cart = step('POST', '/carts', { status: 201, token, body: { items } });
  if (cart === undefined) return;
  const path = cart.headers['Location'] ?? '';
  const item = { product_id: second, quantity: 2 };
  if (step('POST', `${path}/items`, { status: 200, token, body: item }) === undefined) return;
  const { answer, order } = checkOut(token, path);
  if (answer !== 'accepted') return;
  const mood = Math.random();
  if (mood < PAID_SHARE) {
    if (step('POST', `${order}/payment`, { status: 202, token, body: {} })) paid.add(1);
  } else if (mood < PAID_SHARE + CANCELLED_SHARE) {
    if (step('POST', `${order}/cancel`, { status: 200, token, body: {} })) cancelled.add(1);
  }
}

function anyProduct(): string {
  return productId(Math.floor(Math.random() * PRODUCTS));
}
