/**
 * Five times what the service can do, then half of it again. RATE is the peak, so the capacity is a
 * fifth of it: the service is shrunk to that by bench/shims/slow-commit.ts. What an answer counts for
 * depends on when it came, not on when it was asked for.
 */
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { arrivals, optionsOf } from './lib/open-model.ts';
import { placeOrder } from './lib/order.ts';
import { RATE, SECONDS, tokenOf } from './lib/plan.ts';
import { productId } from './lib/product-ids.ts';

const CAPACITY = RATE / 5;
const NORMAL = CAPACITY / 2;
const FLOOD_BEGINS = SECONDS / 4;
const FLOOD_ENDS = (SECONDS * 3) / 4;
/** By then nobody may be shed any more. */
const RECOVERED = (SECONDS * 7) / 8;
/** A full mailbox and two batches wait, and those that are shed at once come and go. */
const VUS = 100 + CAPACITY + RATE / 10;

const sentInFlood = new Counter('flood_sent');
const acceptedInFlood = new Counter('flood_accepted');
const shedWhenRecovered = new Counter('recovered_shed');
const acceptedWhenRecovered = new Counter('recovered_accepted');

export const options = optionsOf(
  {
    load: arrivals(
      NORMAL,
      [
        { rate: NORMAL, seconds: FLOOD_BEGINS },
        { rate: RATE, seconds: 0 },
        { rate: RATE, seconds: FLOOD_ENDS - FLOOD_BEGINS },
        { rate: NORMAL, seconds: 0 },
        { rate: NORMAL, seconds: SECONDS - FLOOD_ENDS },
      ],
      VUS,
    ),
  },
  {
    always: { recovered_shed: ['count==0'], recovered_accepted: ['count>0'] },
    speed: {
      flood_accepted: [`count>=${0.9 * CAPACITY * (FLOOD_ENDS - FLOOD_BEGINS)}`],
      accepted_ms: ['p(99)<2000'],
      declined_ms: ['p(99)<500'],
    },
  },
);

export default function overload(): void {
  const token = tokenOf(exec.scenario.iterationInTest);
  if (isFlood(secondNow())) sentInFlood.add(1);
  const { answer } = placeOrder({ token, productIds: [productId(0)] });
  const second = secondNow();
  if (answer === 'accepted') {
    if (isFlood(second)) acceptedInFlood.add(1);
    if (second >= RECOVERED) acceptedWhenRecovered.add(1);
  } else if (answer === 'shed' && second >= RECOVERED) {
    shedWhenRecovered.add(1);
  }
}

function secondNow(): number {
  return (Date.now() - exec.scenario.startTime) / 1000;
}

function isFlood(second: number): boolean {
  return second >= FLOOD_BEGINS && second < FLOOD_ENDS;
}
